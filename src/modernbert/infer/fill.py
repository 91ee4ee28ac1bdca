"""Texts with [MASK] in, the likeliest tokens of each place out."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.shapes import Float
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.reading import ReadText, check_list
from modernbert.infer.readouts import MaskScores
from modernbert.infer.replies import Guess
from modernbert.infer.work import Work, computed


def fill(model: Pretrained, text: str, top: int = 5) -> list[list[Guess]]:
    """Rank candidates for every [MASK] of a text, in the order of the masks.

    Raises:
        ConfigError: the model has no masked-LM head, or `top` is less than 1.
        DataError: the text has no [MASK], or is longer than the model reads.
    """
    return computed(model, filling(model, [text], top))[0]


def filling(model: Pretrained, texts: Sequence[str], top: int = 5) -> Work[list[list[list[Guess]]]]:
    """Return what has a model rank candidates for each [MASK] of each text; see `fill`."""
    check_list(texts)
    read = [_read(model, text, top) for text in texts]
    return Work(MaskScores(), read, lambda rows: [_ranked(model, each, top) for each in rows])


def guess(model: Pretrained, ids: list[int], masked: list[int], top: int) -> list[list[Guess]]:
    """Rank candidates for these places of one document, [CLS] and [SEP] included."""
    read = ReadText(np.array(ids, dtype=np.int64), len(ids), tuple(masked))
    return computed(model, Work(MaskScores(), [read], lambda rows: _ranked(model, rows[0], top)))


def _read(model: Pretrained, text: str, top: int) -> ReadText:
    ids = model.tokenizer.encode(text)
    masked = tuple(np.flatnonzero(ids == model.tokenizer.mask_id).tolist())
    _check(model, len(ids), len(masked), top)
    return ReadText(ids, len(ids), masked)


def _ranked(model: Pretrained, logits: Float[Tensor, "M V"], top: int) -> list[list[Guess]]:
    best = logits.softmax(-1).topk(min(top, logits.shape[-1]))
    return [
        [
            Guess(model.tokenizer.decode([token]), share, token)
            for token, share in zip(*row, strict=True)
        ]
        for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


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
