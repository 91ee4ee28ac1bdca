"""Late interaction on CUDA against the formula; skipped without a device."""

import pytest
import torch

from modernbert.batch import Layout
from modernbert.kernels.maxsim import maxsim
from tests.parity.tolerance import assert_as_accurate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_are_as_accurate_as_the_formula(dtype):
    source = torch.Generator().manual_seed(0)
    asked, found = [1, 32, 7], [3, 180, 1, 0, 64]
    queries, documents = (
        torch.nn.functional.normalize(torch.randn(sum(n), 128, generator=source), dim=-1).to(dtype)
        for n in (asked, found)
    )

    def formula(queries, documents):
        return torch.stack(
            [
                torch.stack([(d @ q.T).amax(0).sum() for d in documents.split(found) if len(d)])
                for q in queries.split(asked)
            ]
        )

    scores = maxsim(queries.cuda(), Layout.of(asked), documents.cuda(), Layout.of(found)).cpu()
    assert (scores[:, 3] == -torch.inf).all()
    there = scores[:, [0, 1, 2, 4]]
    truth = formula(queries.double(), documents.double())
    assert_as_accurate(there, formula(queries, documents), truth)
