"""Attention on CUDA with torch's variable-length flash kernel: no padding, no mask."""

from functools import lru_cache
from inspect import signature

import torch
from torch import Tensor

from modernbert.base.errors import MachineError
from modernbert.base.shapes import Float
from modernbert.batch import Layout

_DTYPES = (torch.bfloat16, torch.float16)
_MAX_WIDTH = 256


@lru_cache
def is_available() -> bool:
    """Return whether this torch has the kernel, with its window."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return "window_size" in signature(varlen_attn).parameters


def attend(
    q: Float[Tensor, "T H K"],
    k: Float[Tensor, "T H K"],
    v: Float[Tensor, "T H K"],
    layout: Layout,
    window: int | None = None,
) -> Float[Tensor, "T H K"]:
    """Attend inside each document of the flat axis; bfloat16 or float16 only.

    Raises:
        MachineError: the tensors are not on a CUDA device, of another dtype or width than the
            kernel takes, or this torch has no such kernel.
    """
    if q.device.type != "cuda":
        raise MachineError(
            f"the varlen backend needs a CUDA device and the tensors are on {q.device}: "
            "use banded or padded"
        )
    # A compiler traces what was chosen before, and cannot look for it.
    if not torch.compiler.is_compiling() and not is_available():
        raise MachineError(
            "this torch has no torch.nn.attention.varlen: install a newer one or use padded"
        )
    width = q.shape[-1]
    if q.dtype not in _DTYPES or width > _MAX_WIDTH or width % 8:
        raise MachineError(
            f"the varlen backend takes bfloat16 or float16 and heads of up to {_MAX_WIDTH} in "
            f"multiples of 8, not {q.dtype} and {width}: use padded"
        )
    return call(q, k, v, layout, window)


def call(q: Tensor, k: Tensor, v: Tensor, layout: Layout, window: int | None = None) -> Tensor:
    """Attend as above, on tensors that were looked at; in one graph where a compiler traces it."""
    from torch.nn.attention.varlen import varlen_attn

    near = -1 if window is None else window // 2
    sides = (near, 0 if layout.is_causal else near)
    starts, longest = layout.cu_seqlens, layout.max_seqlen
    mixed = varlen_attn(q, k, v, starts, starts, longest, longest, window_size=sides)
    assert isinstance(mixed, Tensor)
    return mixed
