"""A corpus folder in, its documents' token ids out, each checked when it is first touched."""

import zlib
from pathlib import Path
from typing import final

import numpy as np

from modernbert.base.errors import DataError
from modernbert.data.manifest import SPLITS, Manifest, SourceFacts, read_manifest
from modernbert.data.shards import Ids, Shard
from modernbert.data.tokenizer import Tokenizer

UNIGRAMS = "unigrams.int64"


@final
class Corpus:
    """Documents by split and number; those of a source, and of a shard, stand together."""

    def __init__(self, folder: Path, manifest: Manifest, tokenizer: Tokenizer) -> None:
        """Take the parts as they are; `open` checks them."""
        self.folder = folder
        self.manifest = manifest
        self.tokenizer = tokenizer
        self._shards = {split: self._open_shards(split) for split in SPLITS}
        self._starts = {
            split: np.cumsum([0, *(len(shard.lengths) for shard in shards)])
            for split, shards in self._shards.items()
        }

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open a corpus and check its manifest, tokenizer, file sizes and indices.

        Raises:
            DataError: something is missing, was altered, or belongs to another corpus.
        """
        manifest = read_manifest(folder)
        tokenizer = Tokenizer.load(folder)
        if tokenizer.fingerprint != manifest.plan.tokenizer:
            raise DataError(
                f"the tokenizer in {folder} is not the one the corpus was built with "
                f"({tokenizer.fingerprint[:8]}, not {manifest.plan.tokenizer[:8]}): "
                "put that one back, or build the corpus anew"
            )
        return cls(folder, manifest, tokenizer)

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
            Shard(self.folder / source.name, facts, self.manifest.plan.dtype)
            for source in self.manifest.sources
            for facts in source.shards(split)
        ]

    def _locate(self, split: str, document: int) -> tuple[int, int]:
        starts = self._starts[split]
        shard = int(np.searchsorted(starts, document, side="right")) - 1
        return shard, document - int(starts[shard])
