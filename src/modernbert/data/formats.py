"""A file in, its bytes or rows out, whatever it is packed in."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast, final

from modernbert.base.errors import DataError, MachineError, reason_of

LINES, PARQUET, PLAIN = "lines", "parquet", "plain"

_TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_PACKED_BY_ZSTANDARD = tuple(f"{end}.zst" for end in _TABLES)
_PACKED_BY_GZIP = (".txt.gz", *(f"{end}.gz" for end in _TABLES))
_BATCH_ROWS = 256
_READ_BYTES = 1 << 17


def kind_of(path: Path) -> str:
    """Tell from the name how a file holds documents: one a line, one a row, or one in all."""
    name = path.name.lower()
    if name.endswith((".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst")):
        return LINES
    return PARQUET if name.endswith(".parquet") else PLAIN


@final
class Unpacked:
    """A context that gives a file's bytes, decompressed where its name says .gz or .zst.

    Raises:
        DataError: the packing is broken or ends too early.
        MachineError: the package that unpacks it is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> IO[bytes]:
        name = self._path.name.lower()
        unpack: Callable[[IO[bytes]], IO[bytes]] = _as_it_is
        if name.endswith(_PACKED_BY_ZSTANDARD):
            unpack = _zstandard_for(self._path)
        elif name.endswith(_PACKED_BY_GZIP):
            unpack = _gzip
        self._raw = self._path.open("rb")
        self._file = unpack(self._raw)
        return self._file

    def position(self) -> int:
        """Return how many bytes of the file as it lies on disk were read."""
        return self._raw.tell()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()
        self._raw.close()
        broken = (EOFError, gzip.BadGzipFile, zlib.error)
        if isinstance(error, broken) or type(error).__name__ == "ZstdError":
            raise DataError(
                f"{self._path} cannot be unpacked ({reason_of(error)}): "
                "it is damaged or not complete"
            ) from error


def text_batches(path: Path, column: str) -> Iterator[list[Any]]:
    """Yield the texts of a parquet file, some rows at a time.

    Raises:
        DataError: the file is broken or has no such column of texts.
        MachineError: pyarrow is not installed.
    """
    pyarrow = _pyarrow(path)
    with _naming(path, "a parquet file"), pyarrow.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        if column not in schema.names:
            raise DataError(
                f"{path} has no column {column!r} (it has {', '.join(schema.names)}): "
                "name the column that holds the text"
            )
        kind = schema.field(column).type
        if pyarrow.types.is_dictionary(kind):
            kind = kind.value_type
        if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise DataError(f"{path}: column {column!r} holds {kind}, not text: name another")
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
            yield batch.column(0).to_pylist()


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a parquet file, by their columns' names.

    Raises:
        DataError: the file is broken.
        MachineError: pyarrow is not installed.
    """
    pyarrow = _pyarrow(path)
    with _naming(path, "a parquet file"), pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield from batch.to_pylist()


def arrow_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of an Arrow stream, as `datasets` saves them.

    Raises:
        DataError: the file is broken.
        MachineError: pyarrow is not installed.
    """
    pyarrow = _pyarrow(path)
    with _naming(path, "an Arrow stream"), pyarrow.memory_map(str(path)) as file:
        for batch in pyarrow.ipc.open_stream(file):
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield from batch.slice(start, _BATCH_ROWS).to_pylist()


def check_parquet(path: Path) -> None:
    """Refuse a parquet file that could not be read or written here.

    Raises:
        MachineError: pyarrow is not installed.
    """
    _pyarrow(path)


@contextmanager
def parquet_writer(path: Path, *, is_nested: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Write a parquet file of ids and vectors, some rows at a time; nested, of several vectors.

    Raises:
        MachineError: pyarrow is not installed.
    """
    pyarrow = _pyarrow(path)
    vector = pyarrow.list_(pyarrow.float32())
    kind = pyarrow.list_(vector) if is_nested else vector
    schema = pyarrow.schema([("id", pyarrow.string()), ("vector", kind)])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        yield lambda columns: writer.write_table(
            pyarrow.table(
                {
                    "id": columns["id"],
                    "vector": [[*each] if is_nested else each for each in columns["vector"]],
                },
                schema,
            )
        )


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise _lacking("pyarrow", path) from error
    return pyarrow


@contextmanager
def _naming(path: Path, form: str) -> Iterator[None]:
    """Say which file pyarrow could not read."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not {form} that can be read: {reason_of(error)}") from error


def _as_it_is(raw: IO[bytes]) -> IO[bytes]:
    return raw


def _gzip(raw: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw))


def _zstandard_for(path: Path) -> Callable[[IO[bytes]], IO[bytes]]:
    try:
        import zstandard
    except ImportError as error:
        raise _lacking("zstandard", path) from error

    frame = zstandard.ZstdDecompressor().decompressobj

    def unpack(raw: IO[bytes]) -> IO[bytes]:
        return io.BufferedReader(_Frames(raw, frame))

    return unpack


class _Frames(io.RawIOBase):
    """Unpacks frame after frame; the library's own reader says nothing of one that is cut off."""

    def __init__(self, raw: IO[bytes], frame: Callable[[], Any]) -> None:
        self._raw, self._frame = raw, frame
        self._now: Any = None
        self._packed, self._ready = b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._packed:
                self._packed = self._raw.read(_READ_BYTES)
            if not self._packed:
                if self._now is not None:
                    raise EOFError("its last frame is cut off")
                return 0
            self._now = self._now or self._frame()
            self._ready = self._now.decompress(self._packed)
            self._packed = b""
            if self._now.eof:
                self._packed, self._now = self._now.unused_data, None
        taken = min(len(buffer), len(self._ready))
        buffer[:taken], self._ready = self._ready[:taken], self._ready[taken:]
        return taken


def _lacking(package: str, path: Path) -> MachineError:
    return MachineError(
        f"{path} needs the package {package}: install it with `pip install 'modernbert[data]'`"
    )
