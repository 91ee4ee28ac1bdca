"""Which rows of a corpus are filled and drawn; free of torch, for the command line."""

from dataclasses import dataclass

from modernbert.base.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingCase:
    """How text is laid into rows, and the training that reads them."""

    contexts: tuple[int, ...] = (1024, 8192)
    """Longest chunks, in tokens; those of the paper's phases (table 3)."""
    rows: tuple[int, ...] = (1024, 8192, 98_304)
    """Tokens of a row; the largest is the paper's micro-batch of its first phase."""
    batch_tokens: int = 4_718_592
    """Tokens of a step's rows together, for fill and for the loader alone."""
    model: str = "tiny"
    """Name of the preset whose training is timed beside the loader; the smallest takes most."""
    training_row_tokens: int = 16_384
    """Tokens of its row, one a step."""
    training_precision: str = "auto"
    """float32, bfloat16, or auto for the faster here."""
    seconds: float = 4.0
    """That each work is given in a round."""
    rounds: int = 5

    def __post_init__(self) -> None:
        """Reject what cannot be measured."""
        sizes = (*self.contexts, *self.rows)
        if not self.contexts or not self.rows or min(sizes) < 3:
            raise ConfigError(f"contexts and rows are {sizes}: give some, of 3 tokens or more")
        if min(self.contexts) > max(self.rows):
            raise ConfigError(
                f"no row of {max(self.rows)} tokens holds a context of {min(self.contexts)}: "
                "give larger rows"
            )
        if max(self.rows) > self.batch_tokens or self.training_row_tokens < min(self.contexts):
            raise ConfigError(
                f"batch_tokens {self.batch_tokens} and training_row_tokens "
                f"{self.training_row_tokens} must hold a row of {max(self.rows)} and a chunk of "
                f"{min(self.contexts)}: raise them"
            )
        if self.rounds < 2 or not self.seconds > 0:
            raise ConfigError(
                f"rounds is {self.rounds} and seconds {self.seconds}: a spread needs 2 rounds or "
                "more, and each some time"
            )
