"""Files of queries and what answers them in; pairs with negatives and scores out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any, Literal, cast

from modernbert.base import rng
from modernbert.base.errors import DataError
from modernbert.data.examples import check_unicode
from modernbert.data.judged import JudgedSet, read_judged
from modernbert.data.pair_columns import PairColumns, guess
from modernbert.data.said import Said, is_gap, number_of
from modernbert.data.table import HAS_HEADER, Row, open_table
from modernbert.data.table_files import Part

Holding = Literal["pairs", "negatives", "teacher", "labels"]
"""Queries with documents alone; with negatives; with a teacher's scores of all of them; or each
pair with a number that says how well it fits."""

_HELD_SHARE = 0.1
MOST_HELD = 2000
"""Queries that are held out to measure on, at most."""
_FEWEST_CANDIDATES = 1000
_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz", "corpus.jsonl.zst")


@dataclass(frozen=True, slots=True)
class Pair:
    """A query, a document that answers it, and maybe some that do not."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    """Of the positive, then of each negative; of the pair alone where there is no negative."""


@dataclass(frozen=True, slots=True, eq=False)
class PairSet:
    """Pairs that all hold the same number of negatives and of scores."""

    pairs: Sequence[Pair]
    columns: PairColumns
    notes: tuple[str, ...] = ()
    """Sentences on what was left out."""

    @property
    def num_negatives(self) -> int:
        """Negatives of each pair."""
        return len(self.pairs[0].negatives) if self.pairs else 0

    @property
    def holding(self) -> Holding:
        """Say what there is to learn from."""
        has_scores = bool(self.pairs and self.pairs[0].scores)
        if self.num_negatives:
            return "teacher" if has_scores else "negatives"
        return "labels" if has_scores else "pairs"

    @property
    def fingerprint(self) -> str:
        """Name what decides a training: equal fingerprints, equal pairs in equal order."""
        told = hashlib.blake2b(digest_size=16)
        for pair in self.pairs:
            parts = [pair.query, pair.positive, pair.negatives, pair.scores]
            told.update(json.dumps(parts).encode())
        return told.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptions:
    """How a file of pairs is read."""

    columns: PairColumns = field(default_factory=PairColumns)
    """Those that were named; others are guessed."""
    header: Literal["auto", "yes", "no"] = "auto"
    num_negatives: int = 0
    """Negatives to take of each row; 0 takes as many as the row with the fewest has."""
    most: int = 0
    """Pairs to read, those that are left out not counted; 0 reads all."""


def read_pairs(path: Path, options: PairOptions, part: Part = "train") -> PairSet:
    """Read pairs whole: of a file, of a part of a folder of `datasets`, or of a judged set.

    Rows without query or document, and those that came before, are left out and counted.

    Raises:
        DataError: a file is missing or broken, a column is not there, scores do not fit, or
            nothing is left.
    """
    if any((path / name).is_file() for name in _CORPUS):
        if not (path / "qrels" / f"{part}.tsv").is_file():
            raise DataError(f"{path} has no judgements to learn from: put them in qrels/{part}.tsv")
        judged = read_judged(path, part)
        columns = PairColumns("queries.jsonl", "corpus.jsonl")
        return _even(_judged_pairs(judged), columns, options, path)
    table = open_table(path, part, has_header=HAS_HEADER[options.header])
    columns = guess(options.columns, table.columns(), str(path))
    return _even(_rows(table, columns), columns, options, path)


def held_out(found: PairSet, seed: int) -> tuple[PairSet, PairSet]:
    """Part pairs into those to learn from and a tenth of the queries, at most 2,000, to measure on.

    Pairs of one query stay together.

    Raises:
        DataError: there is one query only.
    """
    queries = list(dict.fromkeys(pair.query for pair in found.pairs))
    if len(queries) < 2:
        raise DataError(
            "all pairs are of one query, and none can be held out to measure on: give more, or "
            "--dev FILE"
        )
    order = rng.generator(seed, "held-out queries").permutation(len(queries))
    size = max(1, min(int(len(queries) * _HELD_SHARE), MOST_HELD))
    held = {queries[place] for place in order[:size]}
    learned = [pair for pair in found.pairs if pair.query not in held]
    measured = [pair for pair in found.pairs if pair.query in held]
    return replace(found, pairs=learned), replace(found, pairs=measured)


def to_judged(found: PairSet, others: PairSet) -> JudgedSet:
    """Make of pairs a set to search: every document in them is a candidate of every query.

    Where these are fewer than 1,000, documents of the others are too, up to that number.
    """
    texts = dict.fromkeys(_documents(found))
    for text in _documents(others):
        if len(texts) >= _FEWEST_CANDIDATES:
            break
        texts[text] = None
    documents = {text: f"d{n}" for n, text in enumerate(texts)}
    queries = {text: f"q{n}" for n, text in enumerate({pair.query: 0 for pair in found.pairs})}
    judged: dict[str, dict[str, int]] = {}
    for pair in found.pairs:
        judged.setdefault(queries[pair.query], {})[documents[pair.positive]] = 1
    by_id = {number: text for text, number in documents.items()}
    asked = {number: text for text, number in queries.items()}
    return JudgedSet("held out", by_id, asked, judged, ())


def _documents(found: PairSet) -> Iterator[str]:
    for pair in found.pairs:
        yield pair.positive
        yield from pair.negatives


def _judged_pairs(judged: JudgedSet) -> Iterator[Pair | None]:
    for query, documents in judged.judged.items():
        for document, number in documents.items():
            if number > 0 and document in judged.documents:
                yield _checked(Pair(judged.queries[query], judged.documents[document]))


def _rows(table: Any, columns: PairColumns) -> Iterator[Pair | None]:
    for row in table:
        query = _texts(row, columns.query)
        positives = _texts(row, columns.positive)
        cells = [cell for name in columns.negatives for cell in _cells(row, name)]
        scores = _scores(row, columns.scores, [not is_gap(cell) for cell in cells])
        negatives = tuple(cell for cell in cells if cell is not None and not is_gap(cell))
        if scores and len(positives) > 1:
            raise DataError(
                f"{row.where} has {len(positives)} positives and scores: give a row to each"
            )
        for positive in positives or [""]:
            yield _checked(Pair(query[0] if query else "", positive, negatives, scores))


def _checked(pair: Pair) -> Pair | None:
    """Return nothing where a pair lacks its query or its document."""
    return pair if pair.query and pair.positive else None


def _texts(row: Row, name: str) -> list[str]:
    """List the texts of a cell; gaps are none."""
    return [each for each in _cells(row, name) if each is not None and not is_gap(each)]


def _cells(row: Row, name: str) -> list[str | None]:
    """List what a cell holds, gaps too."""
    value = row.values.get(name)
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not (each is None or isinstance(each, str)):
            raise DataError(
                f"{row.where}: column {name!r} holds {each!r:.60}, which is no text: name another"
            )
        check_unicode(each or "", name, row.where)
    return cast(list[str | None], values)


def _scores(row: Row, name: str, are_there: Sequence[bool]) -> tuple[float, ...]:
    """Read a score of each document, of a pair alone, or how far each negative is behind.

    Where some of the negatives are gaps, each may have a number all the same.
    """
    if not name:
        return ()
    value, num_negatives = row.values.get(name), sum(are_there)
    listed = value if isinstance(value, list) else _spelled_list(value)
    if 0 < num_negatives < len(are_there):
        listed = _without_gaps(listed, are_there, row.where)
    numbers = tuple(number_of(Said(each, row.where)) for each in listed)
    if num_negatives and len(numbers) == num_negatives:
        return (0.0, *(-number for number in numbers))
    if len(numbers) != num_negatives + 1:
        raise DataError(
            f"{row.where} has {len(numbers)} scores and {num_negatives} negatives: give a score "
            "for the positive and each negative, or a margin for each negative"
        )
    return numbers


def _without_gaps(listed: list[Any], are_there: Sequence[bool], where: str) -> list[Any]:
    """Leave out the numbers of negatives that are not there."""
    cells, num_negatives = len(are_there), sum(are_there)
    if len(listed) == cells == num_negatives + 1:
        raise DataError(
            f"{where} has {cells} scores, {num_negatives} negatives and an empty one, and the "
            "scores may be margins: give the empty one a number too, beside the positive's"
        )
    if len(listed) == cells + 1:
        return [listed[0], *compress(listed[1:], are_there)]
    return [*compress(listed, are_there)] if len(listed) == cells else listed


def _spelled_list(value: Any) -> list[Any]:
    """Return the numbers of a list that a table spells as text; else the value alone."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = value
    return found if isinstance(found, list) else [value]


def _even(
    rows: Iterator[Pair | None], columns: PairColumns, options: PairOptions, path: Path
) -> PairSet:
    """Leave out rows that cannot be used, and cut all to the same number of negatives."""
    counts: Counter[str] = Counter()
    kept: dict[tuple[str, str], Pair] = {}
    for pair in rows:
        if options.most and len(kept) == options.most:
            break
        if pair is None:
            counts["without query or document"] += 1
        elif len(pair.negatives) < options.num_negatives:
            counts[f"with fewer than {options.num_negatives} negatives"] += 1
        elif (pair.query, pair.positive) in kept:
            counts["that came before"] += 1
        else:
            kept[pair.query, pair.positive] = pair
    fewest = min((len(pair.negatives) for pair in kept.values()), default=0)
    most = max((len(pair.negatives) for pair in kept.values()), default=0)
    number = options.num_negatives or fewest
    pairs = [_cut(pair, number) for pair in kept.values()]
    notes = [f"left out: {many} rows {what}" for what, many in counts.items()]
    if not pairs:
        raise DataError(f"{path} holds no pair to learn from{_because(notes)}: give others")
    if number < most:
        notes.append(
            f"rows have {fewest} to {most} negatives, and {number} of each are taken: "
            "--num-negatives takes another number"
        )
    return PairSet(pairs, columns, tuple(notes))


def _cut(pair: Pair, number: int) -> Pair:
    if len(pair.negatives) == number:
        return pair
    # Without a negative a score would be read as how well the pair fits.
    scores = pair.scores[: number + 1] if number else ()
    return replace(pair, negatives=pair.negatives[:number], scores=scores)


def _because(notes: Sequence[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""
