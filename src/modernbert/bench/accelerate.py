"""A model folder and texts in, what `modernbert.accelerate` gains in sentence-transformers out."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch

import modernbert
from modernbert.base import machine
from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.bench.cases import AccelerateCase
from modernbert.bench.measure import Comparison, compare
from modernbert.bench.peers import Embedder
from modernbert.bench.texts import spread, texts_of
from modernbert.bridge.accelerate import accelerate, restore
from modernbert.infer.pretrained import load

# Two ways of computing in float32 differ by some 1e-5, a wrong mask or window by a tenth and more.
_AGREEMENT = {"float32": 1e-3, "bfloat16": 0.1}


def measure(folder: Path, texts: Path | None, case: AccelerateCase) -> dict[str, Any]:
    """Embed the same texts by one model, plain and accelerated in turns, and return a row.

    The vectors of both are compared before anything is timed.

    Raises:
        CheckpointError: the folder holds no whole ModernBERT.
        ConfigError: there are too few texts, or the two do not agree.
        MachineError: sentence-transformers is not installed.
    """
    path = texts or Path(modernbert.__file__).parent
    chosen = spread(texts_of(path), case.documents, path)
    load(folder)  # what is wrong with a folder is said here in a sentence, there in a traceback
    model = Embedder(folder, case.precision, case.longest)
    batches = _batches(chosen, case, model)
    difference = _difference(model, batches, case)

    def accelerated() -> None:
        accelerate(model.model)
        model.embed(batches)

    def plain() -> None:
        restore(model.model)
        model.embed(batches)

    found = compare(accelerated, plain, case.rounds)
    lengths = [model.lengths(batch) for batch in batches]
    row = _row(case, lengths, found)
    low, high = row["ratio_quartiles"]
    say(
        f"{folder.name}: {row['ours_tokens_per_second']} tok/s accelerated, "
        f"{row['theirs_tokens_per_second']} before: {row['ratio']:.2f}x ({low:.2f} to {high:.2f})"
    )
    return {
        "bench": "accelerate",
        "model": folder.resolve().name,
        "weights": sum(weight.numel() for weight in model.model.parameters()),
        "texts": texts.name if texts else "the package's own source",
        **row,
        "difference": difference,
        "machine": machine.machine(),
        "versions": machine.versions(),
    }


def _batches(texts: list[str], case: AccelerateCase, model: Embedder) -> list[list[str]]:
    if case.order == "sorted":
        lengths = model.lengths(texts)
        order = sorted(range(len(texts)), key=lengths.__getitem__)
        texts = [texts[index] for index in order]
    return [texts[at : at + case.batch_size] for at in range(0, len(texts), case.batch_size)]


def _difference(model: Embedder, batches: list[list[str]], case: AccelerateCase) -> float:
    """Return the largest difference of a vector before and after, relative to its length."""
    before = model.embed(batches)
    accelerate(model.model)
    after = model.embed(batches)
    largest = float(((after - before).norm(dim=1) / before.norm(dim=1)).max())
    if not largest <= _AGREEMENT[case.precision]:
        raise ConfigError(f"vectors before and after differ by {largest:.2e}: nothing was timed")
    return largest


def _row(
    case: AccelerateCase, lengths: Sequence[Sequence[int]], found: Comparison
) -> dict[str, Any]:
    """Return what depends on the texts and the times."""
    flat = [length for batch in lengths for length in batch]
    padded = sum(max(batch) * len(batch) for batch in lengths)
    return {
        **dataclasses.asdict(case),
        "threads": torch.get_num_threads(),
        "tokens": sum(flat),
        "length_quartiles": [round(each) for each in quantiles(flat, n=4)],
        "real_share": round(sum(flat) / padded, 3),
        "ours_tokens_per_second": round(sum(flat) / found.ours_s, 1),
        "theirs_tokens_per_second": round(sum(flat) / found.theirs_s, 1),
        "ratio": round(found.ratio.middle, 3),
        "ratio_quartiles": [round(found.ratio.low, 3), round(found.ratio.high, 3)],
    }
