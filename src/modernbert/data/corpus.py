"""A corpus folder in, its documents' token ids out, each checked when it is first touched."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import final

import numpy as np

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.base.log import say
from modernbert.data.manifest import (
    NAME,
    SPLITS,
    UNIGRAMS,
    Manifest,
    SourceFacts,
    read_manifest,
)
from modernbert.data.shards import Ids, Shard
from modernbert.data.store import Store, is_address
from modernbert.data.tokenizer import Tokenizer


@final
class Corpus:
    """Documents by split and number; those of a source, and of a shard, stand together."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        tokenizer: Tokenizer,
        store: Store | None = None,
    ) -> None:
        """Take the parts as they are; `open` checks them. Ids come from the store, if any."""
        self.folder = folder
        self._store = store
        self.manifest = manifest
        self.tokenizer = tokenizer
        self._shards = {split: self._open_shards(split) for split in SPLITS}
        self._starts = {
            split: np.cumsum([0, *(len(shard.lengths) for shard in shards)])
            for split, shards in self._shards.items()
        }

    @classmethod
    def at(cls, place: str, cache_bytes: int) -> "Corpus":
        """Open a corpus in a folder, or at an address in a store through a cache of such a size.

        Raises:
            ConfigError: nobody knows such stores.
            DataError: something is missing, was altered, or belongs to another corpus.
            MachineError: the store or the cache cannot be reached.
        """
        if not is_address(place):
            return cls.open(Path(place))
        store = Store.at(place, cache_bytes)
        return cls.open(store.opened(), store)

    @classmethod
    def if_there(cls, place: str, cache_bytes: int) -> "Corpus | None":
        """Open a corpus where it is at hand, and do without where it is not.

        Raises:
            DataError: it is there, and something in it is missing or was altered.
        """
        if not is_address(place):
            return cls.open(Path(place)) if (Path(place) / NAME).is_file() else None
        try:
            return cls.at(place, cache_bytes)
        except (MachineError, ConfigError) as error:
            say(f"without the corpus: {error}")
            return None

    @classmethod
    def open(cls, folder: Path, store: Store | None = None) -> "Corpus":
        """Open a corpus and check its manifest, tokenizer, file sizes and indices.

        Raises:
            DataError: something is missing, was altered, or belongs to another corpus.
        """
        manifest = read_manifest(folder)
        tokenizer = Tokenizer.load(folder)
        if tokenizer.fingerprint != manifest.plan.tokenizer:
            where = store.address if store else folder
            raise DataError(
                f"the tokenizer in {where} is not the one the corpus was built with "
                f"({tokenizer.fingerprint[:8]}, not {manifest.plan.tokenizer[:8]}): "
                "put that one back, or build the corpus anew"
            )
        return cls(folder, manifest, tokenizer, store)

    @property
    def place(self) -> str:
        """Where it was opened, for messages."""
        return self._store.address if self._store else str(self.folder)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.manifest.plan.vocab_size

    @property
    def fingerprint(self) -> str:
        """Name of the content: equal fingerprints, equal documents in equal order."""
        return self.manifest.checksum

    def sources(self, split: str) -> tuple[str, ...]:
        """Return the names of the sources with a document in the split, sorted."""
        return tuple(source.name for source in self._with_documents(split))

    def token_counts(self, split: str) -> dict[str, int]:
        """Return the tokens of each source, without [CLS] and [SEP]."""
        return {
            source.name: sum(shard.tokens for shard in source.shards(split))
            for source in self._with_documents(split)
        }

    def document_counts(self, split: str) -> dict[str, int]:
        """Return the documents of each source; sources stand in this order."""
        return {
            source.name: sum(shard.documents for shard in source.shards(split))
            for source in self._with_documents(split)
        }

    def lengths(self, split: str) -> Ids:
        """Return the tokens of every document of a split, without [CLS] and [SEP]."""
        lengths = [shard.lengths for shard in self._shards[split]]
        return np.concatenate([np.zeros(0, dtype=np.int64), *lengths])

    def read(self, split: str, document: int, start: int, stop: int) -> Ids:
        """Return tokens [start, stop) of a document, without [CLS] and [SEP].

        Raises:
            DataError: the document was altered on disk; names shard and document.
        """
        shard, local = self._locate(split, document)
        return self._shards[split][shard].read(local, start, stop)

    def read_many(self, split: str, stretches: Iterable[tuple[int, int, int]]) -> list[Ids]:
        """Return tokens [start, stop) of many documents; those in a store are read side by side.

        Raises:
            DataError: a document was altered on disk; names shard and document.
            MachineError: the store cannot be reached.
        """

        def read(stretch: tuple[int, int, int]) -> Ids:
            return self.read(split, *stretch)

        return self._store.together(read, stretches) if self._store else [*map(read, stretches)]

    def name_of(self, split: str, document: int) -> str:
        """Return where a document stands, for messages."""
        shard, local = self._locate(split, document)
        return f"{self._shards[split][shard].name}/document {local}"

    def unigram_counts(self) -> Ids:
        """Return how often each id occurs in the train split.

        Raises:
            DataError: the file of counts is missing or was altered.
        """
        path = self.folder / UNIGRAMS
        data = path.read_bytes() if path.is_file() else b""
        if zlib.crc32(data) != self.manifest.unigrams_crc32:
            raise DataError(f"{path} is missing or was altered: build the corpus anew")
        return np.frombuffer(data, dtype="<i8").astype(np.int64)

    def _with_documents(self, split: str) -> tuple[SourceFacts, ...]:
        if split not in SPLITS:
            raise DataError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
        return tuple(source for source in self.manifest.sources if source.shards(split))

    def _open_shards(self, split: str) -> list[Shard]:
        return [
            Shard(self.folder / source.name, facts, self.manifest.plan.dtype, self._store)
            for source in self.manifest.sources
            for facts in source.shards(split)
        ]

    def _locate(self, split: str, document: int) -> tuple[int, int]:
        starts = self._starts[split]
        shard = int(np.searchsorted(starts, document, side="right")) - 1
        return shard, document - int(starts[shard])
