"""A padded batch in, its tokens end to end out, and back; a packed batch of other people's rows."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from modernbert.base.shapes import Bool, Float, Int
from modernbert.batch import Layout
from modernbert.kernels.attention import attend


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the tokens of a padded batch are, and what they may read."""

    shape: tuple[int, int]
    kept: Int[Tensor, "T"]
    """Places of the tokens on the flattened grid."""
    place: Int[Tensor, "T"]
    """Position of each token in its row, padding on the left included."""
    layout: Layout
    allowed: dict[int | None, Tensor] | None = None
    """What each position may read, by window; None when all tokens that are kept are read."""
    is_plain: bool = False
    """Whether attention is computed by its formula, and not by a fused kernel."""

    @classmethod
    def packed(cls, mask: Bool[Tensor, "B L"]) -> "Grid":
        """Keep the positions of a mask; nobody reads or sees the others."""
        kept = mask.flatten().nonzero()[:, 0]
        lengths = [length for length in mask.sum(1).tolist() if length]
        width = mask.shape[1]
        return cls((len(mask), width), kept, kept % width, Layout.of(lengths).to(mask.device))

    @classmethod
    def whole(
        cls,
        mask: Bool[Tensor, "B L"],
        windows: set[int | None],
        fill: float | None,
        *,
        is_plain: bool = False,
    ) -> "Grid":
        """Keep every position: those outside the mask read the others, and nobody reads them.

        ColBERT expands a query by such positions (arXiv 2004.12832, section 3.2). `fill` is what
        a score that may not count becomes; None leaves that to torch. Where no score counts, fused
        kernels of torch give larger gradients than the formula, which is for models that use it.
        """
        rows, width = mask.shape
        kept = torch.arange(mask.numel(), device=mask.device)
        place = torch.arange(width, device=mask.device)
        distance = (place[:, None] - place).abs()
        near = {w: distance <= (width if w is None else w // 2) for w in windows}
        allowed = {w: (each & mask[:, None, :])[:, None] for w, each in near.items()}
        if fill is not None:
            allowed = {w: _filled(each, fill) for w, each in allowed.items()}
        layout = Layout.of([width] * rows).to(mask.device)
        return cls((rows, width), kept, kept % width, layout, allowed, is_plain)

    @classmethod
    def holed(cls, mask: Bool[Tensor, "B L"], windows: set[int | None]) -> "Grid":
        """Keep the positions of a mask whose rows have gaps, which windows are to count."""
        packed, whole = cls.packed(mask), cls.whole(mask, windows, None)
        assert whole.allowed is not None
        # What stands in a gap is dropped, but where it could read nothing it would become NaN.
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        allowed = {w: each | itself for w, each in whole.allowed.items()}
        return cls(packed.shape, packed.kept, packed.place, packed.layout, allowed)

    def flat(self, grid: Tensor) -> Tensor:
        """Take the tokens out of a grid."""
        return grid.flatten(0, 1).index_select(0, self.kept)

    def padded(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "B L D"]:
        """Lay the tokens out as they came, zeros where there was padding."""
        return self._laid(x)

    def _laid(self, x: Float[Tensor, "T ..."]) -> Float[Tensor, "B L ..."]:
        rows, width = self.shape
        grid = x.new_zeros(rows * width, *x.shape[1:]).index_copy(0, self.kept, x)
        laid: Tensor = grid.unflatten(0, (rows, width))
        return laid

    def attend(self, q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
        """Let each token read what it may."""
        if self.allowed is None:
            return attend(q, k, v, self.layout, window)
        q, k, v = (self._laid(x).transpose(1, 2) for x in (q, k, v))
        mask = self.allowed[window]
        mask = mask if mask.dtype == torch.bool else mask.to(q.dtype)
        by_torch = F.scaled_dot_product_attention
        mixed = _by_formula(q, k, v, mask) if self.is_plain else by_torch(q, k, v, mask)
        return self.flat(mixed.transpose(1, 2))


def _by_formula(q: Tensor, k: Tensor, v: Tensor, added: Tensor) -> Tensor:
    """Attend as transformers' eager attention does."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + added
    out: Tensor = scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v
    return out


def _filled(allowed: Tensor, fill: float) -> Tensor:
    return torch.zeros_like(allowed, dtype=torch.float64).masked_fill_(~allowed, fill)
