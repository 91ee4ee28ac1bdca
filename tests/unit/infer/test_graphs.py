import pytest
import torch

from modernbert.base.errors import MachineError
from modernbert.infer.graphs import Bucket, Graphs, bucket_of, most_tokens
from tests.nets import config_of, lively


@pytest.mark.parametrize(
    ("given", "bucket"),
    [
        ((1, 1), Bucket(16, 1)),
        ((16, 2), Bucket(16, 2)),
        ((17, 3), Bucket(32, 4)),
        ((1000, 65), Bucket(1024, 128)),
    ],
)
def test_buckets_are_powers_of_two(given, bucket):
    assert bucket_of(*given) == bucket


@pytest.mark.parametrize(
    ("num_positions", "most"), [(0, 1024), (8192, 1024), (1000, 512), (16, 16), (15, 0), (1, 0)]
)
def test_a_bucket_s_padding_has_learned_positions_too(num_positions, most):
    assert most_tokens(num_positions) == most


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_encoder_that_cannot_be_captured_is_refused(dtype):
    with pytest.raises(MachineError, match="CUDA graphs need the varlen backend, and on cpu"):
        Graphs(lively(config_of()).encoder.to(dtype))
