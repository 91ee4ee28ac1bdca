"""A text with [MASK] in, the likeliest tokens of each place out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.shapes import Float
from modernbert.batch import pack
from modernbert.infer.encode import scored
from modernbert.infer.export.running import ExportedModel
from modernbert.infer.pretrained import Pretrained
from modernbert.model.heads import MaskedLMHead


@dataclass(frozen=True, slots=True)
class Guess:
    """One candidate for a hidden token."""

    token: str
    probability: float


def fill(model: Pretrained, text: str, top: int = 5) -> list[list[Guess]]:
    """Rank candidates for every [MASK] of a text, in the order of the masks.

    Raises:
        ConfigError: the model has no masked-LM head, or `top` is less than 1.
        DataError: the text has no [MASK], or is longer than the model reads.
    """
    ids = model.tokenizer.encode(text).tolist()
    masked = [at for at, token in enumerate(ids) if token == model.tokenizer.mask_id]
    _check(model, len(ids), len(masked), top)
    return guess(model, ids, masked, top)


def guess(model: Pretrained, ids: list[int], masked: list[int], top: int) -> list[list[Guess]]:
    """Rank candidates for these places of one document, [CLS] and [SEP] included."""
    with torch.no_grad():
        shares = _logits(model, ids, masked).float().softmax(-1)
    best = shares.topk(min(top, shares.shape[-1]))
    return [
        [Guess(model.tokenizer.decode([token]), share) for token, share in zip(*row, strict=True)]
        for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _logits(model: Pretrained, ids: list[int], masked: list[int]) -> Float[Tensor, "M V"]:
    batch = pack([ids]).to(model.runs.device)
    if isinstance(model.runs, ExportedModel):
        return scored(model.runs, batch)[masked]
    assert isinstance(model.head, MaskedLMHead)
    return model.head.logits(model.encoder(batch)[masked])


def _check(model: Pretrained, num_tokens: int, num_masks: int, top: int) -> None:
    head = model.model.head_config
    if head is None or head.kind != "masked_lm":
        raise ConfigError("this model has no masked-LM head, so it cannot fill [MASK]")
    if top < 1:
        raise ConfigError(f"top is {top}: ask for at least 1 candidate")
    if not num_masks:
        raise DataError("the text has no [MASK]: write [MASK] where a token is to be guessed")
    if num_tokens > model.config.max_length:
        raise DataError(
            f"the text has {num_tokens} tokens, the model reads {model.config.max_length}: "
            "shorten it"
        )
