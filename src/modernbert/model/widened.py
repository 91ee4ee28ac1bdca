"""Half-precision weights on a processor without units for them: a module called in float32.

Weights stay as they are stored and are widened one product at a time, so memory holds one
matrix's copy; while gradients are recorded, the copies live until the backward pass.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from modernbert.base import device
from modernbert.kernels.linear import linear

_PRODUCTS = frozenset(
    {F.linear, torch.matmul, torch.mm, torch.addmm, torch.bmm, Tensor.matmul, Tensor.__matmul__}
)


def is_widened(x: Tensor) -> bool:
    """Return whether products of this format are computed in float32 where it lies."""
    return x.device.type == "cpu" and x.dtype in device.SLOW_ON_CPU


def widely(module: nn.Module, x: Tensor, *more: Any) -> Any:
    """Call a module, in float32 where its input's format is slow; the output is float32 then."""
    if not is_widened(x):
        return module(x, *more)
    with _WideProducts():
        return module(x.to(torch.float32), *more)


class _WideProducts(TorchFunctionMode):
    """Products of wide copies, for one thread: others may call the same module meanwhile."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        named: dict[str, Any] | None = None,
    ) -> Any:
        if function in _PRODUCTS:
            function = linear if function is F.linear else function
            args = tuple(map(_wide, args))
            named = {name: _wide(given) for name, given in (named or {}).items()}
        return function(*args, **(named or {}))


def _wide(given: Any) -> Any:
    return given.to(torch.float32) if isinstance(given, Tensor) and is_widened(given) else given
