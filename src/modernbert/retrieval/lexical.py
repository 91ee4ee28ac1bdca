"""Documents in, those that share a query's words out: BM25 as Lucene computes it."""

import re
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import MachineError
from modernbert.retrieval.hits import Hits

K1, B = 0.9, 0.4
"""As BEIR's and Anserini's baselines have them (arXiv 2104.08663)."""
# Lucene's for English.
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their "
        "then there these they this to was will with",
    )
)
_WORD = re.compile(r"\w+")
# parseDate, parse_date and HTTPServer hold two words each, in code and out of it.
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")


@final
class Lexical:
    """An index of words; they are compared in lower case, without stemming."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Count the words of all documents.

        Raises:
            MachineError: bm25s is missing.
        """
        try:
            import bm25s
        except ImportError as error:
            raise MachineError(
                "BM25 needs bm25s: pip install 'modernbert[retrieve]', or say --no-bm25"
            ) from error
        self._size = len(texts)
        self._vocabulary: dict[str, int] = {}
        ids = [[self._id_of(word) for word in words_of(text)] for text in texts]
        self._index: Any = None
        if self._vocabulary:
            self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._index.index((ids, self._vocabulary), show_progress=False)

    def search(self, queries: Sequence[str], number: int) -> list[Hits]:
        """Return the best documents of each query; those that share no word are left out."""
        return [self._best(query, number) for query in queries]

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return the score of every document; 0 where it shares no word."""
        ids = [self._vocabulary[word] for word in words_of(query) if word in self._vocabulary]
        if not ids:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._index.get_scores_from_ids(ids), dtype=np.float32)

    def _best(self, query: str, number: int) -> Hits:
        scores = self.scores(query)
        # Stable, so that documents of equal scores are found in their order.
        order = np.argsort(-scores, kind="stable")[:number]
        order = order[scores[order] > 0]
        return Hits(order.astype(np.int64), scores[order])

    def _id_of(self, word: str) -> int:
        return self._vocabulary.setdefault(word, len(self._vocabulary))


def words_of(text: str) -> list[str]:
    """Return the words of a text that are looked for, those within names of code too."""
    spaced = _BORDER.sub(" ", text).lower()
    return [word for word in _WORD.findall(spaced) if word not in _STOP_WORDS]
