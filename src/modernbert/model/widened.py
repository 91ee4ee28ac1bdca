"""Half-precision weights on a processor without units for them: a module called in float32.

Weights stay as they are stored and are widened one module at a time, so memory holds one module's
copy; while gradients are recorded, the copies live until the backward pass.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from modernbert.base import device


def is_widened(x: Tensor) -> bool:
    """Return whether products of this format are computed in float32 where it lies."""
    return x.device.type == "cpu" and x.dtype in device.SLOW_ON_CPU


def widely(module: nn.Module, x: Tensor, *more: Any) -> Any:
    """Call a module, in float32 where its input's format is slow; the output is float32 then."""
    if not is_widened(x):
        return module(x, *more)
    wide = {
        name: weight.float() if weight.dtype == x.dtype else weight
        for name, weight in module.named_parameters()
    }
    return functional_call(module, wide, (x.to(torch.float32), *more))
