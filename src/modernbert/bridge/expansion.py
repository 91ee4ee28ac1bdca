"""Queries that sentence-transformers or PyLate expand: what stands behind the mask is encoded too.

ColBERT fills a query up with tokens that read it and are not read (arXiv 2004.12832, section 3.2).
"""

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
        elif _is_a(_SENTENCE, wrapper) and _before not in wrapper._forward_pre_hooks.values():
            wrapper.register_forward_pre_hook(_before)
            wrapper.register_forward_hook(_after, always_call=True)


def forget(model: nn.Module) -> None:
    """Undo `follow`."""
    for module in model.modules():
        module.__dict__.pop("padding_marks", None)
        for hooks, ours in ((module._forward_pre_hooks, _before), (module._forward_hooks, _after)):
            for key in [key for key, hook in hooks.items() if hook is ours]:
                del hooks[key]
                module._forward_hooks_always_called.pop(key, None)


def _before(_: nn.Module, given: tuple[Any, ...]) -> None:
    """Sentence-transformers marks the positions itself: its padding may be the same token."""
    expanded = given[0].get("query_expansion_positions")
    PADDING_COUNTS.set(expanded is not None and bool(expanded.any()))


def _after(*_: Any) -> None:
    PADDING_COUNTS.set(None)


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
