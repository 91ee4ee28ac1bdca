"""How rotary frequencies are stretched for longer texts, as data; no torch."""

from dataclasses import dataclass
from typing import Literal

from modernbert.base.errors import ConfigError

ScalingKind = Literal["none", "linear", "yarn", "llama3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """One way to stretch rotary positions beyond the length they were trained for."""

    kind: ScalingKind = "none"
    """linear slows all frequencies, yarn and llama3 the slow ones more than the fast ones."""
    factor: float = 1.0
    """How many times longer texts become."""
    original_length: int = 8192
    """Tokens that the frequencies were trained for; for yarn and llama3."""
    attention_factor: float = 1.0
    """What cosines and sines are multiplied by; for yarn."""
    beta_fast: float = 32.0
    """Frequencies that turn more often than this within the original length stay; for yarn."""
    beta_slow: float = 1.0
    """Frequencies that turn less often are slowed by the whole factor; for yarn."""
    low_freq_factor: float = 1.0
    """As beta_slow; for llama3."""
    high_freq_factor: float = 4.0
    """As beta_fast; for llama3."""

    def __post_init__(self) -> None:
        """Reject what gives no frequencies."""
        positive = (self.factor, self.original_length, self.attention_factor, self.beta_slow)
        if min(positive) <= 0 or self.low_freq_factor <= 0:
            raise ConfigError(
                f"factor, original_length, attention_factor and beta_slow of a rope scaling are "
                f"{positive}, low_freq_factor is {self.low_freq_factor}: all must be above 0"
            )
        if self.beta_fast < self.beta_slow or self.high_freq_factor <= self.low_freq_factor:
            raise ConfigError(
                f"a rope scaling has beta_fast {self.beta_fast} and high_freq_factor "
                f"{self.high_freq_factor}: they must not be below beta_slow {self.beta_slow} and "
                f"be above low_freq_factor {self.low_freq_factor}"
            )


UNSCALED = RopeScaling()
