"""The address of a corpus in a store in, its files out: the one door to fsspec.

Small files are copied into the cache when the corpus is opened. A shard is copied whole when it is
first touched, while the cache has room. Documents of the others are read from the store one by
one, side by side: they come in a random order, and copying a shard for each would never end.
"""

import mmap
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, final

from modernbert.base.errors import ConfigError, DataError, MachineError, UserError, reason_of
from modernbert.base.files import whole_file
from modernbert.base.log import say
from modernbert.data.cache import Cache, default_folder, locked
from modernbert.data.manifest import (
    NAME,
    NAMES,
    SPLITS,
    UNIGRAMS,
    Manifest,
    SourceFacts,
    read_manifest,
)

A, B = TypeVar("A"), TypeVar("B")

_BESIDE = ("tokenizer_config.json", "special_tokens_map.json")
_BLOCK = 8 << 20
_AT_ONCE = 16
_WAITS_S = (0.5, 1.0, 2.0)
"""Between attempts. The libraries of stores try again by themselves as well."""
_FINAL = (ImportError, FileNotFoundError, PermissionError, IsADirectoryError)
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")


def is_address(place: str) -> bool:
    """Return whether a place is an address in a store, such as s3://bucket/folder."""
    return "://" in place


@final
class Store:
    """Files below an address. May be used by several threads at once."""

    def __init__(self, address: str, cache: Cache) -> None:
        """Find out how such a store is read; nothing is read yet.

        Raises:
            ConfigError: nobody knows such stores.
            MachineError: the package that reads them is missing.
        """
        self.address = address.rstrip("/")
        self._cache = cache
        self._files, self._root = _file_system(self.address)
        self._is_told = False

    @classmethod
    def at(cls, address: str, cache_bytes: int) -> "Store":
        """Return the store of an address, with its part of the user's cache.

        Raises:
            ConfigError: nobody knows such stores.
            MachineError: the package that reads them is missing, or the cache cannot be written.
        """
        return cls(address, Cache(default_folder() / "corpora", cache_bytes))

    def opened(self) -> Path:
        """Return a folder with all of the corpus but its ids, named by its content.

        Raises:
            DataError: there is no corpus, or it is broken.
            MachineError: the store or the cache cannot be reached.
        """
        with locked(self._cache.folder / "opening" / ".lock"):
            arriving = self._cache.folder / "opening" / NAME
            arriving.unlink(missing_ok=True)
            self._copy(NAME, arriving)
            try:
                manifest = read_manifest(arriving.parent)
            except DataError as error:
                raise DataError(f"{self.address}: {reason_of(error)}") from error
            names = {name for source in manifest.sources for name in _names(source)}
            if not all(map(NAMES.fullmatch, names)):
                raise DataError(f"{self.address}/{NAME} names files that lie elsewhere: not read")
            folder = self._cache.folder / manifest.checksum
            folder.mkdir(exist_ok=True)
            arriving.replace(folder / NAME)
        with locked(folder / ".lock"):
            self._copy_small(manifest, folder)
        return folder

    def mapped(self, path: Path, size: int) -> mmap.mmap | None:
        """Return a shard's bytes from the cache; None where that has no room for them.

        Raises:
            MachineError: the store or the cache cannot be reached.
        """
        name = f"{path.parent.name}/{path.name}"

        def fill(file: BinaryIO) -> None:
            for start in range(0, size, _BLOCK):
                file.write(self.part(name, start, min(start + _BLOCK, size)))

        return self._cache.mapped(path, size, fill)

    def part(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of a file.

        Raises:
            DataError: the file is not there, or shorter than that.
            MachineError: the store cannot be reached.
        """
        where = f"{self._root}/{name}"
        data = self._tried(name, lambda: self._files.cat_file(where, start=start, end=stop))
        if len(data) != stop - start:
            raise DataError(
                f"{self.address}/{name} gave {len(data)} bytes where {stop - start} were asked "
                "for: the file is not the manifest's, or the server gives no parts of files"
            )
        return bytes(data)

    def together(self, work: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """Do many readings at once; results keep the order."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as pool:
            return list(pool.map(work, items))

    def _copy_small(self, manifest: Manifest, folder: Path) -> None:
        checks = {
            f"{source.name}/{shard.name}.index": shard.index_crc32
            for source in manifest.sources
            for split in SPLITS
            for shard in source.shards(split)
        }
        checks[UNIGRAMS] = manifest.unigrams_crc32
        for source in manifest.sources:
            (folder / source.name).mkdir(exist_ok=True)
        missing = [name for name, crc in checks.items() if not _is_whole(folder / name, crc)]
        # Of the tokenizer there is no checksum to tell an altered copy by.
        missing += ["tokenizer.json", *_BESIDE]
        self.together(lambda name: self._copy(name, folder / name), missing)

    def _copy(self, name: str, target: Path) -> None:
        try:
            data = self._tried(name, lambda: self._files.cat_file(f"{self._root}/{name}"))
        except DataError:
            if name in _BESIDE:
                return  # not every tokenizer has them
            raise
        with whole_file(target) as aside:
            aside.write_bytes(data)

    def _tried(self, name: str, read: Callable[[], Any]) -> Any:
        for wait in (*_WAITS_S, None):
            try:
                return read()
            except Exception as error:  # each store has errors of its own
                if wait is None or isinstance(error, _FINAL) or _is_anonymous(error):
                    raise self._refusal(name, error) from error
                self._say_once(error)
                time.sleep(wait)
        raise AssertionError

    def _say_once(self, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            said = reason_of(error) or type(error).__name__
            say(f"{self.address} does not answer ({said}): trying again")

    def _refusal(self, name: str, error: Exception) -> UserError:
        where = f"{self.address}/{name}"
        if isinstance(error, FileNotFoundError):
            return DataError(
                f"{where} is not there: see that the address is right and that the whole folder "
                "was copied there"
            )
        said = reason_of(error) or type(error).__name__
        if isinstance(error, PermissionError) or _is_anonymous(error):
            return MachineError(
                f"{where} may not be read ({said}): give the credentials as the store's own tools "
                "take them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return MachineError(
            f"the store cannot be reached: {where} was tried {len(_WAITS_S) + 1} times ({said}); "
            "repeat the command when it answers, or go on with --resume: what was saved is intact"
        )


def _names(source: SourceFacts) -> tuple[str, ...]:
    shards = [shard for split in SPLITS for shard in source.shards(split)]
    return (source.name, *(shard.name for shard in shards))


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MachineError(
            f"{address} cannot be opened ({reason_of(error)}): for s3:// and https:// "
            "pip install 'modernbert[s3fs]', for other stores the package that it names"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{address} is no address that can be read ({reason_of(error)}): give one like "
            "s3://bucket/folder, gs://, https:// or file://, or a folder"
        ) from error
    return files, str(root).rstrip("/")


def _is_anonymous(error: Exception) -> bool:
    return type(error).__name__ in _NO_CREDENTIALS


def _is_whole(path: Path, crc32: int) -> bool:
    return path.is_file() and zlib.crc32(path.read_bytes()) == crc32
