import pytest
import torch

from modernbert.base import device, dist
from modernbert.base.device import (
    SLOW_ON_CPU,
    Autocast,
    choose_device,
    choose_precision,
    multiply_rate,
)
from modernbert.base.errors import MachineError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "", "warp:1"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(MachineError) as caught:
        choose_device(name)
    assert f"device {name!r} is not available to torch {torch.__version__}" in str(caught.value)
    assert "use --device cpu, or see `modernbert doctor`" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(MachineError, match="device 'cuda:0' is not available"):
        choose_device("cuda:0")


def test_devices_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cuda", "mps", "cpu")


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_precision_that_was_chosen_stays(name):
    assert choose_precision(name, CPU, 64) == name


def test_the_machine_is_measured_where_nothing_was_chosen():
    assert choose_precision("auto", CPU, 64) in ("float32", "bfloat16")
    assert choose_precision("auto", torch.device("mps"), 64) == "float32"


@pytest.mark.skipif(torch.bfloat16 in SLOW_ON_CPU, reason="no units for bfloat16 here")
@pytest.mark.parametrize(("gain", "chosen"), [(1.2, "float32"), (1.4, "bfloat16")])
def test_bfloat16_is_taken_where_layers_so_wide_gain_by_it(monkeypatch, gain, chosen):
    asked = []

    def seconds(precision, width):
        asked.append(width)
        return gain if precision == "float32" else 1.0

    monkeypatch.setattr(device, "_layer_seconds", seconds)
    assert choose_precision("auto", CPU, 320) == chosen
    assert asked == [320, 320]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_autocast_runs_products_in_its_precision(precision):
    x = torch.ones(2, 2)
    with Autocast(CPU, precision)():
        assert (x @ x).dtype == getattr(torch, precision)
    assert (x @ x).dtype == torch.float32


def test_the_rate_of_products_is_a_rate():
    assert 1e8 < multiply_rate(CPU, "float32") < 1e15


def test_a_process_alone_is_the_first_of_one():
    assert (dist.rank(), dist.world_size()) == (0, 1)
    assert dist.total([1.5, 2.0], CPU) == [1.5, 2.0]
