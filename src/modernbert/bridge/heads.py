"""Transformers' heads over a body that runs packed: what they read there, or compile, is minded."""

from typing import Any

from torch import Tensor
from transformers import ModernBertForMaskedLM as _TheirMaskedLM
from transformers import ModernBertForSequenceClassification as _TheirSequence

from modernbert.base.errors import ConfigError


class ModernBertForMaskedLM(_TheirMaskedLM):  # type: ignore[no-untyped-call]
    """Transformers' masked-LM model; version 4 would compile its head when it is first called."""

    def _maybe_set_compile(self) -> None:
        """Leave `reference_compile` as it is."""

    def compiled_head(self, output: Tensor) -> Tensor:
        """Run the head without compiling it."""
        logits: Tensor = self.decoder(self.head(output))
        return logits


class ModernBertForSequenceClassification(_TheirSequence):  # type: ignore[no-untyped-call]
    """Transformers' classifier of texts, which reads [CLS] at position 0 and nowhere else."""

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **more: Any
    ) -> Any:
        """Score texts.

        Raises:
            ConfigError: padding stands where the head reads.
        """
        is_first = self.config.classifier_pooling == "cls"
        if is_first and attention_mask is not None and not attention_mask[:, 0].all():
            row = int(attention_mask[:, 0].bool().logical_not().nonzero()[0, 0])
            raise ConfigError(
                f"row {row} begins with padding, and this classifier reads position 0, which is "
                "empty then: pad on the right, or use classifier_pooling 'mean'"
            )
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **more)


PAIRS = (
    (_TheirMaskedLM, ModernBertForMaskedLM),
    (_TheirSequence, ModernBertForSequenceClassification),
)
"""Their classes and ours."""
