"""Run folders in, one self-contained HTML page out: curves, phases, tables, examples."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from modernbert.base import files
from modernbert.base.log import count
from modernbert.data.corpus import Corpus
from modernbert.evals.examples import Example, examples_of
from modernbert.evals.page import table, whole
from modernbert.evals.report_tables import facts, settings_apart, side_by_side
from modernbert.evals.run_curves import curves
from modernbert.evals.run_summary import compared, summary_of
from modernbert.evals.seen_run import SeenRun, see
from modernbert.infer.pretrained import load
from modernbert.infer.replies import Guess
from modernbert.train.description import config_of
from modernbert.train.evaluate import MASK_RATE
from modernbert.train.rows import METRICS, steps_in

_NUM_EXAMPLES = 8


def write_report(run: Path, target: Path, examples: Sequence[Example] = ()) -> None:
    """Write the page of one run; works while the run goes on.

    Raises:
        CheckpointError: the folder holds no run.
        MachineError: the page cannot be written.
    """
    write_page([see(run)], target, examples)


def write_page(
    runs: Sequence[SeenRun], target: Path, examples: Sequence[Example] = (), every_s: int = 0
) -> None:
    """Write the page of one run or more; a browser reads it again after `every_s`, if that is set.

    Raises:
        MachineError: the page cannot be written.
    """
    text = page(runs, examples, every_s)
    with files.whole_file(target) as aside:
        aside.write_text(text, encoding="utf-8")


def examples_for(run: SeenRun) -> list[Example]:
    """Return what the model guesses, where the run has a finished one and its corpus is there."""
    if not (run.folder / "model").is_dir():
        return []
    config = config_of(run.folder)
    corpus = Corpus.if_there(config.corpus, config.cache_bytes)
    return examples_of(load(run.folder / "model"), corpus, _NUM_EXAMPLES) if corpus else []


def report_of(run: Path, target: Path) -> None:
    """Write the page of one run, with examples where there can be some.

    Raises:
        CheckpointError: the folder holds no run.
        MachineError: the page cannot be written.
    """
    seen = see(run)
    write_page([seen], target, examples_for(seen))


def page(runs: Sequence[SeenRun], examples: Sequence[Example] = (), every_s: int = 0) -> str:
    """Return the page's HTML."""
    body = _one(runs[0], examples) if len(runs) == 1 else _several(runs)
    return whole("modernbert run" + "s" * (len(runs) > 1), body, every_s)


def steps_of(run: Path) -> list[dict[str, Any]]:
    """Return the whole rows of a run's metrics, oldest first."""
    return steps_in(run / METRICS)


def _one(run: SeenRun, examples: Sequence[Example]) -> list[str]:
    return [
        f"<h1>A pretraining run on {escape(Path(run.config['corpus']).name)}</h1>",
        facts(run, summary_of(run)),
        *_curves([run]),
        _phases(run.description, run.rows),
        _heldout(run.evaluations),
        _events(run),
        _examples(examples),
        "<h2>Configuration</h2>",
        _all_of(run, "All of run.json"),
    ]


def _several(runs: Sequence[SeenRun]) -> list[str]:
    comparison = compared(runs)
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.cautions)
    best = " The best number of a row is bold." if comparison.heldout_is_comparable else ""
    return [
        f"<h1>{len(runs)} pretraining runs</h1>",
        f'<ul class="notes">{notes}</ul>' if notes else "",
        side_by_side(comparison),
        f'<p class="soft">Held-out numbers are those of each run\'s newest evaluation.{best}</p>',
        *_curves(runs),
        "<h2>Settings that differ</h2>",
        settings_apart(runs, comparison.differences),
        "<h2>Configurations</h2>",
        *(_all_of(run, f"All of {run.folder / 'run.json'}") for run in runs),
    ]


def _curves(runs: Sequence[SeenRun]) -> list[str]:
    if not any(run.rows for run in runs):
        return ["<p>No step was taken yet.</p>"]
    idle = [run.name for run in runs if not run.rows]
    old = [run.name for run in runs if not run.events]
    notes = [
        "Lines are smoothed; dots are held-out text, measured with "
        f"{MASK_RATE:.0%} of its tokens hidden, whatever share training hides.",
        f"No step was taken yet: {', '.join(idle)}." if idle else "",
        f"No record of checkpoints and resumes, as an older version made it: {', '.join(old)}."
        if old
        else "",
    ]
    said = escape(" ".join(note for note in notes if note))
    return ["<h2>Curves, against tokens</h2>", f'<p class="soft">{said}</p>', *curves(runs)]


def _events(run: SeenRun) -> str:
    if not run.events:
        return ""
    lines = [
        (
            escape(str(event["kind"])),
            f"{event['step']:,}",
            count(event["tokens"]),
            str(event.get("ranks", "-")),
            _moment(event.get("time")),
        )
        for event in run.events
    ]
    head = ("event", "step", "tokens", "processes", "time (UTC)")
    shown = table(lines, head)
    return f"<h2>Events</h2><details><summary>{len(lines)} events</summary>{shown}</details>"


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _all_of(run: SeenRun, title: str) -> str:
    text = escape(json.dumps(run.description, indent=2))
    return f"<details><summary>{escape(title)}</summary><pre>{text}</pre></details>"


def _phases(description: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    head = ("phase", "tokens", "context", "theta, global", "peak rate", "mask", "last loss")
    lines = []
    for phase in description["config"]["phases"]:
        inside = [r["loss"] for r in rows if r["phase"] == phase["name"]]
        last = f"{sum(inside[-20:]) / len(inside[-20:]):.3f}" if inside else "-"
        lines.append(
            (
                escape(phase["name"]),
                count(phase["tokens"]),
                str(phase["context_length"]),
                count(phase["global_rope_theta"]),
                f"{phase['peak_lr']:g}",
                f"{phase['mask_rate']:.0%}",
                last,
            )
        )
    return "<h2>Phases</h2>" + table(lines, head)


def _heldout(evaluations: list[dict[str, Any]]) -> str:
    if not evaluations:
        return ""
    last = max(e["step"] for e in evaluations)
    lines = [
        (
            "<strong>all</strong>" if e["source"] == "all" else escape(e["source"]),
            f"{e['loss']:.3f}",
            f"{e['masked_accuracy']:.1%}",
            f"{e['most_frequent_token_accuracy']:.1%}",
            f"{e['hidden']:,}",
        )
        for e in evaluations
        if e["step"] == last
    ]
    head = ("source", "loss", "masked accuracy", "most frequent token", "hidden tokens")
    return f"<h2>Held-out text, step {last}</h2>" + table(lines, head)


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    shown = [
        "<h2>Hidden tokens in held-out text</h2>",
        '<p class="soft">The marked token was hidden; below it the likeliest candidates.</p>',
    ]
    for each in examples:
        guesses = " &ensp;".join(_guess(g, g.token == each.answer) for g in each.guesses)
        before, after = each.before.lstrip("\n"), each.after.rstrip()
        shown.append(
            f'<p class="soft">{escape(each.where)}</p><pre>{escape(before)}'
            f"<mark>{escape(each.answer)}</mark>{escape(after)}</pre>"
            f'<p class="guesses"><span class="soft">guessed</span> {guesses}</p>'
        )
    return "".join(shown)


def _guess(guess: Guess, is_right: bool) -> str:
    token = guess.token.replace("\n", "⏎").replace("\t", "⇥")
    kind, tick = ("right", " ✓") if is_right else ("soft", "")
    return (
        f'<code class="guess {kind}">{escape(token)}</code> '
        f'<span class="{kind}">{guess.probability:.0%}{tick}</span>'
    )
