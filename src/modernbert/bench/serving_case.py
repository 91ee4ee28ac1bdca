"""How servers are put under load, by name and number; free of torch and numpy."""

from dataclasses import dataclass
from typing import Literal, get_args

from modernbert.base.errors import ConfigError

Kind = Literal["query", "passage", "document"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_HUNDRED = 100
_LEAST_WARM_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCase:
    """Clients that each ask again as soon as they are answered, with texts of mixed lengths."""

    clients: tuple[int, ...] = (1, 4, 16, 64)
    """How many ask at once; each number is a point of its own."""
    seconds: float = 8.0
    """What is measured at each point, after a quarter of that in which it warms up."""
    rounds: int = 3
    """Times that each server is started and measured at all points."""
    passages: int = 28
    """Of a hundred requests; each has one text, of about 200 tokens."""
    documents: int = 2
    """Of a hundred requests, of 1,024 to 8,192 tokens; all that is left are queries of about 16."""
    writers: int = 2
    """Clients that send long documents without pause while one other sends queries."""
    infinity_batch: int = 32
    """Texts in a batch of infinity, which pads all to the longest; 32 is its own."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject what cannot be measured."""
        counts = (*self.clients, self.writers, self.infinity_batch)
        if self.rounds < 2 or self.seconds <= 0 or not self.clients or min(counts) < 1:
            raise ConfigError(
                f"rounds is {self.rounds}, seconds {self.seconds:g}, clients {self.clients}, "
                f"writers {self.writers} and infinity_batch {self.infinity_batch}: rounds is 2 or "
                "more, seconds above 0, and every other number 1 or more"
            )
        if min(self.of_hundred.values()) < 1:
            raise ConfigError(
                f"passages is {self.passages} and documents {self.documents} of a hundred "
                "requests: leave at least 1 to each kind, and to queries"
            )

    @property
    def of_hundred(self) -> dict[Kind, int]:
        """How many of a hundred requests are of each kind."""
        queries = _HUNDRED - self.passages - self.documents
        return {"query": queries, "passage": self.passages, "document": self.documents}

    @property
    def warm_s(self) -> float:
        """How long clients ask before it counts."""
        return max(_LEAST_WARM_S, self.seconds / 4)
