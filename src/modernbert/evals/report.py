"""A run folder in, one self-contained HTML page out: curves, phases, throughput, examples."""

import json
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from modernbert.base import files
from modernbert.base.log import count, duration
from modernbert.data.corpus import Corpus
from modernbert.data.manifest import NAME as MANIFEST
from modernbert.evals.chart import Band, Series, chart
from modernbert.evals.examples import Example, examples_of
from modernbert.evals.page import table, whole
from modernbert.infer.pretrained import load
from modernbert.infer.replies import Guess
from modernbert.train.description import config_of, read_description
from modernbert.train.evaluate import MASK_RATE
from modernbert.train.rows import EVALUATIONS, METRICS, steps_in

_SMOOTH = 1 / 200
"""A point of a line is a mean of the steps before it, over about this share of the run."""
_NUM_EXAMPLES = 8


def write_report(run: Path, target: Path, examples: Sequence[Example] = ()) -> None:
    """Write the page; works while the run goes on.

    Raises:
        CheckpointError: the folder holds no run.
        MachineError: the page cannot be written.
    """
    description = read_description(run)
    rows, evaluations = steps_of(run), steps_in(run / EVALUATIONS)
    with files.whole_file(target) as aside:
        aside.write_text(page(description, rows, evaluations, examples), encoding="utf-8")


def report_of(run: Path, target: Path) -> None:
    """Write the page with examples, where the run has a finished model and its corpus is there.

    Raises:
        CheckpointError: the folder holds no run.
        MachineError: the page cannot be written.
    """
    examples: list[Example] = []
    corpus = Path(config_of(run).corpus)
    if (run / "model").is_dir() and (corpus / MANIFEST).exists():
        examples = examples_of(load(run / "model"), Corpus.open(corpus), _NUM_EXAMPLES)
    write_report(run, target, examples)


def page(
    description: dict[str, Any],
    rows: list[dict[str, Any]],
    evaluations: list[dict[str, Any]],
    examples: Sequence[Example] = (),
) -> str:
    """Return the page's HTML."""
    body = [
        f"<h1>A pretraining run on {escape(Path(description['config']['corpus']).name)}</h1>",
        _summary(description, rows),
        *(_curves(rows, evaluations) if rows else ["<p>No step was taken yet.</p>"]),
        _phases(description, rows),
        _heldout(evaluations),
        _examples(examples),
        "<h2>Configuration</h2><details><summary>All of run.json</summary>"
        f"<pre>{escape(json.dumps(description, indent=2))}</pre></details>",
    ]
    return whole("modernbert run", body)


def steps_of(run: Path) -> list[dict[str, Any]]:
    """Return the whole rows of a run's metrics, oldest first."""
    return steps_in(run / METRICS)


def _summary(description: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    tokens, seconds = sum(r["batch_tokens"] for r in rows), sum(r["seconds"] for r in rows)
    fill = sum(r["fill"] * r["batch_tokens"] for r in rows) / tokens if tokens else 0.0
    host = description["machine"]
    planned = sum(phase["tokens"] for phase in description["config"]["phases"])
    facts = {
        "tokens": count(tokens) + (f" of {count(planned)}" if tokens < planned else ""),
        "steps": f"{len(rows):,}",
        "time in steps": duration(seconds),
        "tokens a second": count(tokens / seconds) if seconds else "-",
        "packing fill": f"{fill:.2%}",
        "machine": f"{host['processor']}, {host['cores']} cores",
        "versions": ", ".join(f"{k} {v}" for k, v in description["versions"].items()),
        "command": " ".join(description["command"]),
    }
    return table([(escape(str(k)), escape(str(v))) for k, v in facts.items()])


def _curves(rows: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> list[str]:
    tokens, bands = [r["tokens"] for r in rows], _bands(rows)
    mean = [e for e in evaluations if e["source"] == "all"]
    when = [e["tokens"] for e in mean]

    def column(name: str) -> list[float]:
        return [r[name] for r in rows]

    return [
        "<h2>Curves, against tokens</h2>",
        '<p class="soft">Lines are smoothed. Held-out text is measured with '
        f"{MASK_RATE:.0%} of its tokens hidden, whatever share training hides.</p>",
        chart(
            "Loss (nats a hidden token)",
            [
                Series("training", tokens, _smoothed(column("loss"))),
                Series("held out", when, [e["loss"] for e in mean], is_dots=True),
            ],
            bands,
        ),
        chart(
            "Masked accuracy",
            [
                Series("training", tokens, _percent(_smoothed(column("masked_accuracy")))),
                Series(
                    "held out", when, _percent([e["masked_accuracy"] for e in mean]), is_dots=True
                ),
            ],
            bands,
            unit="%",
            most=100,
        ),
        chart("Learning rate", [Series("rate", tokens, column("lr"))], bands),
        chart("Gradient norm", [Series("norm", tokens, _smoothed(column("grad_norm")))], bands),
        chart(
            "Tokens a second",
            [Series("rate", tokens, _smoothed(column("tokens_per_second")))],
            bands,
        ),
        chart(
            "Packing fill",
            [Series("fill", tokens, _percent(_smoothed(column("fill"))))],
            bands,
            unit="%",
            most=100,
        ),
    ]


def _bands(rows: list[dict[str, Any]]) -> list[Band]:
    bands, start = [], 0.0
    for name, group in groupby(rows, key=lambda row: str(row["phase"])):
        end = float(list(group)[-1]["tokens"])
        bands.append(Band(name, start, end))
        start = end
    return bands


def _smoothed(values: Sequence[float]) -> list[float]:
    kept = 1 - 1 / max(1.0, len(values) * _SMOOTH)
    smooth, weight, out = 0.0, 0.0, []
    for value in values:
        smooth = kept * smooth + (1 - kept) * value
        weight = kept * weight + (1 - kept)
        out.append(smooth / weight)
    return out


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


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
