"""The demo's last step: its encoder learns to find functions by what they do, and is measured.

functions/train.jsonl, functions/test.jsonl   documented functions; test has other packages' alone
finder/                                       a training of a retriever
found/                                        how well functions are found, beside BM25
index/                                        all functions, to search in
"""

import json
import shlex
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modernbert.base import files
from modernbert.base.errors import MachineError
from modernbert.base.log import hushed, say
from modernbert.base.records import to_plain
from modernbert.base.rng import key, uniform
from modernbert.data.entries import Entry
from modernbert.data.python_source import Documented, functions_of

FUNCTIONS, FINDER, FOUND, INDEX = "functions", "finder", "found", "index"
_HELD_OUT = 0.15
"""Share of the packages whose functions are only searched, never learned from."""
_MOST_HELD_OUT, _MOST_INDEXED = 1000, 12_000
_MAX_LENGTH, _BATCH = 128, 128
_TRAINING_SHARE = 0.7
"""Share of what is left that is training's; the rest evaluates and indexes."""
_RATE = 1.5
"""Rate of learning from pairs in units of that of pretraining, which also guesses hidden words;
measured as 1.8 (lab/LOG.md)."""
_CHARS_A_TOKEN = 3.0
_MOST_EPOCHS = 8
_LEAST_PAIRS = 2 * _BATCH
_MEASURE = f"mrr-of-{_MOST_HELD_OUT}"
_FIRST = np.zeros(1, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class FoundFunctions:
    """How well held-out functions are found by their docstrings."""

    functions: int
    learned_pairs: int
    mrr: dict[str, float]
    """Of the encoder, of BM25 and of both together; among all held-out functions."""


def can_search() -> bool:
    """Return whether the packages of this step are here; say how to get them if not."""
    from modernbert.evals.judging import check_installed
    from modernbert.retrieval.training.live import check_installed as check_trainer

    try:
        check_trainer()
        check_installed()
    except MachineError:
        say(
            "the last step, a search for functions, is left out: it needs "
            "pip install 'modernbert[retrieve,train-retriever]'"
        )
        return False
    return True


def search_functions(
    folder: Path, sources: Sequence[Path], rate: float, seconds: float
) -> FoundFunctions | None:
    """Train, measure and index, in about so many seconds; None when stopped before the end.

    `rate` is how many tokens a second pretraining took.
    """
    _functions(folder / FUNCTIONS, sources)
    model = _finder(folder, rate, seconds * _TRAINING_SHARE)
    if model is None:
        return None
    found = _measured(folder, model)
    _indexed(folder, model)
    return found


def _functions(folder: Path, sources: Sequence[Path]) -> None:
    if folder.exists():
        return
    say(f"reading the documented functions of {len(sources)} Python files")
    learned: dict[str, Documented] = {}
    held: dict[str, Documented] = {}
    for path in sources:
        into = held if is_held_out(package_of(path)) else learned
        for function in functions_of(path):
            into.setdefault(function.docstring, function)
    chosen = sorted(held.values(), key=lambda each: key(0, "demo", each.path, each.name))
    with files.whole_folder(folder) as aside:
        _write(aside / "train.jsonl", learned.values())
        _write(aside / "test.jsonl", chosen[:_MOST_HELD_OUT])


def is_held_out(package: str) -> bool:
    """Return whether a package's functions are only searched; its name decides."""
    return bool(uniform(key(0, "held-out package", package), _FIRST)[0] < _HELD_OUT)


def package_of(path: Path) -> str:
    """Return the name of the installed package, or module, that a file belongs to."""
    for root in _roots():
        if path.is_relative_to(root):
            return path.relative_to(root).parts[0].removesuffix(".py")
    return path.stem


def _roots() -> list[str]:
    """Return where packages are installed, the innermost folder first."""
    found = sysconfig.get_paths()
    return sorted({found["purelib"], found["platlib"], found["stdlib"]}, key=len, reverse=True)


def _write(path: Path, found: Iterable[Documented]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(to_plain(each)) + "\n" for each in found)


def _read(path: Path) -> Iterator[Documented]:
    with path.open(encoding="utf-8") as lines:
        yield from (Documented(**json.loads(line)) for line in lines)


def _finder(folder: Path, rate: float, seconds: float) -> Path | None:
    """Teach the encoder to find functions, or go on with it, and return the model's folder."""
    from modernbert.retrieval.training.config import RetrieverConfig, Start
    from modernbert.retrieval.training.train import resume, train

    if (folder / FINDER / "run.json").exists():
        return resume(folder / FINDER)
    pairs, epochs = _size(folder / FUNCTIONS, rate, seconds)
    config = RetrieverConfig(
        pairs=str(folder / FUNCTIONS / "train.jsonl"),
        dev=str(folder / FUNCTIONS / "test.jsonl"),
        max_pairs=pairs,
        epochs=epochs,
        batch_size=_BATCH,
        mini_batch=_BATCH,
        max_length=_MAX_LENGTH,
        evaluations=1,
    )
    return train(Start("dense", str(folder / "run" / "model")), config, folder / FINDER)


def _size(functions: Path, rate: float, seconds: float) -> tuple[int, int]:
    """Return how many pairs can be learned from, how often, in so many seconds."""
    tokens = [
        min(len(each.docstring) / _CHARS_A_TOKEN, _MAX_LENGTH)
        + min(len(each.code) / _CHARS_A_TOKEN, _MAX_LENGTH)
        for each in _read(functions / "train.jsonl")
    ]
    affordable = rate * _RATE * seconds / (sum(tokens) / max(1, len(tokens)))
    epochs = min(_MOST_EPOCHS, max(1, round(affordable / max(1, len(tokens)))))
    return max(_LEAST_PAIRS, min(len(tokens), int(affordable / epochs))), epochs


def _measured(folder: Path, model: Path) -> FoundFunctions:
    from modernbert.evals.options import RetrievalOptions
    from modernbert.evals.retrieval import evaluate_retrieval

    with hushed():
        results = evaluate_retrieval(
            str(model),
            [folder / FUNCTIONS],
            folder / FOUND,
            RetrievalOptions(distractors=_MOST_HELD_OUT - 1),
        )
    (found,) = results.sets
    told = files.read_json(folder / FINDER / "run.json")["config"]
    return FoundFunctions(
        functions=found.documents,
        learned_pairs=told["max_pairs"] * told["epochs"],
        mrr={system: measured[_MEASURE] for system, measured in found.means.items()},
    )


def _indexed(folder: Path, model: Path) -> None:
    from modernbert.retrieval.index import Index

    if not (folder / INDEX).exists():
        say("indexing functions to search in")
    found = [*_read(folder / FUNCTIONS / "test.jsonl"), *_read(folder / FUNCTIONS / "train.jsonl")]
    entries = [
        Entry(
            id=f"{each.path}:{each.first_line}",
            text=f"{each.docstring}\n{each.code}",
            title=each.name,
            metadata={"lines": f"{each.first_line}-{each.last_line}"},
        )
        for each in found[:_MOST_INDEXED]
    ]
    Index.create(folder / INDEX, str(model), entries)


def say_found(found: FoundFunctions, folder: Path) -> None:
    """Say how well functions are found, and how to search."""
    shown = ", ".join(f"{system} {value:.3f}" for system, value in found.mrr.items())
    say(f"{found.functions} held-out functions found by their docstrings, MRR: {shown}")
    say(f'try: modernbert search {shlex.quote(str(folder))} "parse an ISO date"')
