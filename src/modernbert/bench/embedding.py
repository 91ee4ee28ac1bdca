"""A model folder and texts in, how fast they are embedded here and by sentence-transformers out."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import torch
from torch import Tensor

import modernbert
from modernbert.base import machine
from modernbert.base.machine import resident_bytes
from modernbert.bench.cases import EmbeddingCase
from modernbert.bench.lengths import lengths_of
from modernbert.bench.measure import peak_above
from modernbert.bench.peers import Embedder
from modernbert.bench.runtimes import OURS
from modernbert.bench.sides import beside
from modernbert.bench.texts import spread, texts_of
from modernbert.bench.worker import Answers
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.hub import folder_of
from modernbert.infer.pretrained import load

THEIRS = "sentence-transformers"
# Of the length of a vector. Two ways of computing in float32 differ by some 1e-5, a wrong mask or
# window by a tenth and more.
_AGREEMENT = {"float32": 1e-3, "bfloat16": 0.1}


def measure(
    model: str | Path, texts: Path | None, case: EmbeddingCase, other: str | Path | None = None
) -> dict[str, Any]:
    """Embed the same texts by both sides, in turns, and by another model, and return a row.

    Raises:
        CheckpointError: the folder holds no whole ModernBERT.
        ConfigError: there are too few texts.
        MachineError: this package itself could not embed them.
    """
    folder = folder_of(model)
    opened = load(folder)
    chosen = _chosen(texts or Path(modernbert.__file__).parent, case, opened.tokenizer)
    limit = opened.sentence.config.max_length
    lengths = [min(len(ids) + 2, limit) for ids in opened.tokenizer.encode_texts(chosen)]
    folders = {OURS: folder, THEIRS: folder}
    if other is not None:
        # Folders called `model` are many.
        place = folder_of(other)
        name = "/".join(place.resolve().parts[-2:]) if Path(other).is_dir() else str(other)
        folders[f"{name} by {THEIRS}"] = place
    makers = {name: partial(_answers, name, folders[name], chosen, case) for name in folders}
    weights = sum(weight.numel() for weight in opened.parameters())
    del opened
    unlike = [name for name in folders if name not in (OURS, THEIRS)]
    facts = beside(makers, case.rounds, _AGREEMENT[case.precision], unlike)
    a_round = sum(lengths) / len(case.parts(chosen))
    return {
        "bench": "embedding",
        "model": folder.resolve().name if Path(model).is_dir() else str(model),
        "weights": weights,
        "texts": texts.name if texts else "the package's own source",
        **dataclasses.asdict(case),
        "documents": len(chosen),
        "tokens": sum(lengths),
        "length_quartiles": [round(each) for each in quantiles(lengths, n=4)],
        "ours_tokens_per_second": round(a_round / facts[OURS]["seconds"], 1),
        "sides": facts,
        "threads": torch.get_num_threads(),
        "machine": machine.machine(),
        "versions": machine.versions("sentence-transformers"),
    }


def _chosen(path: Path, case: EmbeddingCase, tokenizer: Tokenizer) -> list[str]:
    """Take texts from all over what is given, or cut pieces of the case's lengths out of it."""
    # Spelled out in a text, they stay text here and are tokens there.
    special = [tokenizer.decode([number], keep_special=True) for number in tokenizer.special_ids]
    plain = (_without(text, special) for text in texts_of(path))
    found = [text for text in plain if text.strip()]
    number = case.num_documents
    if case.case != "given":
        return _pieces(found, lengths_of(case.case, number), tokenizer)
    return spread(found, number, path)


def _without(text: str, words: Sequence[str]) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


def _pieces(texts: Sequence[str], lengths: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """Cut running text into pieces, [CLS] and [SEP] counted; it begins again where it ends."""
    ids = np.concatenate(tokenizer.encode_many(texts))
    begins = cycle(range(0, max(1, len(ids) - max(lengths)), max(lengths)))
    return [
        tokenizer.decode(ids[start : start + max(1, length - 2)])
        for start, length in zip(begins, lengths, strict=False)
    ]


def _answers(name: str, folder: Path, texts: list[str], case: EmbeddingCase) -> Answers:
    embed = _side(name, folder, case)
    embed(texts[:1])
    before = resident_bytes()
    found: dict[str, Any] = {}
    parts = case.parts(texts)
    turns = cycle(parts)

    def rows() -> list[Any]:
        # The peak is this round's too: a hundred thousand texts are not embedded for it alone.
        found["peak"] = peak_above(before, lambda: found.update(vectors=embed(parts[0])))
        vectors = found.pop("vectors")
        return [(vectors / vectors.norm(dim=1).mean()).numpy()]

    def seconds() -> float:
        part = next(turns)
        start = time.perf_counter()
        embed(part)
        return time.perf_counter() - start

    return {"rows": rows, "seconds": seconds, "peak": lambda: found["peak"]}


def _side(name: str, folder: Path, case: EmbeddingCase) -> Callable[[list[str]], Tensor]:
    if name != OURS:
        return partial(Embedder(folder, case.precision, 0).encode, batch_size=case.batch_size)
    # Whatever the folder holds: the other side is opened in this precision too.
    return load(folder).to(getattr(torch, case.precision)).embed
