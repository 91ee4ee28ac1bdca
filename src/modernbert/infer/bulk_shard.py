"""Some documents and a model in, a shard of their vectors on disk out."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from modernbert.base.device import choose_device
from modernbert.base.errors import CheckpointError, DataError, MachineError
from modernbert.base.files import whole_file
from modernbert.data.entries import Entry
from modernbert.data.tokenizer import Ids
from modernbert.infer import embed, reading
from modernbert.infer.eight_bits import to_bytes
from modernbert.infer.embed_options import Dtype
from modernbert.infer.embeddings import EmbeddingsFacts, read_facts, shard_path
from modernbert.infer.fingerprint import fingerprint_of_model
from modernbert.infer.pretrained import Pretrained, load

PART = 128
"""Documents that become token ids at once: Ctrl-C waits for no more."""
_PARTS = 8
"""Parts whose vectors are in memory at once: enough that alike lengths meet in a batch."""
"""Of 8 bits, to each side."""

_Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Read:
    """What a model reads of some documents."""

    names: tuple[str, ...]
    ids: tuple[Ids, ...]
    is_cut: tuple[bool, ...]
    is_empty: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs to know to make shards; it travels to other machines."""

    model: str
    """Folder, or name on the hub."""
    out: str
    device: str
    threads: int
    """0 leaves torch's own number."""


def embed_shard(work: Work, number: int, documents: Sequence[Entry]) -> int:
    """Write a shard in whatever process this is; the model stays open for the next one.

    Raises:
        CheckpointError: the model is not there, or another one.
        MachineError: the folder is not there, or cannot be written.
    """
    out = Path(work.out)
    if not out.is_dir():
        raise MachineError(
            f"{out} is not there on one of the machines: give a folder that all of them share"
        )
    facts, model = read_facts(out), _opened(work)
    read = (read_part(model, facts, part) for part in parted(documents))
    write_shard(model, facts, out, number, read)
    return len(documents)


@lru_cache(maxsize=1)
def _opened(work: Work) -> Pretrained:
    if work.threads:
        torch.set_num_threads(work.threads)
    facts = read_facts(Path(work.out))
    if fingerprint_of_model(work.model, facts.runtime) != facts.model_fingerprint:
        raise CheckpointError(
            f"{work.model} is another model on one of the machines: copy the same one to all"
        )
    return load(work.model, runtime=facts.runtime).to(choose_device(work.device))


def parted(documents: Iterable[Entry], size: int = PART) -> Iterator[list[Entry]]:
    """Yield documents some at a time."""
    some = iter(documents)
    while part := list(islice(some, size)):
        yield part


def read_part(model: Pretrained, facts: EmbeddingsFacts, documents: Sequence[Entry]) -> Read:
    """Turn documents into what a model reads of them, with whether they were longer."""
    texts = [each.whole for each in documents]
    config, length = model.sentence.config, facts.max_length
    if config.late is None:
        whole = reading.with_ends(model.tokenizer, texts, facts.prompt, length + 1)
    else:
        more = replace(
            config,
            max_length=length + 1,
            late=replace(config.late, document_length=length + 1),
        )
        read = reading.side_of(model.tokenizer, more, texts, is_query=False)
        whole = [each.ids for each in read]
    return Read(
        tuple(each.id for each in documents),
        tuple(_cut(ids, length) for ids in whole),
        tuple(len(ids) > length for ids in whole),
        tuple(not text.strip() for text in texts),
    )


def _cut(ids: Ids, length: int) -> Ids:
    return ids if len(ids) <= length else np.concatenate([ids[: length - 1], ids[-1:]])


def write_shard(
    model: Pretrained,
    facts: EmbeddingsFacts,
    out: Path,
    number: int,
    parts: Iterable[Read],
    report: Callable[[int], None] = lambda _: None,
) -> None:
    """Compute the vectors of documents and write them; the file of vectors comes last.

    `report` hears after some documents how many they were. Memory is bounded by 1,024 documents.

    Raises:
        DataError: a vector cannot be written in this format.
        MachineError: the disk is full or the folder cannot be written.
    """
    lines: list[str] = []
    counts, scales = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    with whole_file(shard_path(out, number)) as aside:
        with aside.open("wb") as file:
            _write_header(file, facts, 0)
            for read in _joined(parts):
                rows, count = _vectors(model, facts, read)
                stored, scale = _stored(rows, facts.dtype)
                _check_finite(stored, scale, count, read)
                file.write(stored.tobytes())
                counts.append(count)
                scales.append(scale)
                lines += map(_line, read.names, read.ids, read.is_cut, read.is_empty)
                report(len(read.names))
            file.seek(0)
            _write_header(file, facts, int(np.concatenate(counts).sum()))
        with whole_file(shard_path(out, number, "ids.jsonl")) as beside:
            beside.write_text("".join(lines), encoding="utf-8")
        if facts.kind == "token":
            _save(shard_path(out, number, "lengths.npy"), np.concatenate(counts))
        if facts.dtype == "int8":
            _save(shard_path(out, number, "scales.npy"), np.concatenate(scales))


def _joined(parts: Iterable[Read]) -> Iterator[Read]:
    left = iter(parts)
    while some := list(islice(left, _PARTS)):
        yield Read(
            tuple(name for each in some for name in each.names),
            tuple(ids for each in some for ids in each.ids),
            tuple(is_cut for each in some for is_cut in each.is_cut),
            tuple(is_empty for each in some for is_empty in each.is_empty),
        )


def _vectors(
    model: Pretrained, facts: EmbeddingsFacts, read: Read
) -> tuple[_Vectors, NDArray[np.int64]]:
    """Return rows, and how many each document has."""
    late = model.sentence.config.late
    if late is None:
        before = reading.num_prompt_tokens(model.tokenizer, facts.prompt, facts.max_length)
        rows = embed.vectors_of_texts(model.runs, model.sentence, read.ids, before)
        return _array(rows[:, : facts.dimension]), np.ones(len(rows), dtype=np.int64)
    texts = [reading.ReadText(ids, len(ids)) for ids in read.ids]
    found = embed.vectors_of_tokens(model.runs, model.sentence, texts)
    kept = [
        vectors[reading.kept(model.tokenizer, late, ids, is_query=False)]
        for vectors, ids in zip(found, read.ids, strict=True)
    ]
    counts = np.array([len(each) for each in kept], dtype=np.int64)
    return _array(torch.cat(kept)[:, : facts.dimension]), counts


def _array(rows: torch.Tensor) -> _Vectors:
    return np.asarray(rows.cpu().numpy(), dtype=np.float32)


def _stored(rows: _Vectors, dtype: Dtype) -> tuple[NDArray[Any], _Vectors]:
    """Return rows in the format they are stored in, and what int8 is to be multiplied by."""
    if dtype != "int8":
        with np.errstate(over="ignore"):
            return rows.astype(dtype), np.zeros(0, dtype=np.float32)
    return to_bytes(rows)


def _check_finite(
    stored: NDArray[Any], scales: _Vectors, counts: NDArray[np.int64], read: Read
) -> None:
    checked = scales[:, None] if len(scales) else stored
    wrong = np.flatnonzero(~np.isfinite(checked).all(axis=1))
    if len(wrong):
        document = int(np.searchsorted(np.cumsum(counts), wrong[0], side="right"))
        raise DataError(
            f"a vector of the document {read.names[document]!r} is not finite as "
            f"{stored.dtype}: take --dtype float32, or look at the model's weights"
        )


def _write_header(file: IO[bytes], facts: EmbeddingsFacts, rows: int) -> None:
    """Write what numpy reads first; it has the same length for any number of rows."""
    header = {
        "descr": np.dtype(facts.dtype).newbyteorder("<").str,
        "fortran_order": False,
        "shape": (rows, facts.dimension),
    }
    np.lib.format.write_array_header_1_0(file, header)


def _line(name: str, ids: Ids, is_cut: bool, is_empty: bool) -> str:
    told = {"id": name, "tokens": len(ids), "is_cut": is_cut, "is_empty": is_empty}
    return json.dumps(told, ensure_ascii=False) + "\n"


def _save(path: Path, values: NDArray[Any]) -> None:
    with whole_file(path) as aside, aside.open("wb") as file:
        np.save(file, values)
