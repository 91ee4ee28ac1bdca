"""A model and judged sets in; how well it finds what people judged, beside BM25, out.

OUT/results.json        means, and what they were made with
OUT/SET/SYSTEM.run      the documents found, in trec_eval's form
OUT/SET/queries.jsonl   every measure of every query
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modernbert.base import files
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.base.records import to_plain
from modernbert.data.judged import JudgedSet, read_judged
from modernbert.evals.judging import (
    MEASURES,
    Measured,
    Scored,
    by_id,
    chance,
    check_installed,
    judge,
    means,
)
from modernbert.evals.options import RetrievalOptions
from modernbert.evals.sweep import provenance
from modernbert.evals.text_table import text_table
from modernbert.infer.pretrained import Pretrained, load
from modernbert.retrieval.exact import search
from modernbert.retrieval.hits import fused
from modernbert.retrieval.lexical import Lexical
from modernbert.retrieval.rerank import check_reranker, rerank
from modernbert.train.checkpoint import FORMAT

MODEL, BM25, HYBRID, RERANKED = "model", "bm25", "hybrid", "reranked"
_FEWEST = 8
"""Tokens of a text."""


@dataclass(frozen=True, slots=True)
class SetResult:
    """How well one set was searched."""

    name: str
    documents: int
    queries: int
    judgements: int
    notes: tuple[str, ...]
    means: dict[str, dict[str, float]]
    """Of each system, its measures."""
    chances: dict[str, float]
    """Of each other system, how likely so large a difference from the model is by chance."""
    seconds: float
    """For the vectors of all texts and their comparison."""


@dataclass(frozen=True, slots=True)
class RetrievalResults:
    """How well all sets were searched."""

    model: str
    reranker: str
    split: str
    max_length: int
    """Tokens at which documents were cut."""
    sets: tuple[SetResult, ...]


def evaluate_retrieval(
    model: str, folders: Sequence[Path], out: Path, options: RetrievalOptions
) -> RetrievalResults:
    """Search each set whole with a model, with BM25 and with both, and write what was reached.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: two sets have one name, or the model's way of comparing is unknown.
        DataError: a set cannot be read.
        MachineError: a package is missing, or the folder cannot be written.
    """
    check_installed()
    sets = [read_judged(folder, options.split) for folder in folders]
    names = [each.name for each in sets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two folders are called {twice!r}: give each another name")
    for each in sets:
        files.make_folder(out / each.name)
    device = choose_device(options.device)
    opened = load(model).to(device)
    reranker = load(options.reranker).to(device) if options.reranker else None
    if reranker is not None:
        check_reranker(reranker)
    length = _cut(opened, options.max_length)
    found = RetrievalResults(
        model,
        options.reranker,
        options.split,
        length,
        tuple(_searched((opened, reranker), each, out / each.name, options) for each in sets),
    )
    files.write_json(out / "results.json", {"format": FORMAT, **to_plain(found), **provenance()})
    return found


def lines_of(found: RetrievalResults) -> str:
    """Lay the means out, a line for each system of each set."""
    lines = [
        (each.name, system, *(f"{measured[name]:.4f}" for name in MEASURES), _spelled(each, system))
        for each in found.sets
        for system, measured in each.means.items()
    ]
    return text_table(lines, ("set", "system", *MEASURES, "p (nDCG@10, beside the model)"))


def _spelled(found: SetResult, system: str) -> str:
    return f"{found.chances[system]:.4f}" if system in found.chances else ""


def _cut(model: Pretrained, asked: int) -> int:
    """Let documents be cut at so many tokens, and return at how many they are."""
    config, longest = model.sentence.config, model.config.max_length
    if not asked:
        late = config.late.document_length if config.late else None
        return late or config.max_length
    if not _FEWEST <= asked <= longest:
        raise ConfigError(
            f"--max-length is {asked}: this model reads {_FEWEST} to {longest} tokens of a text"
        )
    late_config = config.late and replace(config.late, document_length=asked)
    model.sentence.config = replace(config, max_length=asked, late=late_config)
    return asked


def _searched(
    models: tuple[Pretrained, Pretrained | None],
    given: JudgedSet,
    out: Path,
    options: RetrievalOptions,
) -> SetResult:
    model, reranker = models
    say(
        f"{given.name}: {len(given.documents)} documents, {len(given.queries)} queries"
        + "".join(f"; {note}" for note in given.notes)
    )
    texts, asked = list(given.documents.values()), list(given.queries.values())
    start = time.perf_counter()
    runs = {MODEL: search(model, asked, texts, options.number)}
    seconds = time.perf_counter() - start
    if options.bm25:
        runs[BM25] = Lexical(texts).search(asked, options.number)
        runs[HYBRID] = fused([runs[MODEL], runs[BM25]], options.number)
    if reranker is not None:
        first = [hits.first(options.rerank) for hits in runs.get(HYBRID, runs[MODEL])]
        runs[RERANKED] = rerank(reranker, asked, texts, first)
    documents, queries = list(given.documents), list(given.queries)
    scored = {
        system: _without_itself(by_id(hits, queries, documents), options)
        for system, hits in runs.items()
    }
    measured = {system: judge(given.judged, each) for system, each in scored.items()}
    _write(out, scored, measured)
    return SetResult(
        name=given.name,
        documents=len(documents),
        queries=len(queries),
        judgements=sum(map(len, given.judged.values())),
        notes=given.notes,
        means={system: means(each) for system, each in measured.items()},
        chances={
            system: chance(measured[MODEL], each)
            for system, each in measured.items()
            if system != MODEL
        },
        seconds=seconds,
    )


def _without_itself(found: Scored, options: RetrievalOptions) -> Scored:
    if not options.ignore_identical_ids:
        return found
    return {
        query: {name: score for name, score in each.items() if name != query}
        for query, each in found.items()
    }


def _write(out: Path, scored: Mapping[str, Scored], measured: Mapping[str, Measured]) -> None:
    """Keep what was found, for trec_eval, and the measures of each query."""
    for system, found in scored.items():
        lines = (
            f"{query} Q0 {document} {rank} {score:.6f} {system}\n"
            for query, each in found.items()
            for rank, (document, score) in enumerate(each.items(), start=1)
        )
        _write_text(out / f"{system}.run", lines)
    rows = (
        {"query": query, **{system: each[query] for system, each in measured.items()}}
        for query in measured[MODEL]
    )
    _write_text(out / "queries.jsonl", (json.dumps(row) + "\n" for row in rows))


def _write_text(path: Path, lines: Iterable[str]) -> None:
    with files.whole_file(path) as aside:
        aside.write_text("".join(lines), encoding="utf-8")
