import pytest
import torch

from modernbert.base import device, dist
from modernbert.base.device import Autocast, choose_device
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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_autocast_runs_products_in_its_precision(precision):
    x = torch.ones(2, 2)
    with Autocast(CPU, precision)():
        assert (x @ x).dtype == getattr(torch, precision)
    assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize(
    ("there", "vendor", "is_narrow"),
    [
        ({"avx512_f": True}, "AuthenticAMD", True),
        ({"avx512_f": True}, "GenuineIntel", False),
        ({"avx512_f": False}, "AuthenticAMD", False),
        ({"neon": True}, "arm", False),
        (None, "AuthenticAMD", False),
    ],
)
def test_mkl_is_narrow_where_intel_did_not_make_the_vectors(there, vendor, is_narrow, monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert device._is_mkl_narrow(there, vendor) == is_narrow
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not device._is_mkl_narrow(there, vendor)


def test_a_process_alone_is_the_first_of_one():
    assert (dist.rank(), dist.world_size()) == (0, 1)
    assert dist.total([1.5, 2.0], CPU) == [1.5, 2.0]
