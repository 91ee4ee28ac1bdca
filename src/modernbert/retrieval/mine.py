"""A model and pairs in, the same pairs with hard negatives out: documents that only look right."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modernbert.base import files, rng
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, DataError
from modernbert.base.log import say
from modernbert.data.examples import check_unicode
from modernbert.data.judged import read_corpus
from modernbert.data.pair_columns import PairColumns
from modernbert.data.pairs import Pair, PairOptions, PairSet, read_pairs
from modernbert.data.table import open_table
from modernbert.infer.heads import warn_of_head
from modernbert.infer.pretrained import Pretrained, load
from modernbert.infer.reranking import check_reranker
from modernbert.retrieval.exact import SHARD, scored
from modernbert.retrieval.hits import Best, Hits
from modernbert.retrieval.mine_options import MineOptions
from modernbert.retrieval.rerank import rerank

_MOST_SCORES = 2**27
"""Scores of all queries and one shard of documents that are in memory at once."""
_FEWEST_IN_SHARD = 16
_ENDINGS = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Mined:
    """What came of it."""

    pairs: int
    """Written, each with its negatives."""
    left_out: int
    """Pairs for which too few negatives were found."""
    passed_over: dict[str, int]
    """Candidates that were none, by the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    pairs: Sequence[Pair]
    queries: list[str]
    documents: list[str]
    answers: list[set[int]]
    """Numbers of the documents that answer each query."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    hits: list[Hits]
    """Of each query, the best documents that do not answer it."""
    positives: dict[tuple[int, int], float]
    """Scores of documents that answer, by the numbers of query and document."""


def mine(model: str, pairs: Path, out: Path, options: MineOptions) -> Mined:
    """Look for documents that a model takes for answers and that are none, and write them.

    Every document is compared with every query; memory is bounded by the queries and a shard of
    documents. What answers a query in any pair is never its negative. Deterministic.

    Raises:
        CheckpointError: a model cannot be read.
        ConfigError: the reranker gives no single score, or OUT is no new file of JSON lines.
        DataError: a file cannot be read, or no pair has enough negatives.
        MachineError: OUT cannot be written.
    """
    _check_out(out, pairs, options)
    with files.promised_folder(out.parent):
        task = _task(pairs, options)
        device = choose_device(options.device)
        opened = load(model).to(device)
        warn_of_head(model, opened)
        reranker = load(options.reranker).to(device) if options.reranker else None
        if reranker is not None:
            check_reranker(reranker)
        found = _searched(opened, task, options)
        if reranker is not None:
            found = _judged(reranker, task, found)
        return _written(out, task, found, options)


def _check_out(out: Path, pairs: Path, options: MineOptions) -> None:
    """Refuse before the work what cannot take its result."""
    if out.is_dir() or not out.name:
        raise ConfigError(f"{out} is a folder: name a file .jsonl with --out")
    if not out.name.lower().endswith(_ENDINGS):
        raise ConfigError(f"{out} would hold JSON lines: let the name in --out end in .jsonl")
    place = out.resolve()
    for source in (pairs, Path(options.corpus)) if options.corpus else (pairs,):
        if place.exists() and source.resolve() in (place, *place.parents):
            raise ConfigError(f"{out} is among what is read from {source}: give another --out")


def _written(out: Path, task: _Task, found: _Found, options: MineOptions) -> Mined:
    counts: Counter[str] = Counter()
    with files.whole_file(out) as aside, aside.open("w", encoding="utf-8") as file:
        written = 0
        for row in _rows(task, found, options, counts):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1
        if not written:
            raise DataError(
                f"no pair has {options.number} negatives among {options.candidates} candidates: "
                "raise --candidates, or let --margin and --relative-margin pass more"
            )
    return Mined(written, len(task.pairs) - written, dict(counts))


def _task(path: Path, options: MineOptions) -> _Task:
    columns = PairColumns(options.query, options.positive)
    told = PairOptions(columns=columns, header=options.header, most=options.max_pairs)
    found = read_pairs(path, told)
    for note in (found.columns.spelled(), *found.notes):
        say(f"{path}: {note}")
    if found.holding == "labels":
        raise DataError(
            f"{path} has a score of each pair in {found.columns.scores!r}, and every pair is taken "
            "for an answer: keep those that are, without that column"
        )
    numbers = {text: n for n, text in enumerate(dict.fromkeys(_texts(found, options)))}
    queries = {text: n for n, text in enumerate({pair.query: 0 for pair in found.pairs})}
    answers: list[set[int]] = [set() for _ in queries]
    for pair in found.pairs:
        answers[queries[pair.query]].add(numbers[pair.positive])
    say(f"{len(found.pairs):,} pairs, {len(numbers):,} documents to look in")
    return _Task(found.pairs, list(queries), list(numbers), answers)


def _texts(found: PairSet, options: MineOptions) -> Iterator[str]:
    """Yield the documents to look in; those that answer are among them."""
    for pair in found.pairs:
        yield pair.positive
        if not options.corpus:
            yield from pair.negatives
    if options.corpus:
        yield from _corpus(Path(options.corpus), options.text)


def _corpus(path: Path, column: str) -> Iterator[str]:
    if path.is_dir() and any(path.glob("corpus.jsonl*")):
        yield from filter(None, read_corpus(path).values())
        return
    for row in open_table(path):
        text = row.values.get(column)
        if not isinstance(text, str):
            raise DataError(
                f"{row.where} has no text in {column!r} (it has {', '.join(row.values)}): name the "
                "column with --text"
            )
        check_unicode(text, column, row.where)
        if text.strip():
            yield text


def _searched(model: Pretrained, task: _Task, options: MineOptions) -> _Found:
    """Compare all; what answers is scored, and no candidate."""
    askers: dict[int, list[int]] = {}
    for query, answers in enumerate(task.answers):
        for number in answers:
            askers.setdefault(number, []).append(query)
    best = Best(len(task.queries), options.skip_top + options.candidates)
    positives: dict[tuple[int, int], float] = {}
    shard = max(_FEWEST_IN_SHARD, min(SHARD, _MOST_SCORES // len(task.queries)))
    for numbers, found in scored(model, task.queries, task.documents, shard):
        scores = found.float().cpu().numpy()
        for place, number in enumerate(numbers):
            for query in askers.get(number, ()):
                positives[query, number] = float(scores[query, place])
                scores[query, place] = -math.inf
        best.add(scores, np.array(numbers))
    hits = [_candidates(each, options.skip_top) for each in best.hits()]
    return _Found(hits, positives)


def _candidates(hits: Hits, skip: int) -> Hits:
    """Leave out what answers, and the very top."""
    are_some = np.isfinite(hits.scores)
    return Hits(hits.numbers[are_some][skip:], hits.scores[are_some][skip:])


def _judged(reranker: Pretrained, task: _Task, found: _Found) -> _Found:
    """Score anew, by a model that orders what another found."""
    answers = [np.array(sorted(each), dtype=np.int64) for each in task.answers]
    both = [
        Hits(np.append(hits.numbers, more), np.append(hits.scores, np.zeros(len(more), np.float32)))
        for hits, more in zip(found.hits, answers, strict=True)
    ]
    hits: list[Hits] = []
    positives: dict[tuple[int, int], float] = {}
    for query, each in enumerate(rerank(reranker, task.queries, task.documents, both)):
        is_answer = np.isin(each.numbers, answers[query])
        hits.append(Hits(each.numbers[~is_answer], each.scores[~is_answer]))
        told = zip(each.numbers[is_answer].tolist(), each.scores[is_answer].tolist(), strict=True)
        positives |= {(query, number): score for number, score in told}
    return _Found(hits, positives)


def _rows(
    task: _Task, found: _Found, options: MineOptions, counts: Counter[str]
) -> Iterator[dict[str, object]]:
    queries = {text: number for number, text in enumerate(task.queries)}
    documents = {text: number for number, text in enumerate(task.documents)}
    for number, pair in enumerate(task.pairs):
        query = queries[pair.query]
        positive = found.positives[query, documents[pair.positive]]
        taken = _taken(found.hits[query], positive, options, counts)
        if len(taken) < options.number:
            continue
        if options.random:
            drawn = rng.generator(options.seed, "negatives", number).permutation(len(taken))
            taken = [taken[place] for place in sorted(drawn[: options.number])]
        taken = taken[: options.number]
        row: dict[str, object] = {"query": pair.query, "positive": pair.positive}
        for place, (document, _) in enumerate(taken, start=1):
            row[f"negative_{place}"] = task.documents[document]
        if options.with_scores or options.reranker:
            row["scores"] = [round(score, 6) for score in (positive, *(s for _, s in taken))]
        yield row


def _taken(
    hits: Hits, positive: float, options: MineOptions, counts: Counter[str]
) -> list[tuple[int, float]]:
    """Return the candidates that are no answers, as far as scores tell."""
    taken = []
    for number, score in zip(hits.numbers.tolist(), hits.scores.tolist(), strict=True):
        reason = _reason(score, positive, options)
        if reason:
            counts[reason] += 1
        else:
            taken.append((number, score))
    return taken


def _reason(score: float, positive: float, options: MineOptions) -> str:
    """Say why a candidate may well be an answer; nothing if it is none."""
    if score > options.max_score:
        return f"score above {options.max_score:g}"
    if score > positive - options.margin:
        return f"score above the positive less {options.margin:g}"
    if options.relative_margin and 0 < positive * options.relative_margin < score:
        return f"score above {options.relative_margin:g} of the positive"
    return ""
