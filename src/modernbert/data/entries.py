"""Files of documents to be searched in, each with its id, title and what else is known of it out.

A row of a table is a document (BEIR's corpus.jsonl among them), and so is a file of plain text.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from modernbert.base.errors import DataError
from modernbert.base.files import digest, digest_of
from modernbert.data.documents import Reader, find
from modernbert.data.entry_columns import Keys
from modernbert.data.formats import PLAIN, kind_of
from modernbert.data.table import Row, Table, open_table
from modernbert.data.tokenizer import SURROGATE

_IDS = ("_id", "id")
_CORPUS = tuple(f"corpus.jsonl{packing}" for packing in ("", ".gz", ".zst"))
_METADATA = "metadata"
_TEXTS = (".txt", ".txt.gz", ".md", ".rst", ".py")
"""Ends of names of files that are one document each; in folders, whatever is no table is one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as it is kept for searching."""

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it: values as JSON has them."""
    where: str = ""
    """File and line or row, for sentences about it."""

    def __post_init__(self) -> None:
        """Refuse what is no character: it cannot be written."""
        for name in ("id", "title", "text"):
            if SURROGATE.search(getattr(self, name)):
                raise DataError(
                    f"{self.where or 'a document'}: its {name} holds what is no character: mend it"
                )

    @property
    def whole(self) -> str:
        """Title and text, as BEIR joins them: what is read and searched."""
        return joined(self.title, self.text)


def fingerprint_of(entries: Iterable[Entry]) -> str:
    """Name the content of documents; nothing where they can be read but once."""
    if isinstance(entries, EntryFiles):
        return entries.fingerprint
    if not isinstance(entries, Sequence):
        return ""
    kept = [(each.id, each.title, each.text, dict(each.metadata)) for each in entries]
    return digest(json.dumps(kept, sort_keys=True, default=str).encode())


def name_of(entries: Iterable[Entry]) -> str:
    """Return what documents are called in sentences about them."""
    return entries.name if isinstance(entries, EntryFiles) else "what was given"


def joined(title: str, text: str) -> str:
    """Return a title and a text as one."""
    return f"{title} {text}" if title else text


@final
class EntryFiles:
    """Documents of files and folders, read as often as asked.

    Iterating raises DataError where a file is broken or a row lacks its text, with its place.
    """

    def __init__(self, paths: Sequence[Path], keys: Keys | None = None) -> None:
        """List what there is.

        Raises:
            DataError: a path does not exist, or is of no known kind.
        """
        self._keys = keys or Keys()
        self.name = ", ".join(path.name for path in paths)
        self.bytes_read = 0
        """Bytes of the files, as they lie on disk, that were read."""
        self._parts: list[_Part] = []
        self.num_binary = 0
        """Files in folders that are no text, and are passed over."""
        contents = []
        for path in paths:
            parts, content, num_binary = _parts_of(path)
            self._parts += parts
            self.num_binary += num_binary
            contents.append(content)
        self.fingerprint = digest(repr((contents, self._keys)).encode())
        """Name of all contents in this order, and of how they are read."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the files, as they lie on disk."""
        return sum(
            file.size_bytes if isinstance(file, Table) else file.stat().st_size
            for file, _ in self._parts
        )

    def __iter__(self) -> Iterator[Entry]:
        self.bytes_read = 0
        for file, name in self._parts:
            before = self.bytes_read
            if isinstance(file, Table):
                for number, row in enumerate(file, start=1):
                    self.bytes_read = before + file.bytes_read
                    yield _entry_of(row, self._keys, (name, number))
                self.bytes_read = before + file.size_bytes
            else:
                yield from _texts_of(file, name)
                self.bytes_read = before + file.stat().st_size


_Part = tuple[Table | Path, str]
"""A table or a text, and what it is called: in a folder by its path there, else as it was given."""


def _parts_of(path: Path) -> tuple[list[_Part], str, int]:
    """Return the tables and texts of a path, a name of their content, and what is no text."""
    if path.is_dir():
        corpus = next((path / name for name in _CORPUS if (path / name).is_file()), None)
        if corpus is not None:
            path = corpus
        elif _is_saved(path):
            table = open_table(path)
            content = digest("".join(map(digest_of, table.files)).encode())
            return [(table, path.as_posix())], content, 0
    if path.is_dir() or path.name.lower().endswith(_TEXTS):
        found = find([path])
        parts: list[_Part] = [
            (file if kind_of(file) == PLAIN else open_table(file), name)
            for file, name in found.files
        ]
        return parts, found.fingerprint, len(found.skipped)
    return [(open_table(path), path.as_posix())], digest_of(path), 0


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _texts_of(path: Path, name: str) -> Iterator[Entry]:
    for text in Reader([(path, name)], invalid_utf8="replace", key="text"):
        yield Entry(text.name, text.text, where=str(path))


def _entry_of(row: Row, keys: Keys, place: tuple[str, int]) -> Entry:
    values = row.values
    if keys.text not in values:
        raise DataError(
            f"{row.where} has no {keys.text!r} (it has {', '.join(values)}): name the column of "
            "the texts with --text"
        )
    text = values[keys.text]
    if not isinstance(text, str | None):
        raise DataError(f"{row.where}: {keys.text!r} is not a text: leave the row out")
    name = next((key for key in ((keys.id,) if keys.id else _IDS) if key in values), "")
    title = values.get(keys.title)
    used = {keys.text, keys.title, name}
    return Entry(
        _id_of(row, keys, name, place),
        SURROGATE.sub("\ufffd", text or ""),
        SURROGATE.sub("\ufffd", "" if title is None else str(title)),
        _metadata({key: _plain(value) for key, value in values.items() if key not in used}),
        row.where,
    )


def _metadata(values: dict[str, Any]) -> dict[str, Any]:
    """Lay what BEIR keeps in an object of its own beside the rest."""
    inner = values.get(_METADATA)
    if not isinstance(inner, dict):
        return values
    return {key: value for key, value in values.items() if key != _METADATA} | inner


def _id_of(row: Row, keys: Keys, name: str, place: tuple[str, int]) -> str:
    if not name and not keys.id:
        file, number = place
        line = row.where.rpartition(", ")[2].split()[-1]
        return f"{file}:{line if line.isdecimal() else number}"
    value = row.values.get(name)
    if value is None or value == "":
        key = name or keys.id
        raise DataError(f"{row.where} has no {key!r}: complete it, or leave the row out")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DataError(
            f"{row.where}: {name!r} is {value!r}, and ids are texts or whole numbers: write it as "
            "a text"
        )
    return SURROGATE.sub("\ufffd", str(value))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; dates and what else tables hold become texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if value is None or isinstance(value, int | float):
        return value
    return json.loads(json.dumps(value, default=str))
