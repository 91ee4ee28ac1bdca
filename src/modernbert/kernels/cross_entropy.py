"""Masked-token loss in chunks of rows: hidden rows in, summed loss and number correct out."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from modernbert.base.shapes import Float, Int
from modernbert.kernels.linear import add_product, linear

_CHUNK_BYTES = 64 << 20
"""Logits held at once when the caller names no number of rows."""


def masked_lm_loss(
    hidden: Float[Tensor, "M D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, "V"] | None,
    targets: Int[Tensor, "M"],
    chunk_rows: int | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Return the summed cross-entropy of `hidden @ weight.T + bias`, and how many are right.

    The gradients are formed chunk by chunk while the logits exist, so [M, V] numbers never
    do (Liger Kernel, arXiv 2410.10989, section 3.2). Softmax runs in float32 or wider. Without
    rows both are 0.
    """
    rows = chunk_rows or max(64, _CHUNK_BYTES // (4 * len(weight)))
    given: tuple[Tensor | None, ...] = (hidden, weight, bias)
    if not torch.is_grad_enabled():
        given = tuple(x if x is None else x.detach() for x in given)
    loss, correct = _ChunkedLoss.apply(*given, targets, rows)  # type: ignore[no-untyped-call]
    return loss, correct


class _ChunkedLoss(Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        rows: int,
    ) -> tuple[Tensor, Tensor]:
        dtype = computed_in(hidden)
        given: tuple[Tensor | None, ...] = (hidden, weight, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            cast = [None if x is None else x.to(dtype) for x in given]
            sums = _Sums(cast, ctx.needs_input_grad[:3])
            for chunk in range(0, len(targets), rows):
                sums.add(slice(chunk, chunk + rows), targets[chunk : chunk + rows])
        ctx.save_for_backward(*sums.grads)
        ctx.dtypes = [None if x is None else x.dtype for x in given]
        ctx.mark_non_differentiable(sums.correct)
        return sums.loss, sums.correct

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        pairs = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        grads = [None if g is None else (g * grad_loss).to(dtype) for g, dtype in pairs]
        return *grads, None, None


def computed_in(x: Tensor) -> torch.dtype:
    """Return what products of a tensor are computed in, autocast or not."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype == torch.float32:
        return torch.get_autocast_dtype(device)
    return x.dtype


class _Sums:
    """The loss, the number correct and the gradients, gathered over chunks."""

    def __init__(self, given: list[Tensor | None], needs: tuple[bool, ...]) -> None:
        hidden, weight, self.bias = given
        assert hidden is not None
        assert weight is not None
        self.hidden, self.weight = hidden, weight
        exact = torch.promote_types(hidden.dtype, torch.float32)
        self.loss = hidden.new_zeros((), dtype=exact)
        self.correct = torch.zeros((), dtype=torch.int64, device=hidden.device)
        self.grads = [
            torch.zeros_like(x, dtype=exact) if x is not None and need else None
            for x, need in zip(given, needs, strict=True)
        ]

    def add(self, rows: slice, targets: Tensor) -> None:
        """Count one chunk of rows."""
        hidden = self.hidden[rows]
        logits = linear(hidden, self.weight, self.bias)
        self.correct += (logits.argmax(-1) == targets).sum()
        scores = logits.to(self.loss.dtype).log_softmax(-1)
        self.loss -= scores.gather(1, targets[:, None]).sum()
        grad_hidden, grad_weight, grad_bias = self.grads
        if all(grad is None for grad in self.grads):
            return
        slope = scores.exp_()  # softmax - one-hot, in place
        slope[torch.arange(len(targets), device=targets.device), targets] -= 1
        if grad_bias is not None:
            grad_bias += slope.sum(0)
        narrow = slope.to(hidden.dtype)
        if grad_hidden is not None:
            grad_hidden[rows] = linear(narrow, self.weight.T)
        if grad_weight is not None:
            add_product(grad_weight, narrow.T, hidden.T)
