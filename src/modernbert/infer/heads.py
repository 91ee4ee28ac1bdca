"""A model in, its head out if it is of the kind that is needed."""

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
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
