"""A folder in BEIR's layout in, its documents, queries and judgements out (arXiv 2104.08663)."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.base.errors import DataError
from modernbert.data.examples import check_unicode
from modernbert.data.table import Row, open_table

_LAYOUT = "give a folder in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv)"
_TREC, _TREC_COLUMNS = (0, 2, 3), 4
"""Where query, document and grade stand in the files of TREC."""
_PACKINGS = ("", ".gz", ".zst")


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSet:
    """Documents, and which of them answer which query."""

    name: str
    documents: dict[str, str]
    """Title and text by id, in the order of the corpus."""
    queries: dict[str, str]
    """Those that somebody judged, by id."""
    judged: dict[str, dict[str, int]]
    """Of each query the documents that were judged, with a number: above 0 it answers."""
    notes: tuple[str, ...]
    """Sentences on what is odd about it."""

    @property
    def fingerprint(self) -> str:
        """Name of the content: equal fingerprints, equal texts and judgements."""
        name = hashlib.blake2b(digest_size=16)
        for part in (self.documents, self.queries, self.judged):
            for pair in part.items():
                name.update(repr(pair).encode())
            name.update(b"\x1e")
        return name.hexdigest()

    def answers(self) -> dict[str, set[str]]:
        """Return the answers in the corpus of each query that has any."""
        found = {
            query: {name for name, number in each.items() if number > 0 and name in self.documents}
            for query, each in self.judged.items()
        }
        return {query: names for query, names in found.items() if names}


def read_judged(folder: Path, split: str) -> JudgedSet:
    """Read a set whole; queries that nobody judged in this split are left out.

    Raises:
        DataError: files are missing or broken, an id is there twice, or a judged query nowhere,
            or a pair is judged by two grades.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: {_LAYOUT}")
    documents, queries = read_corpus(folder), _file(folder, "queries.jsonl")
    judged = _judgements(_split_file(folder, split))
    asked = dict(_texts(queries))
    lost = [query for query in judged if query not in asked]
    if lost:
        raise DataError(
            f"{queries} lacks the judged query {lost[0]!r}{_more(lost)}: complete it, or take what "
            f"it lacks out of {_split_file(folder, split)}"
        )
    return JudgedSet(
        folder.resolve().name,
        documents,
        {query: asked[query] for query in judged},
        judged,
        tuple(oddities(_odd(documents, judged))),
    )


def read_corpus(folder: Path) -> dict[str, str]:
    """Read the documents of a set: title and text by id, in their order.

    Raises:
        DataError: the file is missing or broken, holds nothing, or an id is there twice.
    """
    corpus = _file(folder, "corpus.jsonl")
    documents = dict(_texts(corpus))
    if not documents:
        raise DataError(f"{corpus} holds no document: {_LAYOUT}")
    return documents


def _file(folder: Path, name: str) -> Path:
    found = [folder / f"{name}{packing}" for packing in _PACKINGS]
    for path in found:
        if path.is_file():
            return path
    raise DataError(f"{folder} has no {name}: {_LAYOUT}")


def _split_file(folder: Path, split: str) -> Path:
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        others = sorted(each.stem for each in (folder / "qrels").glob("*.tsv"))
        there = f"it has {', '.join(others)}: name one with --split" if others else _LAYOUT
        raise DataError(f"{folder} has no judgements of {split!r}; {there}")
    return path


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ids with titles and texts, as BEIR joins them."""
    lines: dict[str, str] = {}
    for row in open_table(path):
        name = _said(row, "_id")
        if name in lines:
            raise DataError(f"{row.where} has the id {name!r} of {lines[name]}: give it another")
        lines[name] = row.where
        title, text = str(row.values.get("title") or ""), _said(row, "text")
        for column, said in (("_id", name), ("title", title), ("text", text)):
            check_unicode(said, column, row.where)
        yield name, f"{title} {text}".strip()


def _said(row: Row, column: str) -> str:
    value = row.values.get(column)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DataError(f"{row.where} has no {column!r}: complete it, or leave the row out")
    return str(value)


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    first = next(iter(open_table(path, has_header=False)), None)
    has_header = first is not None and _judgement(first) is None
    found: dict[str, dict[str, int]] = {}
    for row in open_table(path, has_header=has_header):
        told = _judgement(row)
        if told is None:
            raise DataError(
                f"{row.where} is no judgement: give query-id, corpus-id and a whole number, with "
                "tabs between them"
            )
        query, document, number = told
        before = found.setdefault(query, {}).setdefault(document, number)
        if before != number:
            raise DataError(
                f"{row.where} judges {document!r} for {query!r} by {number}, and a line before by "
                f"{before}: leave one of them out"
            )
    if not found:
        raise DataError(f"{path} holds no judgement: {_LAYOUT}")
    return found


def _judgement(row: Row) -> tuple[str, str, int] | None:
    """Return query, document and grade; of TREC's four columns the second says nothing."""
    cells = [str(value) for value in row.values.values()]
    cells = cells[0].split() if len(cells) == 1 else cells
    if len(cells) == _TREC_COLUMNS:
        cells = [cells[place] for place in _TREC]
    try:
        query, document, grade = cells
        return query, document, int(grade)
    except ValueError:
        return None


def oddities(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Say how many there are of each kind of what is odd, with an example."""
    for what, names in found.items():
        if names:
            yield f"{what}: {len(names)}, such as {names[0]!r}"


def _odd(documents: dict[str, str], judged: dict[str, dict[str, int]]) -> dict[str, list[str]]:
    return {
        "documents without text": [name for name, text in documents.items() if not text],
        "judged documents that the corpus lacks": [
            name for each in judged.values() for name in each if name not in documents
        ],
        "queries that no document answers": [
            query for query, each in judged.items() if max(each.values()) < 1
        ],
    }


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
