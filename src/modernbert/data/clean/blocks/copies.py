"""What datatrove's two ways to find copies need from us: who keeps his copy, and less memory."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashConfig, MinhashDedupSignature
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig

from modernbert.base.files import make_folder, whole_file, write_json
from modernbert.data.clean.blocks.words import HASHES
from modernbert.data.clean.options import MinHash

_BLOCK = 1 << 14
"""Shingles whose hashes are in memory at once."""
_MOST = 65_535
RANK = "rank"
FIRSTS = "firsts.json"


def exact_config() -> ExactDedupConfig:
    """Say what is compared: texts but for their white space; the first task keeps its copy."""
    return ExactDedupConfig(
        content_getter=_content, document_priority=_priority, hash_config=HASHES
    )


def _content(document: Document) -> str:
    return " ".join(document.text.split())


def _priority(document: Document) -> int:
    return _MOST - int(document.metadata[RANK])


@final
class Ranked(PipelineStep):  # type: ignore[misc]
    """Tells each document which task it is of."""

    type = "count"
    name = "ranked"

    def run(self, data: Any, rank: int = 0, _world_size: int = 1) -> Iterator[Document]:
        """Yield what comes."""
        for document in data:
            document.metadata[RANK] = rank
            yield document


@final
class Named(PipelineStep):  # type: ignore[misc]
    """Leaves the names of documents by their numbers, for samples of those that are like them."""

    type = "writer"
    name = "names"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def run(self, data: Any, rank: int = 0, _world_size: int = 1) -> Iterator[Document]:
        """Yield what comes."""
        names = []
        for document in data:
            names.append(document.id)
            yield document
        make_folder(self._folder)
        write_json(names_path(self._folder, rank), names)


def names_path(folder: Path, rank: int) -> Path:
    """Return where the names of a task's documents are."""
    return folder / f"names-{rank:05d}.json"


def minhash_config(options: MinHash) -> MinhashConfig:
    """Spell our options as datatrove does."""
    return MinhashConfig(
        n_grams=options.ngram,
        num_buckets=options.buckets,
        hashes_per_bucket=options.hashes,
        seed=options.seed,
        hash_config=HASHES,
    )


@final
class Signature(MinhashDedupSignature):  # type: ignore[misc]
    """datatrove's, some shingles at a time: a book's would not fit into memory otherwise."""

    def get_signature(self, shingles: Any) -> list[list[int]]:
        """Return the least hashes, bucket by bucket."""
        blocks = [
            np.array(super(Signature, self).get_signature(shingles[start : start + _BLOCK]))
            for start in range(0, len(shingles), _BLOCK)
        ]
        least: list[list[int]] = np.min(blocks, axis=0).tolist()
        return least


@final
class KeepFirst(PipelineStep):  # type: ignore[misc]
    """Rewrites what datatrove would remove of each group: all but the first, in our order."""

    type = "dedup"
    name = "keep first"

    def __init__(self, groups: Path, out: Path) -> None:
        super().__init__()
        self._groups, self._out = groups, out

    def run(self, _data: Any = None, _rank: int = 0, _world_size: int = 1) -> None:
        """Write which documents of each task are removed, and the first of each group."""
        firsts: dict[int, tuple[int, int]] = {}
        make_folder(self._out)
        for path in sorted(self._groups.glob("*.clusters")):
            content = path.read_bytes()
            removed = []
            for document, group in struct.iter_unpack("<2I", content):
                first = firsts.setdefault(group, (int(path.stem), document))
                if first != (int(path.stem), document):
                    removed.append(document)
            self._write(path.name, content)
            self._write(f"{path.stem}.remove", struct.pack(f"<{len(removed)}I", *removed))
        write_json(self._out / FIRSTS, [firsts[group] for group in sorted(firsts)])

    def _write(self, name: str, content: bytes) -> None:
        with whole_file(self._out / name) as aside:
            aside.write_bytes(content)
