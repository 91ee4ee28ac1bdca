"""What is measured, by name and number; free of torch, for the command line."""

from dataclasses import dataclass

from modernbert.base.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCase:
    """One shape trained on one corpus, beside a padded loop over transformers."""

    model: str = "tiny"
    """Name of a preset."""
    context_length: int = 1024
    """Longest chunk of a document, in tokens."""
    row_tokens: int = 16_384
    """Tokens in one optimizer step."""
    batch_size: int = 16
    """Documents in one padded batch of the other side."""
    rounds: int = 9
    """Timed optimizer steps of each side."""

    def __post_init__(self) -> None:
        """Reject sizes that cannot be measured."""
        if self.rounds < 2 or self.batch_size < 1:
            raise ConfigError(
                f"rounds is {self.rounds} and batch_size {self.batch_size}: "
                "a spread needs 2 rounds or more, a batch 1 document or more"
            )
