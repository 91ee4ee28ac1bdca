"""A model in, how it is best run on this machine out: threads and batches, as measured briefly."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from modernbert.base.rng import generator
from modernbert.base.threads import alone
from modernbert.batch import PackedBatch, pack
from modernbert.infer.encode import encoded
from modernbert.infer.export.running import ExportedModel
from modernbert.infer.pretrained import Pretrained

_SIZES = (128, 256, 512, 1024, 2048, 4096, 8192, 16_384)
"""Tokens of the batches that are tried, from the smallest."""
_DOCUMENT_TOKENS = 64
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


def tuned(
    model: Pretrained, threads: int, clock: Callable[[], float] = time.perf_counter
) -> Tuning:
    """Measure how many of some threads compute most, and how small a batch loses little by it.

    Takes a few tenths of a second whatever the model's size: batches that would take longer are
    not tried.
    """
    return alone(lambda: _tuned(model, threads, clock), threads)


def _tuned(model: Pretrained, there: int, clock: Callable[[], float]) -> Tuning:
    numbers, start = _numbers_of_threads(there), clock()
    documents = _documents(model)
    _compute(model, pack(documents[:1]))  # the first one ever also makes room and starts threads
    rates: dict[tuple[int, int], float] = {}
    for place, threads in enumerate(numbers, start=1):
        torch.set_num_threads(threads)
        end = start + _SECONDS * place / len(numbers)
        for size in _SIZES:
            batch = pack(documents[: size // _DOCUMENT_TOKENS])
            seconds = min(_seconds(model, batch, clock) for _ in range(_TRIES))
            rates[threads, size] = size / seconds
            if clock() + 2 * _TRIES * seconds > end:
                break
    torch.set_num_threads(there)
    return _best(rates, there)


def _numbers_of_threads(there: int) -> list[int]:
    return [there] if there == 1 else [there, there // 2]


def _documents(model: Pretrained) -> list[list[int]]:
    tokens = model.tokenizer
    ids = generator(0, "tuning").choice(tokens.ordinary_ids, (_SIZES[-1] // _DOCUMENT_TOKENS, 62))
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
