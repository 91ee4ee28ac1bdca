"""How well sets were searched, as data; results.json and a table out, and back in to go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from modernbert.base import files
from modernbert.base.errors import ConfigError, UserError
from modernbert.base.records import from_plain, to_plain
from modernbert.evals.judging import DECISIVE
from modernbert.evals.sweep import provenance
from modernbert.evals.text_table import text_table
from modernbert.train.checkpoint import FORMAT

NAME = "results.json"
_COLUMNS = (DECISIVE, "mrr@10", "recall@100")
_CODE_COLUMNS = ("mrr@100", DECISIVE, "recall@100")
_AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class SetResult:
    """How well one set was searched."""

    name: str
    documents: int
    queries: int
    judgements: int
    notes: tuple[str, ...]
    means: dict[str, dict[str, float]]
    """Of each system, its measures."""
    chances: dict[str, float]
    """Of each other system, how likely so large a difference from the model is by chance."""
    seconds: float
    """For the vectors of all texts and their comparison."""
    official: float | None = None
    """The model's main score as mteb computes it, where mteb gave the set."""
    fingerprint: str = ""
    """Name of its texts and judgements, or where mteb has them from."""
    group: str = ""
    """What it is a part of, as a language: parts count once in the average, together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What decides the numbers, beside the sets."""

    model_fingerprint: str
    reranker_fingerprint: str
    """Empty where there is none."""
    split: str
    lengths: tuple[int, ...]
    """Tokens at which documents were cut."""
    number: int
    bm25: bool
    rerank: int
    distractors: int
    ignore_identical_ids: bool


@dataclass(frozen=True, slots=True)
class RetrievalResults:
    """How well all sets were searched."""

    model: str
    reranker: str
    asked: Asked
    sets: tuple[SetResult, ...] = ()


def averages(sets: Sequence[SetResult]) -> dict[str, dict[str, float]]:
    """Return the mean over sets of each measure, of the systems and measures that all sets have.

    The parts of a group are averaged first, as the published averages of BEIR and CoIR are.
    """
    if len(sets) < 2:
        return {}
    return {
        system: {
            name: _average(sets, system, name)
            for name in measured
            if all(name in each.means[system] for each in sets)
        }
        for system, measured in sets[0].means.items()
        if all(system in each.means for each in sets)
    }


def _average(sets: Sequence[SetResult], system: str, measure: str) -> float:
    groups: dict[str, list[float]] = {}
    for each in sets:
        groups.setdefault(each.group or each.name, []).append(each.means[system][measure])
    return float(np.mean([np.mean(values) for values in groups.values()]))


def write(found: RetrievalResults, out: Path) -> None:
    """Write results.json whole.

    Raises:
        MachineError: it cannot be written.
    """
    record = {"format": FORMAT, **to_plain(found), "averages": averages(found.sets)}
    files.write_json(out / NAME, {**record, **provenance()})


def begun(asked: RetrievalResults, out: Path) -> RetrievalResults:
    """Return what is asked with the sets that a folder already has of it.

    Raises:
        ConfigError: the folder holds results of another model or with other options, or
            something else.
    """
    path = out / NAME
    if not path.exists():
        return asked
    try:
        told = files.read_json(path)
        if told["format"] != FORMAT:
            raise ValueError
        before = from_plain(RetrievalResults, {f.name: told[f.name] for f in fields(asked)})
    except (OSError, ValueError, KeyError, TypeError, UserError):
        raise ConfigError(
            f"{path} is of something else, or of another version: give another folder"
        ) from None
    for field in fields(Asked):
        old, new = (to_plain(each.asked)[field.name] for each in (before, asked))
        if old != new:
            raise ConfigError(
                f"{out} holds an evaluation with {field.name} {old}, and this one has {new}: give "
                "another folder"
            )
    kept = tuple(each for each in before.sets if (out / each.name).is_dir())
    return RetrievalResults(asked.model, asked.reranker, asked.asked, kept)


def lines_of(found: RetrievalResults) -> str:
    """Lay the means out, a line for each system of each set, and their average below."""
    distractors = found.asked.distractors
    columns = (f"mrr-of-{distractors + 1}", *_CODE_COLUMNS) if distractors else _COLUMNS
    lines = [
        (each.name, system, *_cells(measured, columns), _chance(each, system), _official(each))
        for each in found.sets
        for system, measured in each.means.items()
    ]
    lines += [
        (_AVERAGE, system, *_cells(measured, columns), "", "")
        for system, measured in averages(found.sets).items()
    ]
    return text_table(
        lines, ("set", "system", *columns, f"p ({DECISIVE}, beside the model)", "mteb")
    )


def _cells(measured: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [f"{measured[name]:.4f}" if name in measured else "" for name in columns]


def _chance(found: SetResult, system: str) -> str:
    return f"{found.chances[system]:.4f}" if system in found.chances else ""


def _official(found: SetResult) -> str:
    return "" if found.official is None else f"{found.official:.4f}"
