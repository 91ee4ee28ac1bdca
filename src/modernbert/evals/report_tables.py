"""Runs in, the tables of a report's page out, as HTML."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from modernbert.base.log import count, duration
from modernbert.evals.page import table
from modernbert.evals.run_summary import Comparison, RunSummary
from modernbert.evals.seen_run import SeenRun

_Cells = list[str]


def side_by_side(comparison: Comparison) -> str:
    """Return the summaries of several runs, a column a run; the best numbers stand out."""
    runs = comparison.runs
    is_fair = comparison.heldout_is_comparable
    sources = dict.fromkeys(source for run in runs for source in run.heldout_loss)
    lines = [
        ("state", [escape(run.state) for run in runs]),
        ("tokens", [_progress(run) for run in runs]),
        ("steps", [f"{run.steps:,}" for run in runs]),
        ("time in steps", [duration(run.seconds) for run in runs]),
        ("tokens a second", _numbers([r.tokens_per_second for r in runs], count, max)),
        ("MFU", _numbers([run.mfu for run in runs], _percent)),
        ("packing fill", _numbers([run.fill for run in runs], _percent)),
        ("processes", [str(run.ranks or "-") for run in runs]),
        ("resumed", ["-" if run.resumes is None else f"{run.resumes}" for run in runs]),
        ("training loss", _numbers([run.loss for run in runs], _loss)),
        *(
            (
                f"held-out loss, {escape(source)}",
                _numbers(
                    [run.heldout_loss.get(source) for run in runs], _loss, min if is_fair else None
                ),
            )
            for source in sorted(sources, key=lambda name: (name != "all", name))
        ),
        (
            "held-out accuracy",
            _numbers([r.heldout_accuracy for r in runs], _percent, max if is_fair else None),
        ),
        ("lowest held-out loss", _numbers([r.best_loss for r in runs], _loss)),
        ("&ensp;after tokens", [count(r.best_tokens) if r.best_tokens else "-" for r in runs]),
    ]
    head = ("", *(escape(run.name) for run in runs))
    return table([(name, *cells) for name, cells in lines], head)


def settings_apart(runs: Sequence[SeenRun], differences: dict[str, list[Any]]) -> str:
    """Return the settings in which runs differ."""
    if not differences:
        return "<p>None: the runs were asked for the same.</p>"
    head = ("", *(escape(run.name) for run in runs))
    lines = [
        (f"<code>{escape(name)}</code>", *(escape(_spelled(value)) for value in values))
        for name, values in differences.items()
    ]
    return table(lines, head)


def facts(run: SeenRun, summary: RunSummary) -> str:
    """Return what is said of one run at the top of its page."""
    host, told = run.description.get("machine", {}), run.description
    lines = {
        "state": summary.state,
        "tokens": _progress(summary),
        "steps": f"{summary.steps:,}",
        "time in steps": duration(summary.seconds),
        "tokens a second": _number(summary.tokens_per_second, count),
        "packing fill": _number(summary.fill, "{:.2%}".format),
        "lowest held-out loss": _number(summary.best_loss, _loss)
        + (f" after {count(summary.best_tokens)} tokens" if summary.best_tokens else ""),
        "machine": f"{host.get('processor')}, {host.get('cores')} cores",
        "versions": ", ".join(f"{k} {v}" for k, v in told.get("versions", {}).items()),
        "command": " ".join(told.get("command", [])),
    }
    if (summary.ranks or 1) > 1:
        lines["processes"] = str(summary.ranks)
    return table([(escape(str(k)), escape(str(v))) for k, v in lines.items()])


def _progress(run: RunSummary) -> str:
    return count(run.tokens) + (
        f" of {count(run.planned_tokens)}" if run.tokens < run.planned_tokens else ""
    )


def _numbers(
    values: Sequence[float | None],
    spelled: Callable[[float], str],
    best: Callable[[Sequence[float]], float] | None = None,
) -> _Cells:
    there = [value for value in values if value is not None]
    first = best(there) if best and len({*there}) > 1 else None
    return [
        f"<strong>{_number(value, spelled)}</strong>"
        if value is not None and value == first
        else _number(value, spelled)
        for value in values
    ]


def _number(value: float | None, spelled: Callable[[float], str]) -> str:
    return "-" if value is None else spelled(value)


def _loss(value: float) -> str:
    return f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _spelled(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(_spelled, value)) or "none"
    return "-" if value is None else str(value)
