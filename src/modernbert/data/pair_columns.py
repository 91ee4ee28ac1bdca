"""Rows of a table in, which columns hold queries, documents and scores out: guessed by name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.base.errors import DataError
from modernbert.data.columns import check_named

# In the order in which they are looked for.
_QUERIES = (
    *("query", "anchor", "question", "queries", "search_query", "claim", "docstring"),
    *("sentence1", "text1", "text_a", "premise", "title", "prompt", "instruction", "text"),
)
_POSITIVES = (
    *("positive", "pos", "positives", "document", "passage", "answer", "code", "context"),
    *("response", "sentence2", "text2", "text_b", "hypothesis", "abstract", "body", "doc"),
    *("chosen", "content", "text"),
)
_NEGATIVE = re.compile(r"(?:hard_?)?neg(?:ative)?s?_?(\d*)|rejected")
_SCORES = ("scores", "score", "teacher_scores", "label", "labels", "similarity", "margin")


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Which column holds what; an empty name is none."""

    query: str = ""
    positive: str = ""
    """Documents that answer, one a row or a list."""
    negatives: tuple[str, ...] = ()
    """Documents that do not, one a column or a list in a column."""
    scores: str = ""
    """What a teacher says of the documents, or how well a pair fits."""

    def spelled(self) -> str:
        """Name the columns for a person."""
        parts = {
            "queries": self.query,
            "documents": self.positive,
            "negatives": ", ".join(self.negatives),
            "scores": self.scores,
        }
        return "; ".join(f"{what} in {names}" for what, names in parts.items() if names)


def guess(given: PairColumns, names: Sequence[str], where: str) -> PairColumns:
    """Fill in what was not said; what was said must be there.

    Raises:
        DataError: a named column is not there, or nothing says which column is meant.
    """
    check_named((given.query, given.positive, *given.negatives, given.scores), names, where)
    by_name = {name.strip().lower(): name for name in reversed(names)}
    query = given.query or _first(_QUERIES, by_name, (given.positive,))
    positive = given.positive or _first(_POSITIVES, by_name, (query,))
    if not query or not positive:
        raise DataError(
            f"{where} has the columns {', '.join(names)}, and none is seen to hold "
            f"{'documents' if query else 'queries'}: name it with --query and --positive"
        )
    taken = (query, positive)
    negatives = given.negatives or _negatives([name for name in names if name not in taken])
    scores = given.scores or _first(_SCORES, by_name, taken)
    return PairColumns(query, positive, negatives, scores)


def _first(known: Sequence[str], by_name: dict[str, str], taken: Sequence[str]) -> str:
    found = (by_name[name] for name in known if name in by_name)
    return next((name for name in found if name not in taken), "")


def _negatives(names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of negatives in the order of their numbers."""
    found = {name: _NEGATIVE.fullmatch(name.strip().lower()) for name in names}
    numbered = {name: int(match[1] or 0) for name, match in found.items() if match}
    return tuple(sorted(numbered, key=lambda name: numbered[name]))
