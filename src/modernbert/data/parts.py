"""One source's texts in, its shards out, part by part, so that a stopped build can go on.

A part is a stretch of the source's documents: at most one shard a split, and a record that is
written last. What has a record is finished.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from modernbert.base.files import sweep, write_json
from modernbert.data.documents import Document, Found, Reader
from modernbert.data.manifest import FORMAT, SPLITS, Plan, ShardFacts, SourceFacts, parsed
from modernbert.data.prefetch import prefetch
from modernbert.data.shards import DTYPES, StoredIds, write_shard
from modernbert.data.tokenizer import Tokenizer

_BATCH_CHARS = 4_000_000
_BATCH_DOCUMENTS = 8192
_BATCHES_AHEAD = 2

Show = Callable[[int, int], None]
"""Told the bytes of the source that were read, and the documents that are encoded."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What a finished part holds."""

    documents_read: int
    dropped: int
    repaired: int
    is_last: bool
    shards: tuple[tuple[str, ShardFacts], ...]
    """Split and shard."""


@dataclass(slots=True)
class _Part:
    """Documents on their way into shards."""

    ids: dict[str, list[StoredIds]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    text_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    tokens: int = 0
    documents_read: int = 0
    dropped: int = 0
    repaired: int = 0
    is_last: bool = False

    def add(self, document: Document, ids: StoredIds, heldout_share: float) -> None:
        self.documents_read += 1
        self.repaired += document.is_repaired
        if not len(ids):
            self.dropped += 1
            return
        data = document.text.encode()
        split = "heldout" if _is_held_out(data, heldout_share) else "train"
        self.ids[split].append(ids)
        self.text_bytes[split] += len(data)
        self.tokens += len(ids)


def build_source(
    found: Found, tokenizer: Tokenizer, plan: Plan, folder: Path, show: Show
) -> SourceFacts:
    """Write the shards of a source that are not written yet.

    Raises:
        DataError: a file cannot be read.
        MachineError: the disk is full; finished parts stay.
    """
    folder.mkdir(exist_ok=True)
    sweep(folder)
    records = list(_finished(folder))
    if not records or not records[-1].is_last:
        options = plan.options
        reader = Reader(found.files, invalid_utf8=options.invalid_utf8, key=options.text_key)
        start = sum(record.documents_read for record in records)
        with closing(prefetch(_batches(islice(reader, start, None)), _BATCHES_AHEAD)) as batches:
            shown = _shown(batches, reader, show)
            for part in _filled(shown, tokenizer, plan, folder.name):
                records.append(_write(part, folder, len(records), plan.dtype))
    return _facts(folder.name, records, len(found.skipped))


def forget(folder: Path) -> None:
    """Remove the records of a source that the manifest speaks for."""
    for path in folder.glob("part-*.json"):
        path.unlink()


def _is_held_out(text: bytes, share: float) -> bool:
    """Decide by the text alone, so that equal texts stay on one side whatever their order."""
    name = hashlib.blake2b(text, digest_size=8, person=b"heldout").digest()
    return int.from_bytes(name, "little") < share * 2.0**64


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    chars = 0
    for document in documents:
        batch.append(document)
        chars += len(document.text)
        if chars >= _BATCH_CHARS or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _shown(
    batches: Iterator[list[Document]], reader: Reader, show: Show
) -> Iterator[list[Document]]:
    documents = 0
    for batch in batches:
        show(reader.bytes_read, documents)
        yield batch
        documents += len(batch)


def _filled(
    batches: Iterator[list[Document]], tokenizer: Tokenizer, plan: Plan, source: str
) -> Iterator[_Part]:
    """Yield parts as they are full; the last one, perhaps empty, says that it is the last."""
    dtype = DTYPES[plan.dtype]
    most_tokens = plan.options.shard_bytes // dtype.itemsize
    heldout_share = plan.options.heldout_share(source)
    part = _Part()
    for batch in batches:
        many = tokenizer.encode_many([document.text for document in batch])
        for document, ids in zip(batch, many, strict=True):
            part.add(document, ids.astype(dtype), heldout_share)
            if part.tokens >= most_tokens:
                yield part
                part = _Part()
    part.is_last = True
    yield part


def _write(part: _Part, folder: Path, number: int, dtype: str) -> _Record:
    shards = tuple(
        (split, write_shard(folder / f"{split}-{number:05}", ids, part.text_bytes[split], dtype))
        for split, ids in part.ids.items()
        if ids
    )
    record = _Record(part.documents_read, part.dropped, part.repaired, part.is_last, shards)
    write_json(_record_path(folder, number), {"format": FORMAT, "part": asdict(record)})
    return record


def _finished(folder: Path) -> Iterator[_Record]:
    number = 0
    while (path := _record_path(folder, number)).is_file():
        value = parsed(path)["part"]
        shards = tuple((split, ShardFacts(**facts)) for split, facts in value["shards"])
        yield _Record(**{**value, "shards": shards})
        number += 1


def _record_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.json"


def _facts(name: str, records: list[_Record], skipped_files: int) -> SourceFacts:
    by_split = {
        split: tuple(shard for record in records for of, shard in record.shards if of == split)
        for split in SPLITS
    }
    return SourceFacts(
        name,
        documents_read=sum(record.documents_read for record in records),
        dropped=sum(record.dropped for record in records),
        repaired=sum(record.repaired for record in records),
        skipped_files=skipped_files,
        train=by_split["train"],
        heldout=by_split["heldout"],
    )
