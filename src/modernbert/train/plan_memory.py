"""A shape, a row and a way to share it out in; bytes on one device, part by part, out."""

from dataclasses import dataclass
from typing import Literal

from modernbert.model.activations import Pass, kept
from modernbert.model.config import EncoderConfig
from modernbert.model.count import layer_parameters, mlp_matrices, parameters
from modernbert.train.config import Optimizer

Parallel = Literal["ddp", "fsdp"]

_WEIGHT = 4
"""Bytes of a weight, of its gradient, and of what an optimizer remembers: all float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one device at a step's fullest moment, once gradients are there."""

    weights: int
    gradients: int
    moments: int
    gathered: int
    """With fsdp: weights and gradients that are whole while they are used."""
    copies: int
    """Of matrices, in the precision of products."""
    activations: int
    """What the forward pass of a row keeps for the backward one."""
    decoder: int
    """The decoder's gradient, made while logits exist."""
    working: int
    """For a moment: a chunk of logits, or the gradients inside a layer."""

    @property
    def states(self) -> int:
        """What is there whatever the row."""
        return self.weights + self.gradients + self.moments

    @property
    def total(self) -> int:
        """All of it."""
        row = self.copies + self.activations + self.decoder + self.working
        return self.states + self.gathered + row


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How a step is computed, and on how many devices."""

    how: Pass
    gpus: int
    parallel: Parallel
    optimizer: Optimizer = "stable_adamw"


def memory(config: EncoderConfig, row_tokens: int, mask_rate: float, sharing: Sharing) -> Memory:
    """Return what training takes on one device.

    With fsdp weights, gradients and moments are shared out; what is in use is whole: table, head
    and norms throughout, one layer and the next, and one layer's gradients.
    """
    number = parameters(config)
    is_shared = sharing.parallel == "fsdp" and sharing.gpus > 1
    share = -(-number // sharing.gpus) if is_shared else number
    layer = layer_parameters(config)
    beside_layers = number - config.num_layers * layer
    row = kept(config, row_tokens, round(row_tokens * mask_rate), sharing.how)
    return Memory(
        weights=_WEIGHT * share,
        gradients=_WEIGHT * share,
        moments=_WEIGHT * -(-remembered(config, sharing.optimizer) * share // number),
        gathered=_WEIGHT * (beside_layers + 3 * layer) if is_shared else 0,
        copies=row.copies,
        activations=row.activations,
        decoder=row.decoder,
        working=row.working,
    )


def remembered(config: EncoderConfig, optimizer: Optimizer) -> int:
    """Return how many numbers an optimizer keeps: two a weight, and one of a matrix by Muon."""
    layer = 4 * config.dim**2 + mlp_matrices(config)
    return 2 * parameters(config) - (optimizer == "muon") * config.num_layers * layer


def longest_row(
    config: EncoderConfig, context: int, most: int, mask_rate: float, room: float, sharing: Sharing
) -> int:
    """Return the most tokens, in whole contexts and up to `most`, that fit; 0 where none do."""
    low, high = 0, most // context
    while low < high:
        middle = (low + high + 1) // 2
        if memory(config, middle * context, mask_rate, sharing).total <= room:
            low = middle
        else:
            high = middle - 1
    return low * context
