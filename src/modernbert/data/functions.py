"""Functions with docstrings in, a judged set out: each docstring looks for its own function.

As CodeSearchNet does it (arXiv 1909.09436): files of rows with `docstring` and `code`, or with the
names that the hub's copy gives them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from modernbert.base.errors import DataError
from modernbert.data.examples import check_unicode
from modernbert.data.judged import JudgedSet, oddities
from modernbert.data.table import Row, open_table
from modernbert.data.table_files import Part, holds_part

_COLUMNS = (("docstring", "code"), ("func_documentation_string", "func_code_string"))
_PARTS: dict[str, Part] = {
    "train": "train",
    "dev": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}


def holds_functions(folder: Path) -> bool:
    """Return whether a folder has files of rows, one for each split, and no corpus."""
    return not [*folder.glob("corpus.jsonl*")] and any(
        holds_part(folder, part) for part in ("train", "dev", "test")
    )


def read_functions(folder: Path, split: str) -> JudgedSet:
    """Read a split whole; rows without a docstring or without code are left out, and counted.

    Queries are called q0, q1, ... and functions d0, d1, ..., by their rows.

    Raises:
        DataError: there is no such split, no row in it, or a row lacks a column.
    """
    if split not in _PARTS:
        raise DataError(f"functions have no split {split!r}: say --split train, dev or test")
    documents, queries, lacking = {}, {}, []
    for number, (row, docstring, code) in enumerate(_rows(folder, _PARTS[split])):
        if docstring.strip() and code.strip():
            queries[f"q{number}"], documents[f"d{number}"] = docstring, code
        else:
            lacking.append(row.where)
    if not documents:
        raise DataError(f"{folder} holds no function with a docstring: give rows with both")
    odd = {
        "rows without a docstring or without code, left out": lacking,
        "functions that hold their own docstring, and are found by it": [
            name
            for name, docstring, code in zip(
                documents, queries.values(), documents.values(), strict=True
            )
            if docstring.strip() in code
        ],
        "docstrings that several functions have": _again(queries.values()),
        "functions that are there several times": _again(documents.values()),
    }
    return JudgedSet(
        folder.resolve().name,
        documents,
        queries,
        {query: {f"d{query[1:]}": 1} for query in queries},
        tuple(oddities(odd)),
    )


def _rows(folder: Path, part: Part) -> Iterator[tuple[Row, str, str]]:
    for row in open_table(folder, part):
        names = next((each for each in _COLUMNS if {*each} <= row.values.keys()), None)
        if names is None:
            raise DataError(
                f"{row.where} has the columns {', '.join(row.values)}: functions have docstring "
                "and code"
            )
        docstring, code = (str(row.values[name] or "") for name in names)
        for name, text in zip(names, (docstring, code), strict=True):
            check_unicode(text, name, row.where)
        yield row, docstring, code


def _again(texts: Iterable[str]) -> Sequence[str]:
    return [text[:40] for text, count in Counter(texts).items() if count > 1]
