"""Masked language modelling: packed rows in, the summed loss of their hidden tokens out."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modernbert.base.shapes import Int
from modernbert.batch import Layout, PackedBatch
from modernbert.data.masking import MaskingRule, hide
from modernbert.data.stream import Rows
from modernbert.data.tokenizer import Tokenizer
from modernbert.model.model import Model
from modernbert.tasks.base import Loss


@dataclass(frozen=True, slots=True)
class GuessedBatch:
    """A packed batch, and which tokens are guessed from it."""

    packed: PackedBatch
    positions: Int[Tensor, "M"]
    """Where on the flat axis a token is guessed: in its own place, or in the one before it."""
    targets: Int[Tensor, "M"]
    """What is to be guessed."""

    def cut(self, longest: int) -> "GuessedBatch":
        """Let only tokens see each other that stand in one piece of at most so many tokens.

        What is hidden stays hidden, and no token is moved or left out.
        """
        layout = self.packed.layout.cut(longest)
        return replace(self, packed=PackedBatch(self.packed.ids, layout))

    def to(self, device: torch.device) -> "GuessedBatch":
        """Move to a device."""
        moved = (x.to(device, non_blocking=True) for x in (self.positions, self.targets))
        return GuessedBatch(self.packed.to(device), *moved)


@dataclass(frozen=True, slots=True)
class MaskedLM:
    """The task of pretraining (ModernBERT paper, section 2.2)."""

    rule: MaskingRule
    key: int
    """Address of the masks' randomness: they depend on it and on each sample alone."""

    @classmethod
    def of(
        cls, tokenizer: Tokenizer, rate: float, key: int, shares: tuple[float, float] = (0.8, 0.1)
    ) -> "MaskedLM":
        """Hide this share of a tokenizer's ordinary tokens.

        `shares` of them become [MASK] and a random token.
        """
        rule = MaskingRule(
            rate=rate,
            mask_share=shares[0],
            random_share=shares[1],
            mask_id=tokenizer.mask_id,
            special_ids=tokenizer.special_ids,
            ordinary_ids=tokenizer.ordinary_ids,
        )
        return cls(rule, key)

    def collate(self, rows: Rows) -> GuessedBatch:
        """Hide tokens; the layout stays as the rows have it."""
        hidden = hide(rows, rule=self.rule, key=self.key)
        ids, positions, targets = (
            torch.from_numpy(x) for x in (hidden.ids, hidden.positions, hidden.targets)
        )
        return GuessedBatch(PackedBatch(ids, Layout.of(rows.lengths)), positions, targets)

    def count(self, batch: GuessedBatch) -> int:
        """Return how many tokens are hidden."""
        return batch.positions.numel()

    def loss(self, model: Model, batch: GuessedBatch) -> Loss:
        """Return the cross-entropy summed over the hidden tokens alone."""
        return Loss(*model.masked_lm(batch.packed, batch.positions, batch.targets))
