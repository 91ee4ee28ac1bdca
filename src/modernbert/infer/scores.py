"""Token ids of documents in, what a head says of each out: packed, in batches of a budget."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.base.shapes import Float
from modernbert.batch import split
from modernbert.data.tokenizer import Ids
from modernbert.infer.embed import BATCH_TOKENS, batches
from modernbert.infer.encode import scored
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import HeadConfig, HeadKind

_HEADS: dict[HeadKind, tuple[str, str]] = {
    "sequence": ("labels texts", "classify"),
    "tokens": ("tags words", "tokens"),
    "spans": ("finds answers", "spans"),
    "choice": ("chooses", "choice"),
}
"""What a head does, and the task that makes one."""


def head_of(model: Pretrained, kind: HeadKind) -> HeadConfig:
    """Return what the head reads out.

    Raises:
        ConfigError: it is of another kind, or there is none.
    """
    head = model.model.head_config
    if head is None or head.kind != kind:
        does, task = _HEADS[kind]
        raise ConfigError(
            f"this model has no head that {does}: make one with `modernbert finetune {task}`"
        )
    return head


def warn_of_head(name: str, model: Pretrained) -> None:
    """Say that a model was made to score, and not for vectors that are compared."""
    head = model.model.head_config
    if head is not None and head.kind in _HEADS:
        say(
            f"{name} {_HEADS[head.kind][0]}: its vectors were not made to be compared (one that "
            "scores pairs is a --reranker)"
        )


@torch.no_grad()
def scores_of(model: Pretrained, documents: Sequence[Ids]) -> list[Float[Tensor, "..."]]:
    """Return the head's scores before any activation, in the documents' order, on the CPU.

    A row [N] for each document where the head reads documents, else a row a token [T N].
    """
    head = model.model.head_config
    is_per_document = head is not None and head.reads_documents
    found: dict[int, Tensor] = {}
    for numbers, batch in batches(model.runs, documents, BATCH_TOKENS):
        scores = scored(model.runs, batch).float().cpu()
        rows = scores if is_per_document else split(scores, batch.layout)
        found |= dict(zip(numbers, rows, strict=True))
    return [found[number] for number in range(len(documents))]
