"""A live model of transformers or sentence-transformers in, the same object faster out."""

from typing import TypeVar

from torch import nn

from modernbert.base.errors import ConfigError, MachineError

M = TypeVar("M", bound=nn.Module)


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
            f"{_kind(model)} holds no ModernBERT of transformers, and nothing else can be "
            "accelerated; models of this package run on its kernels already"
        )
    from modernbert.bridge import checks, expansion

    checks.check(model)
    for theirs, ours in pairs:
        _change(model, theirs, ours)
    expansion.follow(model)
    return model


def restore(model: M) -> M:
    """Undo `accelerate`; a model that was not accelerated stays as it is.

    Raises:
        ConfigError: it is no model.
        MachineError: transformers is not installed.
    """
    pairs = _pairs()
    _check_module(model)
    from modernbert.bridge import expansion

    for theirs, ours in pairs:
        _change(model, ours, theirs)
    expansion.forget(model)
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


def _kind(model: nn.Module) -> str:
    """Name what a model is at its heart: a wrapper's name alone would say little."""
    from transformers import PreTrainedModel

    inside = [type(each).__name__ for each in model.modules() if isinstance(each, PreTrainedModel)]
    name = type(model).__name__
    return f"{name} ({inside[0]})" if inside and inside[0] != name else name
