import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modernbert.batch import Layout
from modernbert.kernels.attention.oracle import visible
from modernbert.model.config import MASKED_LM
from modernbert.model.count import forward_flops, parameters, training_flops
from modernbert.model.init import empty
from modernbert.model.presets import PRESETS
from tests.nets import batch_of, config_of


def test_the_paper_s_sizes():
    base, large = PRESETS["modernbert-base"], PRESETS["modernbert-large"]
    assert parameters(base, head=False) == 149_014_272
    assert parameters(base) == 149_655_232
    assert parameters(large) == 395_881_664


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_size_of_their_name(name):
    millions = {"ettin-17m": 17, "ettin-32m": 32, "ettin-68m": 68, "ettin-1b": 1028, "tiny": 7}
    sizes = {"modernbert-base": 149, "ettin-150m": 149, "modernbert-large": 395, "ettin-400m": 395}
    assert round(parameters(PRESETS[name], head=False) / 1e6) == (millions | sizes)[name]


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "head_bias": True},
        {"tie_embeddings": False, "decoder_bias": False},
    ],
)
def test_the_count_is_the_model_s(fields, head):
    config = config_of(**fields)
    model = empty(config, MASKED_LM if head else None)
    assert parameters(config, head=head) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("fields", [{}, {"gated_mlp": False}])
def test_flops_are_those_torch_counts(fields):
    config = config_of(global_every=1, **fields)
    model = empty(config).float()
    model.encoder.backend = "oracle"
    batch = batch_of([40])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(batch)
    expected = forward_flops(config, 40, head_share=1.0) * 40
    assert counter.get_total_flops() == expected


@pytest.mark.parametrize("length", [1, 4, 5, 6, 50])
def test_local_layers_count_the_keys_they_see(length):
    local = config_of(num_layers=1, layer_kinds=("local",), local_window=8)
    distant = config_of(num_layers=1, layer_kinds=("global",))
    saved = forward_flops(distant, length) - forward_flops(local, length)
    seen = visible(Layout.of([length]), length, 8).sum().item() / length
    assert saved == pytest.approx(4 * 32 * (length - seen))


def test_training_costs_three_times_as_much():
    config = config_of()
    assert training_flops(config, 9, 0.3) == 3 * forward_flops(config, 9, 0.3)


def test_shapes_and_counts_load_no_torch():
    code = (
        "import sys, modernbert.model.presets, modernbert.model.count, modernbert.model.hf_config"
    )
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
