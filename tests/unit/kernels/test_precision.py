import pytest
import torch

from modernbert.base.device import SLOW_ON_CPU
from modernbert.kernels import precision
from modernbert.kernels.precision import choose_precision, multiply_rate

CPU = torch.device("cpu")


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

    def seconds(name, width):
        asked.append(width)
        return gain if name == "float32" else 1.0

    monkeypatch.setattr(precision, "_layer_seconds", seconds)
    assert choose_precision("auto", CPU, 320) == chosen
    assert asked == [320, 320]


def test_the_rate_of_products_is_a_rate():
    assert 1e8 < multiply_rate(CPU, "float32") < 1e15
