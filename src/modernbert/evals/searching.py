"""Models and a judged set in; what each way to search finds, and how well, out.

OUT/SET/SYSTEM.run      the documents found, in trec_eval's form
OUT/SET/queries.jsonl   every measure of every query
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from modernbert.base import files
from modernbert.base.log import say
from modernbert.data.judged import JudgedSet
from modernbert.evals import among
from modernbert.evals.judging import Measured, Scored, by_id, chance, judge, means
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.retrieval_results import SetResult
from modernbert.infer.pretrained import Pretrained
from modernbert.retrieval.exact import scored_at
from modernbert.retrieval.hits import Best, Chosen, Hits, behind, fused, joined
from modernbert.retrieval.lexical import Lexical
from modernbert.retrieval.rerank import rerank

MODEL, BM25, HYBRID, RERANKED, JOINED = "model", "bm25", "hybrid", "reranked", "joined"
_SPACE = re.compile(r"\s")
_QUERIES = 512
"""Whose documents are measured at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Searcher:
    """The models that search."""

    model: Pretrained
    reranker: Pretrained | None
    lengths: tuple[int, ...]
    """Tokens at which documents are cut, the shortest first."""

    def named(self, system: str) -> dict[int, str]:
        """Return a system's name at each length: itself where there is but one."""
        if len(self.lengths) == 1:
            return {self.lengths[0]: system}
        return {length: f"{system}@{length}" for length in self.lengths}


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found in one set."""

    runs: dict[str, list[Hits]]
    """Of each system, the best documents of each query."""
    ranks: dict[str, NDArray[np.float64]]
    """Of each system, 1 / rank of a right document among others that were drawn."""
    seconds: float
    reference: str
    """The system that the others are compared with: the model, where it reads most."""


def find(by: Searcher, given: JudgedSet, options: RetrievalOptions) -> Found:
    """Search a set by the model, by words, by both, and by a reranker, as far as it is asked for.

    Raises:
        ConfigError: the model's way of comparing is unknown.
        DataError: a text holds what is no character.
        MachineError: a package is missing.
    """
    search = _Search(by, given, options)
    start = time.perf_counter()
    search.by_model()
    seconds = time.perf_counter() - start
    if options.bm25:
        search.by_words()
    if by.reranker is not None:
        search.by_reranker(by.reranker)
    ranks = {
        system: among.reciprocal_ranks(each, search.drawn) for system, each in search.scores.items()
    }
    reference = by.named(MODEL)[by.lengths[-1]]
    return Found(search.runs, ranks, seconds, reference)


@final
class _Search:
    """One set, and what was found in it so far."""

    def __init__(self, by: Searcher, given: JudgedSet, options: RetrievalOptions) -> None:
        self._by, self._options = by, options
        self._texts, self._asked = list(given.documents.values()), list(given.queries.values())
        self._own = _own(given) if options.ignore_identical_ids else {}
        # One more, so that as many are left where the query's own document is left out.
        self._number = options.number + bool(self._own)
        self.runs: dict[str, list[Hits]] = {}
        self.drawn = among.drawn(given, options.distractors)
        self.scores: dict[str, among.Scores] = {}
        """Of each system, those of the documents that were drawn; none where none were."""

    def by_model(self) -> None:
        """Compare vectors, at every length."""
        names = self._by.named(MODEL)
        best = {length: Best(len(self._asked), self._number) for length in names}
        chosen = {length: Chosen(self.drawn, len(self._texts)) for length in names}
        pieces = scored_at(self._by.model, self._asked, self._texts, self._by.lengths)
        for numbers, length, scores in pieces:
            values = scores.float().cpu().numpy()
            best[length].add(values, np.array(numbers))
            if self._options.distractors:
                chosen[length].add(values, np.array(numbers))
        for length, name in names.items():
            self.runs[name] = self._others(best[length].hits())
            if self._options.distractors:
                self.scores[name] = chosen[length].scores

    def by_words(self) -> None:
        """Search by BM25, and join what it finds with what the model found."""
        words = Lexical(self._texts)
        self.runs[BM25] = self._others(words.search(self._asked, self._number))
        names = zip(self._by.named(MODEL).values(), self._by.named(HYBRID).values(), strict=True)
        if self._options.distractors:
            rows = zip(self._asked, self.drawn, strict=True)
            scored = np.stack([words.scores(query)[numbers] for query, numbers in rows])
            self.scores[BM25] = np.where(scored > 0, scored, np.float32(-np.inf))
        for model, both in names:
            self.runs[both] = fused(self.runs[model], self.runs[BM25], self._options.number)
            if self._options.distractors:
                self.scores[both] = among.fused_scores([self.scores[model], self.scores[BM25]])

    def by_reranker(self, reranker: Pretrained) -> None:
        """Put the best of both, or of the model alone, in the reranker's order, and in both."""
        last = self._by.named(HYBRID if self._options.bm25 else MODEL)[self._by.lengths[-1]]
        first = [found.first(self._options.num_reranked) for found in self.runs[last]]
        reranked = rerank(reranker, self._asked, self._texts, first)
        # What nobody read again stays behind, in its order, or recall would be of the others alone.
        for name, found in ((RERANKED, reranked), (JOINED, joined(first, reranked))):
            self.runs[name] = [
                behind(best, whole) for best, whole in zip(found, self.runs[last], strict=True)
            ]

    def _others(self, hits: Sequence[Hits]) -> list[Hits]:
        """Leave each query's own document out, and then what is more than was asked for."""
        found = []
        for query, each in enumerate(hits):
            are_others = each.numbers != self._own.get(query, -1)
            kept = Hits(each.numbers[are_others], each.scores[are_others])
            found.append(kept.first(self._options.number))
        return found


def _own(given: JudgedSet) -> dict[int, int]:
    """Return the numbers of queries and documents that have one id."""
    places = {name: number for number, name in enumerate(given.documents)}
    return {number: places[query] for number, query in enumerate(given.queries) if query in places}


def measure(found: Found, given: JudgedSet, out: Path, options: RetrievalOptions) -> SetResult:
    """Judge what was found, write it into a folder, and return the means.

    Raises:
        MachineError: the folder cannot be written.
    """
    files.make_folder(out)
    measured = {system: _judged(system, hits, given, out) for system, hits in found.runs.items()}
    for system, ranks in found.ranks.items():
        for query, rank in zip(given.queries, ranks.tolist(), strict=True):
            measured[system][query][f"mrr-of-{options.distractors + 1}"] = rank
    _write_queries(out, measured)
    return SetResult(
        name=given.name,
        documents=len(given.documents),
        queries=len(given.queries),
        judgements=sum(map(len, given.judged.values())),
        notes=given.notes,
        means={system: means(each) for system, each in measured.items()},
        chances={
            system: chance(measured[found.reference], each)
            for system, each in measured.items()
            if system != found.reference
        },
        seconds=found.seconds,
    )


def say_what(given: JudgedSet) -> None:
    """Say how large a set is, and what is odd about it."""
    say(
        f"{given.name}: {len(given.documents)} documents, {len(given.queries)} queries"
        + "".join(f"; {note}" for note in given.notes)
    )


def _judged(system: str, hits: Sequence[Hits], given: JudgedSet, out: Path) -> Measured:
    """Measure what a system found, and keep it for trec_eval; some queries are in memory."""
    documents, queries = list(given.documents), list(given.queries)
    measured: Measured = {}
    with files.whole_file(out / f"{system}.run") as aside, aside.open("w", encoding="utf-8") as run:
        for start in range(0, len(queries), _QUERIES):
            some = queries[start : start + _QUERIES]
            found = by_id(hits[start : start + _QUERIES], some, documents)
            measured |= judge({query: given.judged[query] for query in some}, found)
            run.writelines(_lines(system, found))
    return measured


def _lines(system: str, found: Scored) -> Iterator[str]:
    for query, each in found.items():
        for rank, (document, score) in enumerate(each.items(), start=1):
            ids = f"{_field(query)} Q0 {_field(document)}"
            yield f"{ids} {rank} {score:.6f} {system}\n"


def _field(name: str) -> str:
    """Spell the white space of an id as addresses do: it would end the field."""
    return _SPACE.sub(lambda space: quote(space[0]), name)


def _write_queries(out: Path, measured: Mapping[str, Measured]) -> None:
    with files.whole_file(out / "queries.jsonl") as aside:
        rows = (
            {"query": query, **{system: each[query] for system, each in measured.items()}}
            for query in next(iter(measured.values()))
        )
        with aside.open("w", encoding="utf-8") as target:
            target.writelines(json.dumps(row) + "\n" for row in rows)
