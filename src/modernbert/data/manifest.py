"""What a corpus folder says of itself: manifest.json in and out, guarded by its own checksum."""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from modernbert.base.errors import ConfigError, DataError
from modernbert.base.files import digest, read_json, write_json
from modernbert.base.records import from_plain
from modernbert.data.documents import InvalidUtf8

FORMAT = 1
SPLITS = ("train", "heldout")
NAME = "manifest.json"
UNIGRAMS = "unigrams.int64"
NAMES = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""What sources and shards may be called: nothing that leads out of the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How texts become shards; a corpus built with other options is another corpus."""

    heldout_fraction: float = 0.01
    """Share of the documents kept out of training, chosen by a hash of the text."""
    heldout_sources: tuple[str, ...] = ()
    """Sources kept out of training whole, such as a standard test set."""
    shard_bytes: int = 64 << 20
    """A shard is closed when its documents, in both splits, reach this size; a build that was
    stopped repeats at most one."""
    invalid_utf8: InvalidUtf8 = "replace"
    """Replace and count bytes that are not UTF-8, or stop at the first."""
    text_key: str = "text"
    """Key or column that holds the text in .jsonl and .parquet files."""
    dtype: str | None = None
    """Type of the stored ids, uint16 or uint32; by default the narrowest that fits."""

    def heldout_share(self, source: str) -> float:
        """Return the share of a source's documents that is kept out of training."""
        return 1.0 if source in self.heldout_sources else self.heldout_fraction


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """What the manifest says of a shard."""

    name: str
    """Name of its files, without their suffix."""
    documents: int
    tokens: int
    text_bytes: int
    """Bytes of the texts in UTF-8."""
    index_crc32: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what a build writes."""

    tokenizer: str
    """Fingerprint of the tokenizer."""
    vocab_size: int
    dtype: str
    options: BuildOptions
    inputs: tuple[tuple[str, str], ...]
    """Each source's name and the fingerprint of its files."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What became of one source."""

    name: str
    documents_read: int
    dropped: int
    """Documents without a token."""
    repaired: int
    """Documents with bytes or characters that are not Unicode, replaced by U+FFFD."""
    skipped_files: int
    """Binary files passed over in folders."""
    train: tuple[ShardFacts, ...]
    heldout: tuple[ShardFacts, ...]

    def shards(self, split: str) -> tuple[ShardFacts, ...]:
        """Return the shards of a split."""
        assert split in SPLITS, split
        return self.train if split == "train" else self.heldout


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole corpus, in numbers."""

    plan: Plan
    sources: tuple[SourceFacts, ...]
    unigrams_crc32: int
    """Checksum of the file of unigram counts."""
    checksum: str
    """Names the corpus: documents' checksums are in the index, the index's are in here."""

    @classmethod
    def of(cls, plan: Plan, sources: tuple[SourceFacts, ...], unigrams_crc32: int) -> "Manifest":
        """Describe a corpus that was just built."""
        unnamed = cls(plan, sources, unigrams_crc32, "")
        return replace(unnamed, checksum=_checksum(asdict(unnamed)))

    def total(self, fact: Literal["documents", "tokens", "text_bytes"], split: str) -> int:
        """Add up a fact over the shards of a split."""
        return sum(
            int(getattr(shard, fact)) for source in self.sources for shard in source.shards(split)
        )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json, whole or not at all."""
    write_json(folder / NAME, {"format": FORMAT, **asdict(manifest)})


def read_manifest(folder: Path) -> Manifest:
    """Read manifest.json.

    Raises:
        DataError: it is missing, of another format, or was altered.
    """
    path = folder / NAME
    if not path.is_file():
        raise DataError(
            f"{folder} is not a finished corpus: it has no {NAME}; "
            "build it, or build it again if that was stopped"
        )
    value = parsed(path)
    try:
        manifest = Manifest(
            from_plain(Plan, value["plan"]),
            tuple(from_plain(SourceFacts, source) for source in value["sources"]),
            value["unigrams_crc32"],
            value["checksum"],
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise _altered(path) from error
    if _checksum(value) != manifest.checksum:
        raise _altered(path)
    return manifest


def _checksum(value: dict[str, Any]) -> str:
    """Digest what the file says, so that a version with more options reads it the same."""
    said = {name: part for name, part in value.items() if name not in ("format", "checksum")}
    return digest(json.dumps(said, sort_keys=True).encode())


def parsed(path: Path) -> Any:
    """Read a JSON file of this format.

    Raises:
        DataError: it is broken, or of another format.
    """
    try:
        value = read_json(path)
        found = value["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise _altered(path) from error
    if found != FORMAT:
        raise DataError(
            f"{path} has format {found!r}, this version reads format {FORMAT}: build it anew"
        )
    return value


def _altered(path: Path) -> DataError:
    return DataError(f"{path} is broken or was altered since it was written: build the corpus anew")
