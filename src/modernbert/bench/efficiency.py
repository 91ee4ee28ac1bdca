"""A case in, speed, memory and energy of every model and runtime that encodes its documents out."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modernbert.base import machine
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.bench.contest import Entry, compared, timed_all
from modernbert.bench.efficiency_case import DeviceName, EfficiencyCase, Work, work_of
from modernbert.bench.folders import make
from modernbert.bench.largest import measure_largest, memory_of
from modernbert.bench.line_up import members
from modernbert.bench.runtimes import OURS, PRODUCTS, RUNTIMES
from modernbert.bench.shapes import OWN, SHAPES
from modernbert.bench.texts import spread, texts_of
from modernbert.data.tokenizer import Tokenizer
from modernbert.model.count import forward_flops
from modernbert.model.presets import PRESETS

Row = dict[str, Any]


def measure(case: EfficiencyCase, texts: Path | None = None, tokenizer: Path | None = None) -> Row:
    """Encode the same documents by every model and runtime, in turns, and return a row.

    A runtime whose vectors differ from those of its model's first one, or that fails, then or
    later, is left out, and the row says why.

    Raises:
        ConfigError: a model or runtime is unknown, there are too few texts, or the largest batch
            is asked for and documents differ in length or there is less memory.
        DataError: there is no tokenizer.
        MachineError: the device is not there, or this package itself could not run the case.
    """
    work = _work(case, texts, tokenizer)
    found = members(case, work)
    say(
        f"{len(work.lengths)} documents, {sum(work.lengths)} tokens, {case.rounds} rounds after "
        "one that warms up; the row is written when all are done"
    )
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modernbert-bench-")))
        folders, models = _made(found, place)
        with ExitStack() as workers:
            entries = compared(found, folders, work, workers)
            timed_all(entries, work, case.rounds)
        for entry in entries:
            models[entry.model]["runtimes"][entry.runtime] = entry.facts
        if case.largest_batch:
            _search(entries, folders, work, case)
    for model, facts in models.items():
        facts["share_of_products_rate"] = _share(model, facts["runtimes"], work)
    return _row(case, work, models, texts)


def curve(case: EfficiencyCase, lengths: Sequence[int]) -> Iterator[Row]:
    """Measure documents of one length after the other, and yield a row for each.

    Raises:
        ConfigError: a length is none, or no model reads documents of it.
    """
    if min(lengths) < 1:
        raise ConfigError(f"lengths has {min(lengths)}: a document has 1 token or more")
    cases = [dataclasses.replace(case, case="fixed", length=length) for length in lengths]
    for each in cases:
        members(each, _work(each, None, None))
    for each in cases:
        say(f"documents of {each.length} tokens")
        yield measure(each)


def _work(case: EfficiencyCase, texts: Path | None, tokenizer: Path | None) -> Work:
    """Draw the documents, once all that is asked for is known to be possible."""
    if case.largest_batch and case.document_length is None:
        raise ConfigError(
            f"documents of {case.case} differ in length: the largest batch is searched with "
            "--case short-fixed, long-fixed or fixed"
        )
    asked = "cpu" if case.precision == "int8" and case.device == "auto" else case.device
    device: DeviceName = "cuda" if choose_device(asked).type == "cuda" else "cpu"
    work = work_of(case, device, _text_lengths(case, device, texts, tokenizer))
    if case.largest_batch:
        memory_of(case, work)  # refuses what there is not
    return work


def _text_lengths(
    case: EfficiencyCase, device: DeviceName, texts: Path | None, tokenizer: Path | None
) -> list[int]:
    """Return how many tokens real texts have, [CLS] and [SEP] counted.

    Their ids are drawn like all others: weights are random, and speed does not depend on ids.
    """
    if case.case != "text" and texts is None and tokenizer is None:
        return []
    if case.case != "text" or texts is None or tokenizer is None:
        raise ConfigError(
            f"case is {case.case}, texts {texts} and tokenizer {tokenizer}: the case text takes "
            "both, and no other case does"
        )
    chosen = spread(texts_of(texts), case.num_documents(device), texts)
    ids = Tokenizer.load(tokenizer).encode_texts(chosen)
    return [min(len(each) + 2, case.longest) for each in ids]


def _made(found: dict[str, tuple[str, ...] | str], place: Path) -> tuple[dict[str, Path], Row]:
    """Write the folders of all models that take part, and begin what the row says of each."""
    folders, models = {}, {}
    for model, names in found.items():
        facts: Row = {"beside": SHAPES[model].beside, "weights": None, "runtimes": {}}
        models[model] = facts
        if isinstance(names, str):
            facts["left_out"] = names
            say(f"{model} is left out: {names}")
            continue
        graph = any(RUNTIMES[name].reads_graphs for name in names)
        facts["weights"] = make(model, place / model, graph=graph)
        if facts["weights"] is None:
            facts["left_out"] = "the installed transformers does not make it"
            say(f"{model} is left out: {facts['left_out']}")
        else:
            folders[model] = place / model
    return folders, models


def _search(
    entries: Sequence[Entry], folders: dict[str, Path], work: Work, case: EfficiencyCase
) -> None:
    for entry in entries:
        if "failed" not in entry.facts and not RUNTIMES[entry.runtime].is_yardstick:
            found = measure_largest(entry.runtime, folders[entry.model], work, case)
            entry.facts["largest_batch"] = found


def _share(model: str, runtimes: Row, work: Work) -> float | None:
    """Return our rate of arithmetic, attention included, over the matrix products' alone."""
    if SHAPES[model].kind != OWN or PRODUCTS not in runtimes:
        return None
    config, lengths = PRESETS[model], work.lengths
    whole = sum(length * forward_flops(config, length) for length in lengths)
    layer = 2 * config.dim * (4 * config.dim + 3 * config.mlp_dim)
    products = sum(lengths) * config.num_layers * layer
    speeds: list[float] = [runtimes[name]["tokens_per_second"] for name in (OURS, PRODUCTS)]
    return round(whole / products * (speeds[0] / speeds[1]), 3)


def _row(case: EfficiencyCase, work: Work, models: Row, texts: Path | None) -> Row:
    lengths, grids = work.lengths, sum(len(batch) * max(batch) for batch in work.batches)
    asked = dataclasses.asdict(case)
    del asked["runtimes"]
    is_cuda = work.device == "cuda"
    return {
        "bench": "efficiency",
        **asked,
        "device": work.device,
        "gpu": torch.cuda.get_device_name() if is_cuda else None,
        "texts": texts.name if texts else None,
        "documents": len(lengths),
        "batches": len(work.batches),
        "tokens": sum(lengths),
        "length_quartiles": [round(each) for each in np.percentile(lengths, (25, 50, 75))],
        "real_share": round(sum(lengths) / grids, 3),
        "largest_batch_bytes": memory_of(case, work) if case.largest_batch else None,
        "models": models,
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions(
            *("sentence-transformers", "onnxruntime", "openvino", "onnxscript", "nncf", "torchao"),
            *("flash-attn", "packed-encoders", "vllm"),
        ),
    }
