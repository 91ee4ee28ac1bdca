"""A model in, how it is best run on this machine out: threads and batches, as measured briefly."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from modernbert.base.rng import generator
from modernbert.base.threads import alone
from modernbert.batch import PackedBatch, pack
from modernbert.infer.encode import encoded
from modernbert.infer.export.running import ExportedModel
from modernbert.infer.pretrained import Pretrained
from modernbert.infer.told import LEAST_BATCH_TOKENS

_SIZES = (128, 256, 512, 1024, 2048, 4096, 8192, 16_384)
"""Tokens of the batches that are tried, from the smallest."""
_SECONDS = 0.4
"""What measuring may take, about."""
_TRIES = 2
"""Of each batch, the faster of which counts: another process may have had the other one's cores."""
_ALL = 1.2
"""How much faster fewer threads must be than all of them to be taken."""
_ENOUGH = 0.9
"""Share of the best rate that is taken for a smaller batch, which keeps nobody waiting as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a model is run."""

    threads: int
    """Of torch, for each batch."""
    batch_tokens: int
    """Tokens of a batch at most; longer documents are computed alone, and beside the others."""
    seconds_a_token: float

    @property
    def spelled(self) -> str:
        """Say it in a few words."""
        return (
            f"{self.threads} threads, batches of {self.batch_tokens:,} tokens, "
            f"{1 / self.seconds_a_token:,.0f} tokens/s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What somebody decided, and is not to be tried."""

    threads: int | None = None
    batch_tokens: int | None = None
    """LEAST_BATCH_TOKENS or more."""


def tuned(
    model: Pretrained,
    there: int,
    fixed: Fixed | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Tuning:
    """Measure how many of the threads that are there compute most, and how small a batch will do.

    Takes a few tenths of a second whatever the model's size: batches that would take longer are
    not tried.
    """
    fixed = fixed or Fixed()
    all_threads = fixed.threads or there
    numbers = [all_threads] if fixed.threads else _numbers_of_threads(there)
    sizes = (fixed.batch_tokens,) if fixed.batch_tokens else _SIZES
    rates = alone(lambda: _rates(model, numbers, sizes, clock), all_threads)
    return _best(rates, all_threads)


def _rates(
    model: Pretrained, numbers: Sequence[int], sizes: Sequence[int], clock: Callable[[], float]
) -> dict[tuple[int, int], float]:
    """Return tokens a second by threads and the tokens of a batch."""
    there, start = torch.get_num_threads(), clock()
    documents = _documents(model, max(sizes) // LEAST_BATCH_TOKENS)
    _compute(model, pack(documents[:1]))  # the first one ever also makes room and starts threads
    rates: dict[tuple[int, int], float] = {}
    for place, threads in enumerate(numbers, start=1):
        torch.set_num_threads(threads)
        end = start + _SECONDS * place / len(numbers)
        for size in sizes:
            count = size // LEAST_BATCH_TOKENS
            batch = pack(documents[:count])
            seconds = min(_seconds(model, batch, clock) for _ in range(_TRIES))
            rates[threads, size] = count * LEAST_BATCH_TOKENS / seconds
            if clock() + 2 * _TRIES * seconds > end:
                break
    torch.set_num_threads(there)
    return rates


def _numbers_of_threads(there: int) -> list[int]:
    return [there] if there == 1 else [there, there // 2]


def _documents(model: Pretrained, count: int) -> list[list[int]]:
    tokens = model.tokenizer
    ids = generator(0, "tuning").choice(tokens.ordinary_ids, (count, LEAST_BATCH_TOKENS - 2))
    return [[tokens.cls_id, *row, tokens.sep_id] for row in ids.tolist()]


def _compute(model: Pretrained, batch: PackedBatch) -> None:
    batch = batch.to(model.runs.device)
    if isinstance(model.runs, ExportedModel):
        model.runs(batch).cpu()
    else:
        encoded(model.runs, batch)[:1].cpu()  # which waits for a device


def _best(rates: Mapping[tuple[int, int], float], all_threads: int) -> Tuning:
    """Take all threads unless fewer are much faster, and the smallest batch that loses little."""
    most = {number: max(rates[key] for key in rates if key[0] == number) for number, _ in rates}
    threads = max(most, key=lambda number: most[number] * (_ALL if number == all_threads else 1))
    own = {size: rate for (number, size), rate in rates.items() if number == threads}
    enough = _ENOUGH * max(own.values())
    size = min(size for size, rate in own.items() if rate >= enough)
    return Tuning(threads=threads, batch_tokens=size, seconds_a_token=1 / own[size])


def _seconds(model: Pretrained, batch: PackedBatch, clock: Callable[[], float]) -> float:
    begun = clock()
    _compute(model, batch)
    return clock() - begun
