"""A live model of transformers or sentence-transformers in, the same object faster out."""

from typing import Any, TypeVar

from torch import nn

from modernbert.base.errors import ConfigError, MachineError

M = TypeVar("M", bound=nn.Module)

_PYLATE = "pylate.models.colbert.ColBERT"
_SENTENCE = "sentence_transformers.base.modules.transformer.Transformer"


def accelerate(model: M) -> M:
    """Run the ModernBERT inside a model packed, on this package's kernels; return the model.

    Takes a ModernBERT of transformers under any head, and whatever holds one: models of
    sentence-transformers, PEFT adapters, PyLate. Parameters, saving and moving stay as they are;
    hooks on layers and their parts see tokens on one flat axis. Outputs at real tokens are the
    same; padded positions become zero.

    Raises:
        ConfigError: the model holds no ModernBERT, or one that cannot be computed exactly.
        MachineError: transformers is not installed.
    """
    pairs = _pairs()
    _check_module(model)
    if not any(isinstance(module, pairs[0][0]) for module in model.modules()):
        raise ConfigError(
            f"{_kind(model)} holds no ModernBERT, and nothing else can be accelerated"
        )
    from modernbert.bridge.checks import check

    check(model)
    for module in model.modules():
        if _is_a(_SENTENCE, module):
            _check_expansion(module)
    for theirs, ours in pairs:
        _change(model, theirs, ours)
    _mark_padding(model)
    return model


def restore(model: M) -> M:
    """Undo `accelerate`; a model that was not accelerated stays as it is.

    Raises:
        ConfigError: it is no model.
        MachineError: transformers is not installed.
    """
    pairs = _pairs()
    _check_module(model)
    for theirs, ours in pairs:
        _change(model, ours, theirs)
    for module in model.modules():
        module.__dict__.pop("padding_marks", None)
    return model


def _pairs() -> tuple[tuple[type[nn.Module], type[nn.Module]], ...]:
    """Return their classes and ours, the encoders first."""
    try:
        from modernbert.bridge import heads, layers, packed
    except ImportError as error:
        raise MachineError(
            "accelerating a model needs transformers: pip install 'transformers>=4.57'"
        ) from error
    return (*packed.PAIRS, *layers.PAIRS, *heads.PAIRS)


def _check_module(model: object) -> None:
    if isinstance(model, nn.Module):
        return
    kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
    raise ConfigError(f"{kind} is no torch module: give the model itself, of a pipeline its .model")


def _change(model: nn.Module, before: type[nn.Module], after: type[nn.Module]) -> None:
    for module in model.modules():
        if type(module) is before:
            # Only this object changes: the class that others share stays as it is.
            module.__class__ = after


def _mark_padding(model: nn.Module) -> None:
    """Tell the encoder of a PyLate model which rows it pads with [MASK] and never reads there.

    It expands queries by the same [MASK] behind the same mask, and those it does read.
    """
    from modernbert.bridge.packed import ModernBertModel

    for wrapper in model.modules():
        if not _is_a(_PYLATE, wrapper):
            continue
        colbert: Any = wrapper
        marks = {colbert.document_prefix_id}
        marks |= set() if colbert.do_query_expansion else {colbert.query_prefix_id}
        bodies = (each for each in wrapper.modules() if isinstance(each, ModernBertModel))
        for body in bodies:
            body.padding_marks = frozenset(marks - {None})


def _check_expansion(transformer: Any) -> None:
    """Refuse queries that are expanded by what cannot be told from padding."""
    expansion, tokenizer = transformer.query_expansion, transformer.tokenizer
    if expansion is None or expansion["attend"]:
        return
    token = expansion.get("token") or tokenizer.mask_token
    if token == tokenizer.pad_token:
        raise ConfigError(
            f"this model expands queries by {token!r}, which is also its padding, and padded "
            "positions of an accelerated model are zero: expand by another token"
        )


def _is_a(name: str, module: nn.Module) -> bool:
    # By name: importing a library to compare classes would cost seconds to all who do not use it.
    return any(f"{kind.__module__}.{kind.__name__}" == name for kind in type(module).__mro__)


def _kind(model: nn.Module) -> str:
    """Name what a model is at its heart: a wrapper's name alone would say little."""
    from transformers import PreTrainedModel

    inside = [type(each).__name__ for each in model.modules() if isinstance(each, PreTrainedModel)]
    name = type(model).__name__
    return f"{name} ({inside[0]})" if inside and inside[0] != name else name
