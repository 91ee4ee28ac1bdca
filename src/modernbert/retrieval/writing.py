"""An index folder and changes to it in, the folder changed out: a segment at a time, each whole.

A process that is killed leaves the last state that index.json names.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from modernbert.base.errors import DataError
from modernbert.base.files import hashed
from modernbert.base.lock import LOCK, held
from modernbert.base.log import meter, say
from modernbert.data.entries import Entry, EntryFiles
from modernbert.data.entries import name_of as source_name
from modernbert.data.survey import surveyed
from modernbert.retrieval import index_arrays, index_files
from modernbert.retrieval.index_files import AddedFacts, IndexFacts
from modernbert.retrieval.pending import Pending, groups, source_of
from modernbert.retrieval.segment import Encoded, joined, segments_of, write_segment

if TYPE_CHECKING:
    from modernbert.infer.pretrained import Pretrained

_COMPACT_DOCUMENTS = 65_536


@final
class Writer:
    """An index that is being changed; a context, which lets nobody else write meanwhile."""

    def __init__(self, folder: Path, facts: IndexFacts | None = None) -> None:
        """Take an index, or begin one of these facts where none is."""
        self.folder = folder
        self._lock = held(folder, "written to")
        is_there = (folder / index_files.INDEX).is_file()
        self.facts = facts if facts and not is_there else index_files.read_facts(folder)
        index_files.sweep(folder, self.facts if is_there else None)
        self._deleted = set(index_arrays.read_deleted(folder, self.facts).tolist())
        self._segments = segments_of(folder, self.facts)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if not (self.folder / index_files.INDEX).exists():
            index_files.sweep(self.folder, None)
            for path in (self.folder / index_files.SEGMENTS, self.folder / LOCK):
                with suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()
        self._lock.close()

    def add(self, entries: Iterable[Entry], model: "Pretrained", *, replaces: bool = False) -> None:
        """Read documents and write them, some thousand at a time.

        Files that were begun before go on where they were. Documents without text are left out,
        aloud.

        Raises:
            ConfigError: others were not added whole, and nothing is to be replaced.
            DataError: an id is there twice, or a text holds what is no character.
            MachineError: the disk is full or the folder cannot be written.
        """
        source = source_of(entries, self.facts.source, replaces=replaces)
        if source and source.is_done:
            say(f"the documents of {source.name} are there already")
            return
        size = 0
        if isinstance(entries, EntryFiles):
            size = entries.size_bytes
            if not (source and source.rows):
                self.check(entries, replaces=replaces)
        pending, empty, seen = Pending(), list[str](), 0
        with meter("documents", max(1, size)) as bar:
            for group in groups(entries):
                seen += len(group)
                if source and seen <= source.rows:
                    continue
                fresh = group[-(seen - source.rows) :] if source else group
                empty += [entry.id for entry in fresh if not entry.whole.strip()]
                self._take(pending, fresh, model, replaces=replaces)
                source = source and replace(source, rows=seen)
                if isinstance(entries, EntryFiles):
                    bar.at(entries.bytes_read)
                if pending.is_full() or pending.is_late():
                    self._write(pending, source)
                    pending = Pending()
        if seen == len(empty):
            raise DataError(f"{source_name(entries)} holds no document with text: give some")
        self._write(pending, source and replace(source, is_done=True))
        if empty:
            say(f"documents without text, left out: {len(empty)}, such as {empty[0]!r}")

    def put(self, entries: Sequence[Entry], encoded: Encoded) -> None:
        """Write documents whose vectors are known, as a segment."""
        pending = Pending()
        self._known(entries, pending, replaces=False)
        pending.take(entries, encoded)
        self._write(pending, None)

    def delete(self, ids: Sequence[str]) -> list[str]:
        """Delete documents, and return the ids that no document has."""
        unknown, gone = [], []
        for name in dict.fromkeys(ids):
            numbers = self._numbers_of(name)
            gone += numbers
            if not numbers:
                unknown.append(name)
        if gone:
            # What was added last may now be added again.
            source = self.facts.source
            kept = None if source and source.is_done else source
            self._commit(replace(self._without(gone), source=kept))
        return unknown

    def compact(self) -> None:
        """Write what is left into as few segments as are good, and drop what was deleted."""
        old = self.facts
        self.facts = replace(
            old, segments=(), deleted="", num_deleted=0, neighbours="", neighbour_vectors=0
        )
        self.facts = replace(self.facts, keys=())
        for pending in self._left():
            self.facts = self._with_segment(pending)
        self._deleted = set()
        self._commit(self.facts)
        index_files.sweep(self.folder, self.facts)

    def link(self) -> None:
        """Make or extend the graph of neighbours, where there are many vectors.

        Raises:
            MachineError: usearch is missing, or the folder cannot be written.
        """
        facts = self.facts
        total, covered = facts.num_vectors, facts.neighbour_vectors
        is_wanted = facts.kind != "sparse" and total > facts.approximate_above
        if not is_wanted or total - covered <= covered // 10:
            return
        from modernbert.retrieval.neighbours import Neighbours

        graph = (
            Neighbours.open(self.folder / facts.neighbours, is_changed=True)
            if covered
            else Neighbours.new(facts.dim)
        )
        say(f"a graph of neighbours is made for {total - covered:,} vectors")
        with meter("neighbours", total - covered) as bar:
            for segment in self._segments:
                if segment.first_vector >= covered:
                    graph.add(segment.blocks())
                    bar.at(segment.first_vector + segment.facts.vectors - covered)
        name = f"neighbours-{facts.next_number:06}"
        graph.save(self.folder / name)
        self._commit(
            replace(
                facts,
                neighbours=name,
                neighbour_vectors=total,
                next_number=facts.next_number + 1,
            )
        )

    def check(self, entries: EntryFiles, *, replaces: bool, without: Collection[str] = ()) -> None:
        """Refuse documents that would be refused after hours otherwise.

        Raises:
            DataError: one cannot be read, or has an id that is there twice or in the index, other
                than of those `without`.
        """
        is_maybe = self._may_hold(surveyed([entries]))
        if not replaces and is_maybe.any():
            for entry, maybe in zip(entries, is_maybe, strict=True):
                if maybe and entry.id not in without:
                    self._known([entry], Pending(), replaces=False)

    def _may_hold(self, names: NDArray[np.uint64]) -> NDArray[np.bool_]:
        maybe = np.zeros(len(names), dtype=np.bool_)
        for segment in self._segments:
            maybe |= segment.may_hold(names)
        return maybe

    def _take(
        self, pending: Pending, group: Sequence[Entry], model: "Pretrained", *, replaces: bool
    ) -> None:
        """Encode some documents."""
        from modernbert.retrieval.vectors import encode_documents

        fresh = [entry for entry in group if entry.whole.strip()]
        if not fresh:
            return
        pending.replaced += self._known(fresh, pending, replaces=replaces)
        encoded, is_cut = encode_documents(
            model, [entry.whole for entry in fresh], self.facts.reading
        )
        pending.take(fresh, encoded)
        pending.num_cut += sum(is_cut)

    def _known(self, fresh: Sequence[Entry], pending: Pending, *, replaces: bool) -> list[int]:
        """Return the numbers of documents that have these ids already."""
        places = {entry.id: entry.where for entry in pending.entries}
        for entry in fresh:
            if entry.id in places:
                raise DataError(
                    f"{entry.where or 'a document'} has the id {entry.id!r} of "
                    f"{places[entry.id] or 'another'}: give it another"
                )
            places[entry.id] = entry.where
        maybe = self._may_hold(np.array([hashed(each.id) for each in fresh], dtype=np.uint64))
        numbers = []
        for entry in (fresh[at] for at in np.flatnonzero(maybe).tolist()):
            found = self._numbers_of(entry.id)
            if found and not replaces:
                raise DataError(
                    f"{entry.where or 'a document'} has the id {entry.id!r}, which the index has "
                    "already: leave it out, or say --replace"
                )
            numbers += found
        return numbers

    def _numbers_of(self, name: str) -> list[int]:
        number = np.array([hashed(name)], dtype=np.uint64)
        numbers = [
            segment.start + row
            for segment in self._segments
            if segment.may_hold(number)[0]
            for row in segment.rows_of(name)
        ]
        return [number for number in numbers if number not in self._deleted]

    def _write(self, pending: Pending, source: AddedFacts | None) -> None:
        if pending.replaced:
            self.facts = self._without(pending.replaced)
        if pending.entries:
            self.facts = self._with_segment(pending)
        self._commit(
            replace(self.facts, source=source, num_cut=self.facts.num_cut + pending.num_cut)
        )

    def _with_segment(self, pending: Pending) -> IndexFacts:
        facts = self.facts
        name = f"{facts.next_number:06}"
        written = write_segment(
            self.folder, name, pending.entries, joined(pending.encoded), facts.reading.numbers
        )
        keys = {key for entry in pending.entries for key in entry.metadata}
        return replace(
            facts,
            segments=(*facts.segments, written),
            keys=tuple(sorted({*facts.keys, *keys})),
            next_number=facts.next_number + 1,
        )

    def _without(self, numbers: Collection[int]) -> IndexFacts:
        facts = self.facts
        self._deleted |= set(numbers)
        name = f"deleted-{facts.next_number:06}.npy"
        index_arrays.write_deleted(
            self.folder, name, np.array(sorted(self._deleted), dtype=np.int64)
        )
        return replace(
            facts,
            deleted=name,
            num_deleted=len(self._deleted),
            next_number=facts.next_number + 1,
        )

    def _left(self) -> Iterator[Pending]:
        """Yield what is not deleted, a segment at a time."""
        pending = Pending()
        for segment in self._segments:
            for row in range(segment.facts.documents):
                if segment.start + row in self._deleted:
                    continue
                pending.take([segment.entry(row)], segment.encoded(row))
                if pending.is_full(_COMPACT_DOCUMENTS):
                    yield pending
                    pending = Pending()
        if pending.entries:
            yield pending

    def _commit(self, facts: IndexFacts) -> None:
        index_files.commit(self.folder, facts)
        self.facts = facts
        self._segments = segments_of(self.folder, facts)
