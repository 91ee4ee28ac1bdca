"""Queries that sentence-transformers or PyLate expand: what stands behind the mask is encoded too.

ColBERT fills a query up with tokens that read it and are not read (arXiv 2004.12832, section 3.2).
"""

from functools import partial
from typing import Any

from torch import nn

from modernbert.bridge.packed import PADDING_COUNTS, ModernBertModel

_PYLATE = "pylate.models.colbert.ColBERT"
_SENTENCE = "sentence_transformers.base.modules.transformer.Transformer"


def follow(model: nn.Module) -> None:
    """Let the encoders inside a model know which masked positions are wanted."""
    for wrapper in list(model.modules()):
        if _is_a(_PYLATE, wrapper):
            _mark_padding(wrapper)
        elif _is_a(_SENTENCE, wrapper) and "forward" not in vars(wrapper):
            wrapper.forward = partial(_forward, wrapper)


def forget(model: nn.Module) -> None:
    """Undo `follow`."""
    for module in model.modules():
        own = vars(module)
        own.pop("padding_marks", None)
        forward = own.get("forward")
        if isinstance(forward, partial) and forward.func is _forward:
            del own["forward"]


def _forward(wrapper: nn.Module, features: dict[str, Any], **more: Any) -> Any:
    """Run sentence-transformers' own method; the positions it expanded are told to the encoder.

    It marks them itself, since its padding may be the same token.
    """
    expanded = features.get("query_expansion_positions")
    token = PADDING_COUNTS.set(expanded is not None and bool(expanded.any()))
    try:
        return type(wrapper).forward(wrapper, features, **more)
    finally:
        PADDING_COUNTS.reset(token)


def _mark_padding(colbert: Any) -> None:
    """Tell the encoder which rows PyLate pads with [MASK] and never reads there.

    It expands queries by the same [MASK] behind the same mask, and those it does read.
    """
    marks = {colbert.document_prefix_id}
    marks |= set() if colbert.do_query_expansion else {colbert.query_prefix_id}
    for body in colbert.modules():
        if isinstance(body, ModernBertModel):
            body.padding_marks = frozenset(marks - {None})


def _is_a(name: str, module: nn.Module) -> bool:
    # By name: importing a library to compare classes would cost seconds to all who do not use it.
    return any(f"{kind.__module__}.{kind.__name__}" == name for kind in type(module).__mro__)
