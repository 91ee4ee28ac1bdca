"""Documents in, one after the other; groups to encode, and segments to write, of good size out."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import final

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.data.entries import Entry, fingerprint_of, name_of
from modernbert.retrieval.index_files import AddedFacts
from modernbert.retrieval.segment import Encoded

_GROUP = 256
"""Documents that are encoded at once."""
_GROUP_CHARS = 4_000_000
_SEGMENT_DOCUMENTS = 4096
_SEGMENT_CHARS = 32_000_000
_SEGMENT_NUMBERS = 2**25
"""Numbers in a segment's vectors: 128 MiB in float32."""
_SEGMENT_SECONDS = 60.0
"""Work that a kill may lose."""


@final
class Pending:
    """Documents that were encoded and not yet written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.encoded: list[Encoded] = []
        self.replaced: list[int] = []
        self.num_cut = 0
        self._since = time.monotonic()
        self._chars = self._numbers = 0

    def take(self, entries: Sequence[Entry], encoded: Encoded) -> None:
        """Keep documents and their vectors."""
        self.entries += entries
        self.encoded.append(encoded)
        self._chars += sum(len(entry.text) for entry in entries)
        self._numbers += encoded.vectors.size

    def is_full(self, documents: int = _SEGMENT_DOCUMENTS) -> bool:
        """Return whether it is time for a segment."""
        return (
            len(self.entries) >= documents
            or self._numbers >= _SEGMENT_NUMBERS
            or self._chars >= _SEGMENT_CHARS
        )

    def is_late(self) -> bool:
        """Return whether much work would be lost."""
        return time.monotonic() - self._since >= _SEGMENT_SECONDS


def groups(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield documents a few hundred at a time, fewer where they are long."""
    group: list[Entry] = []
    chars = 0
    for entry in entries:
        group.append(entry)
        chars += len(entry.text)
        if len(group) >= _GROUP or chars >= _GROUP_CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group


def source_of(
    entries: Iterable[Entry], last: AddedFacts | None, *, replaces: bool
) -> AddedFacts | None:
    """Return how far documents were read before: to their beginning, if they are new.

    Raises:
        ConfigError: others were not added whole, and nobody said that they may stay so.
    """
    name, fingerprint = name_of(entries), fingerprint_of(entries)
    is_known = bool(fingerprint) and last is not None and last.fingerprint == fingerprint
    if last and not last.is_done:
        if is_known:
            say(f"going on behind the first {last.rows:,} documents of {name}")
        elif not replaces:
            raise ConfigError(
                f"{last.name} was not added whole, {last.rows:,} of its documents were looked at: "
                "finish it with the command that was stopped, or say --replace to leave it so"
            )
    if last and is_known:
        return last
    if not fingerprint:
        return None
    return AddedFacts(name=name, fingerprint=fingerprint, rows=0, is_done=False)
