"""`python -m modernbert.bench.gpu`: all that is measured on a GPU, in minutes, with no network.

It needs no more than torch, numpy, tokenizers, safetensors, transformers and rich. Without a GPU
it tries itself on tiny shapes, and writes no row among those of the project.
"""

import argparse
import dataclasses
import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch

from modernbert.base import files
from modernbert.base.log import say
from modernbert.bench import efficiency, latency, training
from modernbert.bench.efficiency_case import EfficiencyCase, EfficiencyName
from modernbert.bench.runtimes import RUNTIMES, is_installed
from modernbert.bench.training_case import TrainingCase
from modernbert.bench.training_sides import SIDES

PUBLISHED = {
    ("modernbert-base", 1024): 312_000,
    ("modernbert-base", 8192): 239_000,
    ("modernbert-large", 1024): 142_000,
}
"""Tokens a second and H100 that the paper's hours of training come to (arXiv 2412.13663)."""

_WAYS = (
    *("packed compiled", "packed recomputed", "packed compiled recomputed"),
    *("packed FA3", "packed FA4", "padded", "transformers", "transformers flash"),
)
_FEWER = ("packed compiled", "packed compiled recomputed", "packed FA3", "transformers")
_BESIDE = ("modernbert compiled", "transformers", "transformers flash", "transformers flash, flat")
_PAPERS: tuple[EfficiencyName, ...] = ("short-fixed", "long-fixed", "short", "long")
_LAST_START = 0.8
"""Of the minutes: nothing begins later."""

Row = dict[str, Any]
Part = tuple[str, str, Callable[[], Row]]
"""What is said of it, the file its row goes to, and what is done."""


class _LateError(RuntimeError):
    """A part took longer than there was time."""


def parts(*, is_trial: bool) -> Iterator[Part]:
    """Yield what is measured, the most telling first."""
    for case in _trainings(is_trial=is_trial):
        said = f"training {case.model} at {case.context_length}"
        yield said, "training", partial(_trained, case)
    model, rounds = ("tiny", 2) if is_trial else ("modernbert-base", 50)
    yield "queries one by one", "latency", partial(latency.measure, model, rounds=rounds)
    for encoding in _encodings(is_trial=is_trial):
        said = f"encoding {encoding.case} with {encoding.models[0]}"
        yield said, "efficiency", partial(efficiency.measure, encoding)


def _trainings(*, is_trial: bool) -> list[TrainingCase]:
    if is_trial:
        sides = ("padded", "transformers")
        return [
            TrainingCase(
                context_length=64, row_tokens=256, batch_size=4, rounds=2, device="cpu", sides=sides
            )
        ]
    base = TrainingCase(
        model="modernbert-base",
        row_tokens=32_768,
        batch_size=32,
        rounds=5,
        precision="bfloat16",
        device="cuda",
        sides=_there(_WAYS),
    )
    long = dataclasses.replace(base, context_length=8192, batch_size=4, sides=_there(_FEWER))
    large = dataclasses.replace(
        base, model="modernbert-large", row_tokens=16_384, batch_size=16, sides=_there(_FEWER)
    )
    return [base, long, large]


def _there(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if SIDES[name].is_installed)


def _trained(case: TrainingCase) -> Row:
    """Measure a case, and say what the paper's hours come to."""
    row = training.measure(case)
    published = PUBLISHED.get((case.model, case.context_length))
    if published:
        say(f"published, for an H100: {published} tok/s")
    return row | {"published_tokens_per_second": published}


def _encodings(*, is_trial: bool) -> Iterator[EfficiencyCase]:
    """Yield the cases of the paper's table 2, for its two shapes."""
    if is_trial:
        yield EfficiencyCase(
            case="queries",
            models=("tiny",),
            runtimes=("transformers",),
            device="cpu",
            documents=3,
            rounds=2,
        )
        return
    runtimes = tuple(name for name in _BESIDE if name in RUNTIMES and is_installed(name))
    for model in ("modernbert-base", "modernbert-large"):
        for name in _PAPERS:
            yield EfficiencyCase(
                case=name,
                models=(model,),
                runtimes=runtimes,
                precision="bfloat16",
                device="cuda",
                rounds=3,
            )


def run(works: Iterable[Part], out: Path, minutes: float) -> int:
    """Measure one part after the other while there is time; return how many failed.

    Each row is written when it is there; what takes longer than there is time is given up.
    """
    start, failed = time.monotonic(), 0
    files.make_folder(out)
    for said, what, work in works:
        spent = (time.monotonic() - start) / 60
        if spent > _LAST_START * minutes:
            say(f"left out after {spent:.1f} minutes: {said}")
            continue
        say(f"{said}, {spent:.1f} minutes after the start")
        try:
            row = _in_time(work, 60 * (minutes - spent))
        except _LateError as error:
            say(f"given up: {said}: {error}")
            continue
        except Exception as error:  # of any kind, such as too little memory: others may do
            failed += 1
            say(f"failed: {said}: {error}")
            continue
        files.append(out / f"{what}.jsonl", json.dumps(row) + "\n")
    say(f"the rows are in {out}; it took {(time.monotonic() - start) / 60:.1f} minutes")
    return failed


def _in_time(work: Callable[[], Row], seconds: float) -> Row:
    """Return what a part gives, unless it takes longer.

    Raises:
        _LateError: it does.
    """

    def late(*_: object) -> NoReturn:
        raise _LateError("there was no more time for it")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse a command line, and return how many parts failed."""
    parser = argparse.ArgumentParser(prog="python -m modernbert.bench.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all of it")
    parser.add_argument("--out", type=Path, default=None, help="folder of the rows")
    given = parser.parse_args(arguments)
    is_trial = not torch.cuda.is_available()
    if is_trial:
        say("there is no CUDA device: this is a trial on tiny shapes, on the CPU")
    out = given.out or Path("build/gpu-trial" if is_trial else "benchmarks")
    return run(parts(is_trial=is_trial), out, given.minutes)


if __name__ == "__main__":
    raise SystemExit(main())
