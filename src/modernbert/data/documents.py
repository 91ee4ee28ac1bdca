"""Files and folders of text in, documents out, in an order that only the files decide."""

import codecs
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, final

from modernbert.base.errors import DataError, reason_of
from modernbert.base.files import digest
from modernbert.data.formats import (
    LINES,
    PARQUET,
    PLAIN,
    Unpacked,
    kind_of,
    parquet_rows,
    text_batches,
)

InvalidUtf8 = Literal["replace", "stop"]

PART_BYTES = 64 << 20
"""Plain texts larger than this become several documents, cut at ends of lines."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it came from."""

    text: str
    name: str
    """File, then the number of the line, row or part, where the file holds several."""
    is_repaired: bool = False
    """Whether something that is not Unicode was replaced by U+FFFD."""
    fields: Mapping[str, Any] | None = None
    """What else its line or row holds, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """The files below some paths."""

    files: tuple[tuple[Path, str], ...]
    """Each file with its name: as given, or relative to the folder it was found in."""
    skipped: tuple[Path, ...]
    """Binary files in folders."""
    fingerprint: str
    """Name of all names and contents, in this order."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the files, as they lie on disk."""
        return sum(path.stat().st_size for path, _ in self.files)


def find(paths: Sequence[Path]) -> Found:
    """List files and folders, recursively and sorted; hidden names in folders are left out.

    Reads every file once, for the fingerprint.

    Raises:
        DataError: a path does not exist, a named file is binary, or there is nothing to read.
    """
    files: list[tuple[Path, str]] = []
    skipped: list[Path] = []
    contents = []
    for path in paths:
        for file, name in _below(path):
            content = _content(file)
            if content is not None:
                files.append((file, name))
                contents.append(f"{name}\x1f{content}")
            elif path.is_dir():
                skipped.append(file)
            else:
                raise DataError(
                    f"{file} is binary (it holds NUL bytes): give text, .jsonl or .parquet"
                )
    if not files:
        where = ", ".join(map(str, paths)) or "no path"
        binary = f" ({len(skipped)} binary files were passed over)" if skipped else ""
        raise DataError(f"nothing to read in {where}{binary}: give files or folders with text")
    return Found(tuple(files), tuple(skipped), digest("\x1e".join(contents).encode()))


def read(
    paths: Sequence[Path], *, invalid_utf8: InvalidUtf8 = "replace", key: str = "text"
) -> Iterator[Document]:
    """Yield the documents of files and folders.

    Raises:
        DataError: as `find`, and whatever `Reader` raises.
    """
    yield from Reader(find(paths).files, invalid_utf8=invalid_utf8, key=key)


@final
class Reader:
    """Reads files one after the other; knows how far it is.

    Iterating raises DataError for a broken file, JSON line or row, with the file's name and the
    line's number; for a missing key or column; and, where that shall stop, for a byte that is
    not UTF-8. MachineError names a package that is not installed.
    """

    def __init__(
        self,
        files: Sequence[tuple[Path, str]],
        *,
        invalid_utf8: InvalidUtf8,
        key: str,
        keeps_fields: bool = False,
    ) -> None:
        self._files = files
        self._keeps_fields = keeps_fields
        self._stops = invalid_utf8 == "stop"
        self._key = key
        self.bytes_read = 0
        """Bytes of the files, as they lie on disk, that were read."""

    def __iter__(self) -> Iterator[Document]:
        readers = {LINES: self._lines, PARQUET: self._rows, PLAIN: self._parts}
        for path, name in self._files:
            before = self.bytes_read
            yield from readers[kind_of(path)](path, name)
            self.bytes_read = before + path.stat().st_size

    def _lines(self, path: Path, name: str) -> Iterator[Document]:
        before, offset = self.bytes_read, 0
        unpacked = Unpacked(path)
        with unpacked as file:
            for number, line in enumerate(file, start=1):
                text, is_repaired = self._decoded(line, path, offset)
                offset += len(line)
                if not text.isspace():
                    value, fields = self._field(text, f"{path}, line {number}")
                    yield _document(value, f"{name}:{number}", is_repaired, fields)
                    self.bytes_read = before + unpacked.position()

    def _rows(self, path: Path, name: str) -> Iterator[Document]:
        number = 0
        others = self._others(path) if self._keeps_fields else iter(())
        for batch in text_batches(path, self._key):
            for value in batch:
                number += 1
                if value is None:
                    raise DataError(f"{path}, row {number}: {self._key!r} is null: leave it out")
                fields = next(others, None)
                yield _document(value, f"{name}:{number}", False, fields)

    def _others(self, path: Path) -> Iterator[Mapping[str, Any]]:
        for row in parquet_rows(path):
            yield {name: value for name, value in row.items() if name != self._key}

    def _parts(self, path: Path, name: str) -> Iterator[Document]:
        offset = 0
        with Unpacked(path) as file:
            for part, block in enumerate(_blocks(file), start=1):
                text, is_repaired = self._decoded(block, path, offset)
                offset += len(block)
                label = name if part == 1 else f"{name}, part {part}"
                yield _document(text, label, is_repaired)

    def _decoded(self, data: bytes, path: Path, offset: int) -> tuple[str, bool]:
        if offset == 0:
            data = data.removeprefix(codecs.BOM_UTF8)
        try:
            return data.decode(), False
        except UnicodeDecodeError as error:
            if self._stops:
                raise DataError(
                    f"{path} is not UTF-8 at byte {offset + error.start}: "
                    "convert the file, or let such bytes be replaced"
                ) from error
            return data.decode(errors="replace"), True

    def _field(self, line: str, where: str) -> tuple[str, Mapping[str, Any] | None]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where} is not JSON ({reason_of(error)}): mend or remove it"
            ) from error
        if not isinstance(value, dict) or self._key not in value:
            keys = ", ".join(value) if isinstance(value, dict) else "no object"
            raise DataError(
                f"{where} has no key {self._key!r} (it has {keys}): "
                "name the key that holds the text"
            )
        if not isinstance(value[self._key], str):
            raise DataError(f"{where}: {self._key!r} is not a text: leave it out")
        text = str(value.pop(self._key))
        return text, value if self._keeps_fields else None


def _document(
    text: str, name: str, is_repaired: bool, fields: Mapping[str, Any] | None = None
) -> Document:
    # JSON can spell half of a surrogate pair, which is no character and cannot be encoded.
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        is_repaired = True
    return Document(text, name, is_repaired, fields)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in blocks that end with a line; one empty block if it is empty."""
    block = file.read(PART_BYTES)
    while len(block) == PART_BYTES:
        stop = _end_of_line(block)
        yield block[:stop]
        block = block[stop:] + file.read(stop)
        if not block:
            return
    yield block


def _end_of_line(block: bytes) -> int:
    """Return where the last whole line of a block ends, or its last whole character."""
    if (at := block.rfind(b"\n")) >= 0:
        return at + 1
    stop = len(block)
    while stop > len(block) - 4 and block[stop - 1] & 0xC0 == 0x80:
        stop -= 1
    return stop - 1 if block[stop - 1] >= 0xC0 else len(block)


def _below(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, path.name
        return
    if not path.is_dir():
        raise DataError(f"{path} does not exist: give a file or a folder with text")
    seen = {path.resolve()}
    for folder, folders, names in os.walk(path, followlinks=True):
        inside = [Path(folder, name) for name in sorted(folders) if not name.startswith(".")]
        # A link may lead back to where it stands: each folder is read once.
        folders[:] = [each.name for each in inside if _is_new(each.resolve(), seen)]
        files = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        yield from ((file, file.relative_to(path).as_posix()) for file in files if file.is_file())


def _is_new(folder: Path, seen: set[Path]) -> bool:
    is_new = folder not in seen
    seen.add(folder)
    return is_new


def _content(path: Path) -> str | None:
    """Return a fingerprint of a file, or None if it is no text and no format known here."""
    is_plain = kind_of(path) == PLAIN
    try:
        with Unpacked(path) if is_plain else path.open("rb") as file:
            return _hashed(file, nul_is_binary=is_plain)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): leave it out") from error


def _hashed(file: IO[bytes], *, nul_is_binary: bool) -> str | None:
    hashes = []
    for block in iter(partial(file.read, 1 << 20), b""):
        if nul_is_binary and b"\0" in block:
            return None
        hashes.append(digest(block))
    return digest("".join(hashes).encode())
