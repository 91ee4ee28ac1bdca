"""Any number of items in, lists of so many at a time out, as they come."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import TypeVar

G = TypeVar("G")


async def groups_of(
    items: Iterable[G] | AsyncIterable[G], at_once: int
) -> AsyncIterator[Sequence[G]]:
    """Yield items in groups of a size, the last of what is left."""
    group: list[G] = []
    async for item in _each(items):
        group.append(item)
        if len(group) == at_once:
            yield group
            group = []
    if group:
        yield group


async def _each(items: Iterable[G] | AsyncIterable[G]) -> AsyncIterator[G]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
