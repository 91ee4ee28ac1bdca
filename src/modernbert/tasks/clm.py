"""Causal language modelling: packed rows in, the summed loss of what comes next out."""

from dataclasses import dataclass

import torch

from modernbert.batch import Layout, PackedBatch
from modernbert.data.chunks import Rows
from modernbert.model.model import Model
from modernbert.tasks.base import Loss
from modernbert.tasks.mlm import GuessedBatch


@dataclass(frozen=True, slots=True)
class CausalLM:
    """Guess every next token from those before it, to begin a pretraining with (arXiv 2507.00994).

    The weights and the head are those of masked language modelling: only the layout says that no
    token sees what follows it.
    """

    def collate(self, rows: Rows) -> GuessedBatch:
        """Ask each token but the last of its document for the one that follows; nothing is hidden.

        Documents that a length warm-up divides are guessed across their parts: each part is one
        whose first token was guessed from the part before.
        """
        layout = Layout.of(rows.lengths, is_causal=True)
        is_last = torch.zeros(len(rows.ids), dtype=torch.bool)
        is_last[layout.cu_seqlens[1:].long() - 1] = True
        ids, positions = torch.from_numpy(rows.ids), (~is_last).nonzero().flatten()
        return GuessedBatch(PackedBatch(ids, layout), positions, ids[positions + 1])

    def count(self, batch: GuessedBatch) -> int:
        """Return how many tokens are guessed."""
        return batch.positions.numel()

    def loss(self, model: Model, batch: GuessedBatch) -> Loss:
        """Return the cross-entropy summed over all tokens that follow another."""
        return Loss(*model.masked_lm(batch.packed, batch.positions, batch.targets))
