"""Training steps on CUDA: they learn, in little memory, and are measured."""

import pytest
import torch

from modernbert.base.device import Autocast
from modernbert.batch import Layout
from modernbert.bench import training
from modernbert.bench.training_case import TrainingCase
from modernbert.kernels.attention import attend
from modernbert.model.init import build
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train.parallel import prepare
from modernbert.train.step import gradient_norm, move
from tests.gpu.devices import BOTH, needs_cuda, peak_bytes
from tests.nets import batch_of, config_of

LR, STEPS = 3e-3, 20
PLACES, TARGETS = torch.arange(0, 400, 7), torch.arange(0, 400, 7) % 90


def losses(device: str, **settings) -> list[float]:
    """Learn one batch by heart in bfloat16."""
    model = build(config_of(dim=64, num_layers=4), 0).to(device).train()
    prepare(model, **({"checkpoint_activations": False, "compile_layers": False} | settings))
    optimizer = StableAdamW(decay_groups(model.named_parameters(), 0.01), lr=LR)
    batch = batch_of([300, 3, 97, 1]).to(device)
    autocast, found = Autocast(torch.device(device), "bfloat16"), []
    for _ in range(STEPS):
        with autocast():
            loss, _ = model.masked_lm(batch, PLACES.to(device), TARGETS.to(device))
        (loss / len(PLACES)).backward()
        assert gradient_norm(model).isfinite()
        move(optimizer, LR)
        found.append(float(loss.detach()) / len(PLACES))
    return found


@BOTH
@pytest.mark.parametrize("is_recomputed", [False, True])
def test_steps_in_bfloat16_lower_the_loss(device, is_recomputed):
    found = losses(device, checkpoint_activations=is_recomputed)
    assert found[-1] < 0.7 * found[0]


@needs_cuda
@pytest.mark.parametrize("is_recomputed", [False, True])
def test_compiled_layers_learn_the_same(is_recomputed):
    plain = losses("cuda")
    found = losses("cuda", compile_layers=True, checkpoint_activations=is_recomputed)
    assert found[0] == pytest.approx(plain[0], rel=0.01)
    assert found[-1] == pytest.approx(plain[-1], rel=0.2)


def attention_peak(length: int, window: int | None) -> int:
    """Return what a forward and a backward pass of attention need."""
    layout = Layout.of([length]).to("cuda")
    shape = (3, length, 2, 64)
    qkv = torch.ones(shape, device="cuda", dtype=torch.bfloat16).unbind(0)
    given = [x.clone().requires_grad_() for x in qkv]

    def work() -> None:
        mixed = attend(*given, layout, window)
        torch.autograd.grad(mixed.float().sum(), given)

    return peak_bytes(work)


@needs_cuda
@pytest.mark.parametrize("window", [None, 128])
def test_attention_needs_memory_linear_in_the_tokens(window):
    half, whole = attention_peak(4096, window), attention_peak(8192, window)
    assert whole < 2.2 * half
    assert whole < 8192 * 8192, "as much as a byte for each pair of tokens"


def step_peak(length: int, *, is_recomputed: bool) -> int:
    model = build(config_of(dim=128, num_layers=6), 0).to("cuda").train()
    prepare(model, checkpoint_activations=is_recomputed, compile_layers=False)
    batch, autocast = batch_of([length]).to("cuda"), Autocast(torch.device("cuda"), "bfloat16")

    def work() -> None:
        with autocast():
            loss, _ = model.masked_lm(batch, PLACES.cuda(), TARGETS.cuda())
        torch.autograd.grad(loss, list(model.parameters()))

    return peak_bytes(work)


@needs_cuda
def test_a_step_needs_memory_linear_in_the_tokens_and_less_recomputed():
    half, whole = (step_peak(length, is_recomputed=False) for length in (4096, 8192))
    assert whole < 2.2 * half
    assert step_peak(8192, is_recomputed=True) < 0.6 * whole


@needs_cuda
def test_steps_are_measured_in_processes_of_their_own():
    case = TrainingCase(
        context_length=256,
        row_tokens=2048,
        batch_size=8,
        rounds=2,
        precision="bfloat16",
        device="cuda",
        sides=("packed recomputed", "padded", "transformers"),
    )
    row = training.measure(case)
    assert row["gpu"] == torch.cuda.get_device_name()
    for name, facts in row["sides"].items():
        assert "failed" not in facts, name
        assert facts["peak_bytes"] > 0
