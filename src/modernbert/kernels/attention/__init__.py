"""Attention over a packed batch: q, k, v and a layout in, mixed values out, one of four kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest
from modernbert.base.shapes import Float
from modernbert.batch import Layout
from modernbert.kernels.attention.banded import attend as banded
from modernbert.kernels.attention.oracle import attend as oracle
from modernbert.kernels.attention.padded import attend as padded
from modernbert.kernels.attention.varlen import attend as varlen
from modernbert.kernels.attention.varlen import is_available as varlen_is_available
from modernbert.kernels.cross_entropy import computed_in

Backend = Callable[[Tensor, Tensor, Tensor, Layout, int | None], Tensor]

BACKENDS: dict[str, Backend] = {
    "oracle": oracle,
    "banded": banded,
    "padded": padded,
    "varlen": varlen,
}

_AMPERE = (8, 0)


def attend(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
    backend: str | None = None,
) -> Float[Tensor, "T H K"]:
    """Let each token read its own document, or the `window // 2` tokens on each side of it.

    Where the layout is causal, it reads only itself and what stands before it.

    Without a backend, the tensors' device and dtype choose it.

    Raises:
        ConfigError: no backend has this name.
        MachineError: the backend cannot run on these tensors' device.
    """
    name = backend or backend_for(q.device, q.dtype)
    if name not in BACKENDS:
        raise ConfigError(f"no attention backend is called {name!r}: {nearest(name, BACKENDS)}")
    return BACKENDS[name](q, k, v, layout, window)


def backend_of(x: Tensor) -> str:
    """Return the fastest backend for what is computed from a tensor, under autocast or not."""
    return backend_for(x.device, computed_in(x) if x.is_cuda else x.dtype)


def backend_for(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> str:
    """Return the fastest backend that runs on a device for tensors of this dtype."""
    if device.type == "cpu":
        return "banded"
    halves = dtype in (torch.bfloat16, torch.float16)
    if device.type == "cuda" and halves and varlen_is_available():
        return "varlen" if torch.cuda.get_device_capability(device) >= _AMPERE else "padded"
    return "padded"
