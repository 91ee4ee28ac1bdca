"""Runs in, what there is to compare out: summaries, settings that differ, words of caution."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from modernbert.evals.seen_run import SeenRun
from modernbert.train.trackers import flat

_LAST = 20
"""Steps of which the last training loss is the mean."""
_ENDS = {"finish": "finished", "stop": "stopped", "failure": "no finite number"}
UNFINISHED = "not finished"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in a few numbers."""

    name: str
    folder: str
    state: str
    """How it ended; a run that was killed reads like one that goes on."""
    steps: int
    tokens: int
    planned_tokens: int
    seconds: float
    """Of all steps together."""
    tokens_per_second: float | None
    fill: float | None
    mfu: float | None
    ranks: int | None
    """Processes at the newest start; unknown where an old version kept no events."""
    resumes: int | None
    loss: float | None
    """Training loss, a mean of the last steps."""
    heldout_loss: dict[str, float] = field(default_factory=dict)
    """At the newest evaluation, by source; `all` is the mean over all hidden tokens."""
    heldout_accuracy: float | None = None
    best_loss: float | None = None
    """Lowest held-out loss over all sources."""
    best_tokens: int | None = None
    """Tokens that were seen when it was measured."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `modernbert report --json` prints."""

    runs: list[RunSummary]
    differences: dict[str, list[Any]]
    """Settings that are not the same in all runs, a value a run."""
    cautions: list[str]
    """What must not be compared, and why."""
    heldout_is_comparable: bool
    """Whether held-out numbers are of the same text in the same tokens."""


def compared(runs: Sequence[SeenRun]) -> Comparison:
    """Return all that is said of some runs."""
    return Comparison(
        runs=[summary_of(run) for run in runs],
        differences=differences(runs),
        cautions=cautions(runs),
        heldout_is_comparable=share(runs, _tokens_of) and share(runs, _text_of),
    )


def summary_of(run: SeenRun) -> RunSummary:
    """Sum a run up."""
    rows, means = run.rows, [e for e in run.evaluations if e["source"] == "all"]
    tokens, seconds = sum(r["batch_tokens"] for r in rows), sum(r["seconds"] for r in rows)
    last, losses = max((e["step"] for e in run.evaluations), default=0), run.column("loss")[-_LAST:]
    best = min(means, key=lambda each: float(each["loss"]), default=None)
    starts = [e for e in run.events if e["kind"] in ("start", "resume")]
    return RunSummary(
        name=run.name,
        folder=str(run.folder),
        state=_state(run),
        steps=len(rows),
        tokens=tokens,
        planned_tokens=sum(tokens for _, tokens in run.planned),
        seconds=seconds,
        tokens_per_second=tokens / seconds if seconds else None,
        fill=_weighed(run, "fill", "batch_tokens"),
        mfu=_weighed(run, "mfu", "seconds"),
        ranks=starts[-1].get("ranks") if starts else None,
        resumes=sum(e["kind"] == "resume" for e in starts) if starts else None,
        loss=sum(losses) / len(losses) if losses else None,
        heldout_loss={e["source"]: e["loss"] for e in run.evaluations if e["step"] == last},
        heldout_accuracy=means[-1]["masked_accuracy"] if means else None,
        best_loss=best["loss"] if best else None,
        best_tokens=best["tokens"] if best else None,
    )


def has_ended(run: SeenRun) -> bool:
    """Return whether nothing more is to come, as far as the folder says."""
    return _state(run) != UNFINISHED


def cautions(runs: Sequence[SeenRun]) -> list[str]:
    """Say what of these runs must not be compared."""
    said = []
    if not share(runs, _tokens_of):
        said.append(
            "These runs have different tokenizers: a token is not the same piece of text in all of "
            "them, so their losses and accuracies cannot be compared."
        )
    if not share(runs, _text_of):
        said.append(
            "These runs have different corpora: their held-out losses are of different texts."
        )
    if not share(runs, _masks_of):
        said.append(
            "These runs hide different shares of the tokens while they train: of their losses "
            "compare the held-out ones, which hide the same."
        )
    return said


def differences(runs: Sequence[SeenRun]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs; None where a run has none."""
    flat = [_settings(run) for run in runs]
    every = dict.fromkeys(name for each in flat for name in each)
    table = {name: [each.get(name) for each in flat] for name in every}
    return {name: values for name, values in table.items() if not _are_equal(values)}


def share(runs: Sequence[SeenRun], of: Callable[[SeenRun], Any]) -> bool:
    """Return whether something is the same in all runs."""
    return _are_equal([of(run) for run in runs])


def _tokens_of(run: SeenRun) -> tuple[Any, ...]:
    return run.tokenizer, run.config["model"].get("vocab_size")


def _masks_of(run: SeenRun) -> list[Any]:
    return sorted({phase.get("mask_rate") for phase in run.config["phases"]}, key=str)


def _text_of(run: SeenRun) -> Any:
    return run.description.get("corpus_fingerprint")


def _settings(run: SeenRun) -> dict[str, Any]:
    told = {name: run.description.get(name) for name in ("versions", "machine", "commit")}
    return dict(flat(run.config)) | dict(flat(told))


def _are_equal(values: Sequence[Any]) -> bool:
    return len({json.dumps(value, sort_keys=True) for value in values}) < 2


def _state(run: SeenRun) -> str:
    if run.events:
        return _ENDS.get(str(run.events[-1]["kind"]), UNFINISHED)
    # Versions that kept no events leave a model at the end.
    return _ENDS["finish"] if (run.folder / "model").is_dir() else UNFINISHED


def _weighed(run: SeenRun, name: str, by: str) -> float | None:
    pairs = [(row[name], row[by]) for row in run.rows if name in row]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None
