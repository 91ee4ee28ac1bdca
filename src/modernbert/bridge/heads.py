"""Transformers' heads over a body that runs packed: what they read there, or compile, is minded."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import signature
from typing import Any

from torch import Tensor
from transformers import ModernBertForMaskedLM as _TheirMaskedLM
from transformers import ModernBertForQuestionAnswering as _TheirSpans
from transformers import ModernBertForSequenceClassification as _TheirSequence
from transformers import ModernBertForTokenClassification as _TheirTokens

from modernbert.base.errors import ConfigError
from modernbert.bridge.packed import PADDING_COUNTS

_IGNORED = -100
"""The label that torch's losses leave out."""


def _like(theirs: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a forward method be asked for as theirs is: trainers look at its arguments."""

    def mark(forward: Callable[..., Any]) -> Callable[..., Any]:
        forward.__signature__ = signature(theirs.forward)  # type: ignore[attr-defined]
        return forward

    return mark


def _named(theirs: type[Any], given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Return what is given, by name."""
    return signature(theirs.forward).bind(None, *given, **named).arguments


@contextmanager
def _with_padding() -> Iterator[None]:
    token = PADDING_COUNTS.set(True)
    try:
        yield
    finally:
        PADDING_COUNTS.reset(token)


def _scored(found: dict[str, Any]) -> AbstractContextManager[None]:
    """Run padding along where a loss scores it: their span loss does, others by their labels."""
    mask, labels = found.get("attention_mask"), found.get("labels")
    if not isinstance(mask, Tensor) or mask.dim() != 2:
        return nullcontext()
    padding = ~mask.bool()
    is_scored = found.get("start_positions") is not None and bool(padding.any())
    if isinstance(labels, Tensor) and labels.shape == mask.shape:
        is_scored = bool((padding & (labels != _IGNORED)).any())
    return _with_padding() if is_scored else nullcontext()


class ModernBertForMaskedLM(_TheirMaskedLM):  # type: ignore[no-untyped-call]
    """Transformers' masked-LM model; version 4 would compile its head when it is first called."""

    @_like(_TheirMaskedLM)
    def forward(self, *given: Any, **named: Any) -> Any:
        """Score words."""
        with _scored(_named(_TheirMaskedLM, given, named)):
            return super().forward(*given, **named)

    def _maybe_set_compile(self) -> None:
        """Leave `reference_compile` as it is."""

    def compiled_head(self, output: Tensor) -> Tensor:
        """Run the head without compiling it."""
        logits: Tensor = self.decoder(self.head(output))
        return logits


class ModernBertForTokenClassification(_TheirTokens):  # type: ignore[no-untyped-call]
    """Transformers' classifier of tokens."""

    @_like(_TheirTokens)
    def forward(self, *given: Any, **named: Any) -> Any:
        """Score tokens."""
        with _scored(_named(_TheirTokens, given, named)):
            return super().forward(*given, **named)


class ModernBertForQuestionAnswering(_TheirSpans):  # type: ignore[no-untyped-call]
    """Transformers' finder of spans, whose loss lets padding compete with the tokens."""

    @_like(_TheirSpans)
    def forward(self, *given: Any, **named: Any) -> Any:
        """Score where a span begins and ends."""
        with _scored(_named(_TheirSpans, given, named)):
            return super().forward(*given, **named)


class ModernBertForSequenceClassification(_TheirSequence):  # type: ignore[no-untyped-call]
    """Transformers' classifier of texts, which reads [CLS] at position 0 and nowhere else."""

    @_like(_TheirSequence)
    def forward(self, *given: Any, **named: Any) -> Any:
        """Score texts.

        Raises:
            ConfigError: padding stands where the head reads.
        """
        mask = _named(_TheirSequence, given, named).get("attention_mask")
        is_grid = isinstance(mask, Tensor) and mask.dim() == 2
        empty = mask[:, 0].logical_not() if mask is not None and is_grid else None
        if self.config.classifier_pooling == "cls" and empty is not None and empty.any():
            row = int(empty.nonzero()[0, 0])
            raise ConfigError(
                f"row {row} begins with padding, and this classifier reads position 0, which is "
                "empty then: pad on the right, or use classifier_pooling 'mean'"
            )
        return super().forward(*given, **named)


PAIRS = (
    (_TheirMaskedLM, ModernBertForMaskedLM),
    (_TheirTokens, ModernBertForTokenClassification),
    (_TheirSpans, ModernBertForQuestionAnswering),
    (_TheirSequence, ModernBertForSequenceClassification),
)
"""Their classes and ours."""
