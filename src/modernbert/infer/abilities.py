"""A model in, what it can do for texts out; known from its files, before anything is computed."""

from typing import Literal

from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import HeadKind

Ability = Literal[
    "embed", "token_vectors", "sparse", "rerank", "classify", "tag", "answer", "choose", "fill"
]

_OF_HEADS: dict[HeadKind, Ability] = {
    "sequence": "classify",
    "tokens": "tag",
    "spans": "answer",
    "choice": "choose",
    "masked_lm": "fill",
}


def abilities_of(model: Pretrained) -> tuple[Ability, ...]:
    """Return what a model was made for, its main use first; each is a method of `Engine`.

    A head that labels, tags, answers or chooses leaves vectors behind that were not made to be
    compared; a bare encoder's mean is at least what everybody takes.
    """
    config, head = model.sentence.config, model.model.head_config
    found: list[Ability] = []
    if config.is_sparse:
        found.append("sparse")
    elif config.late is not None:
        found += ["token_vectors", "rerank"]
    elif not config.is_per_token and (head is None or _leaves_vectors(model, head.kind)):
        found.append("embed")
    if head is not None and head.kind == "sequence" and head.num_scores == 1:
        found.append("rerank")
    if head is not None:
        found.append(_OF_HEADS[head.kind])
    return tuple(found)


def _leaves_vectors(model: Pretrained, kind: HeadKind) -> bool:
    """Return whether a head was there before anybody asked the model for more than words."""
    return kind == "masked_lm" and model.graph is None
