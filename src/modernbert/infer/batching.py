"""Lengths of documents in, groups out: batches of a budget of tokens, even shares of a batch."""

from collections.abc import Sequence

from modernbert.base.errors import ConfigError


def plan(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Return the numbers of the documents of each batch, the longest documents first.

    A batch holds at most `batch_tokens` tokens; a document that is longer is alone. Documents of
    one length keep their order, so equal lengths give equal batches.

    Raises:
        ConfigError: the budget is less than a token.
    """
    if batch_tokens < 1:
        raise ConfigError(f"batch_tokens is {batch_tokens}: give at least 1")
    batches: list[list[int]] = []
    room = 0
    for number in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if not batches or lengths[number] > room:
            batches.append([])
            room = batch_tokens
        batches[-1].append(number)
        room -= lengths[number]
    return batches
