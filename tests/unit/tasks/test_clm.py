import numpy as np
import pytest
import torch

from modernbert.batch import PackedBatch
from modernbert.data.chunks import Rows
from modernbert.tasks.clm import CausalLM
from tests.nets import config_of, documents_of, lively

SIZES = [5, 1, 70, 2]


def rows_of(sizes):
    documents = [np.array(ids) for ids in documents_of(sizes)]
    return Rows(np.concatenate(documents), tuple(sizes), np.arange(len(sizes)))


def test_every_token_but_the_last_of_its_document_is_asked_for_the_next():
    rows = rows_of(SIZES)
    batch = CausalLM().collate(rows)
    assert batch.packed.layout.is_causal
    assert batch.packed.layout.lengths() == tuple(SIZES)
    assert batch.packed.ids.tolist() == rows.ids.tolist()
    asked = [at for at in range(78) if at not in (4, 5, 75, 77)]
    assert batch.positions.tolist() == asked
    assert batch.targets.tolist() == [rows.ids[at + 1] for at in asked]
    assert CausalLM().count(batch) == 74
    assert CausalLM().count(CausalLM().collate(rows_of([1, 1]))) == 0


@pytest.mark.parametrize("backend", ["oracle", "banded", "padded"])
def test_no_guess_depends_on_what_follows(backend):
    model = lively(config_of(local_window=8)).double().eval()
    model.encoder.backend = backend
    batch = CausalLM().collate(rows_of([90, 20])).packed
    base = model(batch)
    ids = batch.ids.clone()
    ids[60] = (ids[60] + 1) % model.config.vocab_size
    change = (model(PackedBatch(ids, batch.layout)) - base).abs().amax(-1)
    assert change[:60].max() < 1e-12
    assert change[60:90].min() > 1e-9
    assert change[90:].max() < 1e-12


def test_pieces_of_a_document_are_guessed_across_their_ends():
    whole = CausalLM().collate(rows_of([70, 20]))
    cut = whole.cut(32)
    assert cut.packed.layout.lengths() == (24, 23, 23, 20)
    assert cut.packed.layout.is_causal
    assert torch.equal(cut.positions, whole.positions)
    assert torch.equal(cut.targets, whole.targets)
