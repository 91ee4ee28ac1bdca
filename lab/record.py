"""A finished run in, its record out: run.json, thinned metrics, evaluations, curve.png, note.md.

Usage: python lab/record.py RUN lab/records/NAME
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_ROWS = 300
_AVERAGED = ("loss", "masked_accuracy", "tokens_per_second", "fill", "grad_norm", "mfu")
_COPIED = ("run.json", "evaluations.jsonl")
Row = dict[str, Any]


def write_record(run: Path, target: Path) -> None:
    """Write the record of a run; `target` is made, and files in it are replaced."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        (target / name).write_text((run / name).read_text(encoding="utf-8"), encoding="utf-8")
    steps, evaluations = rows_of(run / "metrics.jsonl"), rows_of(run / "evaluations.jsonl")
    thin = thinned(steps)
    lines = (json.dumps(row) + "\n" for row in thin)
    (target / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
    draw(thin, evaluations, target / "curve.png")
    described = json.loads((run / "run.json").read_text(encoding="utf-8"))
    note = note_of(target.name, described, steps, evaluations)
    (target / "note.md").write_text(note, encoding="utf-8")


def rows_of(path: Path) -> list[Row]:
    """Read a file of rows."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def thinned(steps: list[Row]) -> list[Row]:
    """Return about 300 rows: the last of each stretch, its measured numbers averaged."""
    size = -(-len(steps) // _ROWS)
    stretches = [steps[at : at + size] for at in range(0, len(steps), size)]
    return [
        {**stretch[-1], **{name: _mean(stretch, name) for name in _AVERAGED}}
        for stretch in stretches
    ]


def draw(steps: list[Row], evaluations: list[Row], path: Path) -> None:
    """Draw loss and rate against tokens."""
    figure, (losses, rates) = plt.subplots(
        2, 1, figsize=(8, 6), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    tokens = [row["tokens"] / 1e6 for row in steps]
    losses.plot(tokens, [row["loss"] for row in steps], lw=1, label="training, 30% hidden")
    for source, label in (("all", "held out, 15% hidden"), ("wikitext-2", "wikitext-2, 15%")):
        mine = [row for row in evaluations if row["source"] == source]
        places = [row["tokens"] / 1e6 for row in mine]
        losses.plot(places, [row["loss"] for row in mine], "o-", label=label)
    losses.set_ylabel("loss, nats a hidden token")
    losses.legend()
    rates.plot(tokens, [row["lr"] for row in steps], lw=1)
    rates.set_ylabel("rate")
    rates.set_xlabel("million tokens")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def note_of(name: str, described: Row, steps: list[Row], evaluations: list[Row]) -> str:
    """Say in words and one table what came out."""
    tokens, seconds = (sum(row[part] for row in steps) for part in ("batch_tokens", "seconds"))
    fill = sum(row["fill"] * row["batch_tokens"] for row in steps) / tokens
    last = [row for row in evaluations if row["step"] == evaluations[-1]["step"]]
    host = described["machine"]
    threads = described["config"]["threads"]
    lines = [
        f"# {name}",
        "",
        f"`{' '.join(described['command'])}`, after `lab/reference.sh` made tokenizer and corpus.",
        f"{tokens / 1e6:.1f}M tokens in {seconds / 60:.0f} minutes of steps, "
        f"{tokens / seconds:.0f} tokens/s on {threads} thread(s) of {host['cores']} "
        f"({host['processor']}), packing fill {fill:.2%}.",
        "",
        "![loss and rate](curve.png)",
        "",
        "Held-out text at the end, 15% hidden:",
        "",
        "| source | loss | masked accuracy | most frequent token | hidden tokens |",
        "| --- | --- | --- | --- | --- |",
        *map(_line, sorted(last, key=lambda row: (row["source"] != "all", row["source"]))),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    return (
        f"| {row['source']} | {row['loss']:.3f} | {row['masked_accuracy']:.1%} | "
        f"{row['most_frequent_token_accuracy']:.1%} | {row['hidden']} |"
    )


def _mean(rows: list[Row], name: str) -> float:
    return statistics.fmean(row[name] for row in rows)


if __name__ == "__main__":
    write_record(Path(sys.argv[1]), Path(sys.argv[2]))
