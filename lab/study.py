"""A corpus in, the paper's design choices one at a time at equal compute out: runs, rows, a table.

Usage: python lab/study.py CORPUS WORK RECORD [--tokens N] [--seeds N ...] [--arms NAME ...]
           [--jobs N] [--probes FILE ...]
Runs that are finished in WORK are not run again, and those that stopped go on.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.base.records import to_plain
from modernbert.data.chunks import ChunkTable
from modernbert.data.corpus import Corpus
from modernbert.evals.interval import estimate
from modernbert.model.count import training_flops
from modernbert.optim.schedule import LengthWarmup, Schedule
from modernbert.recipes.tiny import tiny
from modernbert.train.config import RunConfig

CONTEXT = 512
BATCH = 4096
TOKENS = 4_000_000
PLAIN = "modernbert"
"""The arm that all others change one thing of."""
_OUT_OF_DOMAIN = "wikitext-2"


@dataclass(frozen=True, slots=True)
class Texts:
    """What a corpus is like: its vocabulary, and its texts' lengths, cut for the context."""

    vocab_size: int
    lengths: tuple[int, ...]

    @property
    def fill(self) -> float:
        """Return the share of tokens when each text is padded to the context."""
        return float(np.mean(self.lengths)) / CONTEXT


@dataclass(frozen=True, slots=True)
class Row:
    """What one run came to."""

    arm: str
    seed: int
    tokens: int
    flops: float
    """Of the whole run, those of padding included."""
    heldout_loss: float
    """At 15% hidden, over all hidden tokens, in nats."""
    heldout_accuracy: float
    out_of_domain_loss: float
    probes: dict[str, float]
    """Accuracy of a line through the vectors, by file."""


def plain(vocab_size: int) -> RunConfig:
    """Return the run that arms change: ModernBERT's choices in a small encoder."""
    recipe = tiny()
    shape = replace(
        recipe.model, vocab_size=vocab_size, num_layers=6, local_window=64, max_length=CONTEXT
    )
    phase = replace(
        recipe.phases[0],
        tokens=TOKENS,
        context_length=CONTEXT,
        batch_tokens=BATCH,
        row_tokens=BATCH,
        schedule=Schedule(warmup_tokens=TOKENS // 20, decay_tokens=TOKENS // 5),
    )
    return replace(
        recipe,
        model=shape,
        phases=(phase,),
        precision="bfloat16",
        threads=1,
        save_every_tokens=0,
        evaluate_every_tokens=0,
        evaluate_tokens=20_000,
    )


def _shape(**changes: object) -> Callable[[RunConfig], RunConfig]:
    return lambda run: replace(run, model=replace(run.model, **changes))


def _phase(**changes: object) -> Callable[[RunConfig], RunConfig]:
    return lambda run: replace(run, phases=(replace(run.phases[0], **changes),))


def _cosine(run: RunConfig) -> RunConfig:
    first = run.phases[0]
    warmup = first.schedule.warmup_tokens
    falling = Schedule(
        warmup_tokens=warmup, decay_tokens=first.tokens - warmup, decay="cosine", floor=0.0
    )
    return _phase(schedule=falling)(run)


def _growing(run: RunConfig) -> RunConfig:
    return _phase(length_warmup=LengthWarmup(first_length=64, warmup_tokens=TOKENS // 4))(run)


def _plain_gelu(run: RunConfig) -> RunConfig:
    # Half as many units again: as many weights and products as the gated one has.
    return _shape(gated_mlp=False, mlp_dim=run.model.mlp_dim * 3 // 2)(run)


ARMS: dict[str, Callable[[RunConfig], RunConfig]] = {
    PLAIN: lambda run: run,
    "all-global": _shape(global_every=1),
    "plain-gelu": _plain_gelu,
    "learned-positions": _shape(position="learned"),
    "padded": lambda run: run,  # the same training with fewer texts: `padded_tokens`
    "adamw": lambda run: replace(run, optimizer="adamw", clip_norm=1.0),
    "cosine": _cosine,
    "mask-15": _phase(mask_rate=0.15),
    "mask-40": _phase(mask_rate=0.40),
    "all-mask-token": _phase(mask_share=1.0, random_share=0.0),
    "rms-norm": _shape(norm="rms"),
    "swiglu": _shape(activation="silu"),
    "qk-norm": _shape(qk_norm=True),
    "muon": lambda run: replace(run, optimizer="muon"),
    "growing-length": _growing,
    "rate-halved": lambda run: _phase(peak_lr=run.phases[0].peak_lr / 2)(run),
    "rate-doubled": lambda run: _phase(peak_lr=run.phases[0].peak_lr * 2)(run),
}


def config_of(arm: str, seed: int, tokens: int, texts: Texts) -> RunConfig:
    """Return an arm's run: it costs the FLOPs of `tokens` in the plain arm."""
    beside = plain(texts.vocab_size)
    run = replace(ARMS[arm](beside), seed=seed)
    budget = tokens * flops_per_token(beside, texts)
    if arm == "padded":
        # A padded batch of the same size holds so many tokens less; their loss is the same.
        batch = round(BATCH * texts.fill)
        run = _phase(batch_tokens=batch, row_tokens=batch)(run)
    return run.scaled_to(round(budget / flops_per_token(run, texts, is_padded=arm == "padded")))


def flops_per_token(run: RunConfig, texts: Texts, *, is_padded: bool = False) -> float:
    """Return what a token costs, over texts as they are or each padded to the context."""
    rate = run.phases[0].mask_rate
    if is_padded:
        return training_flops(run.model, CONTEXT, rate * texts.fill) / texts.fill
    growth = run.phases[0].length_warmup.shares(CONTEXT, run.phases[0].tokens)
    return sum(share * _cost(run, texts, longest) for longest, share in growth)


def _cost(run: RunConfig, texts: Texts, longest: int) -> float:
    """Return what a token costs where texts are divided into pieces of at most so many tokens."""
    pieces = np.ceil(np.array(texts.lengths) / longest)
    lengths, places = np.unique(texts.lengths / pieces, return_inverse=True)
    times = np.bincount(places, weights=pieces)
    costs = [training_flops(run.model, round(each), run.phases[0].mask_rate) for each in lengths]
    return float(np.average(costs, weights=lengths * times))


def texts_of(folder: Path) -> Texts:
    """Look at the training texts of a corpus."""
    corpus = Corpus.open(folder)
    table = ChunkTable(corpus, "train", CONTEXT)
    return Texts(corpus.vocab_size, tuple(table.lengths(np.arange(len(table))).tolist()))


def trained(config: RunConfig, work: Path, corpus: Path, probes: Sequence[Path]) -> None:
    """Train a run of the study in a process of its own, unless that is done."""
    if (work / "run" / "model").is_dir():
        return
    work.mkdir(parents=True, exist_ok=True)
    file = work / "asked.json"
    file.write_text(json.dumps({"format": 1, "config": to_plain(config)}), encoding="utf-8")
    command = [sys.executable, "-m", "modernbert", "pretrain", str(file), "--corpus", str(corpus)]
    with (work / "log.txt").open("a", encoding="utf-8") as log:
        subprocess.run(
            [*command, "--out", str(work / "run"), "--or-resume"]
            + (["--probes", *map(str, probes)] if probes else []),
            stdout=log,
            stderr=log,
            check=True,
        )


def row_of(arm: str, seed: int, work: Path, texts: Texts) -> Row:
    """Read what a finished run came to."""
    run = work / "run"
    evaluations = _rows(run / "evaluations.jsonl")
    last = {row["source"]: row for row in evaluations if row["step"] == evaluations[-1]["step"]}
    tokens = _rows(run / "metrics.jsonl")[-1]["tokens"]
    config = config_of(arm, seed, tokens, texts)
    probes = run / "probes.jsonl"
    return Row(
        arm=arm,
        seed=seed,
        tokens=tokens,
        flops=tokens * flops_per_token(config, texts, is_padded=arm == "padded"),
        heldout_loss=last["all"]["loss"],
        heldout_accuracy=last["all"]["masked_accuracy"],
        out_of_domain_loss=last[_OUT_OF_DOMAIN]["loss"],
        probes={
            row["probe"]: row["accuracy"] for row in (_rows(probes) if probes.exists() else [])
        },
    )


def table_of(rows: Iterable[Row]) -> str:
    """Return what each arm came to, and its distance to the plain arm seed by seed."""
    kept = {(row.arm, row.seed): row for row in rows}
    probes = sorted({name for row in kept.values() for name in row.probes})
    measures = ["held-out loss", "difference", f"{_OUT_OF_DOMAIN} loss", *probes]
    lines = [
        f"| choice | seeds | M tokens | {' | '.join(measures)} |",
        "| --- |" + " --- |" * (2 + len(measures)),
    ]
    for arm in sorted({arm for arm, _ in kept}, key=[*ARMS].index):
        mine = [row for (name, _), row in kept.items() if name == arm]
        pairs = [(row, kept[PLAIN, row.seed]) for row in mine if (PLAIN, row.seed) in kept]
        apart = [own.heldout_loss - other.heldout_loss for own, other in pairs]
        shown = [
            estimate([row.heldout_loss for row in mine]).spelled(digits=3),
            estimate(apart).spelled(digits=3) if arm != PLAIN and apart else "",
            estimate([row.out_of_domain_loss for row in mine]).spelled(digits=3),
            *(estimate([row.probes[name] for row in mine]).spelled(100, 1) for name in probes),
        ]
        lines.append(f"| {arm} | {len(mine)} | {mine[0].tokens / 1e6:.2f} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main(given: Sequence[str]) -> None:
    """Run what is missing, then write RECORD/rows.jsonl and RECORD/table.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus", "work", "record"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", default=[*ARMS], choices=[*ARMS])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--probes", type=Path, nargs="*", default=[])
    asked = parser.parse_args(given)
    texts = texts_of(asked.corpus)
    places = {
        (arm, seed): asked.work / f"{arm}-{seed}" for seed in asked.seeds for arm in asked.arms
    }
    with ThreadPoolExecutor(asked.jobs) as pool:
        done = [
            pool.submit(
                trained, config_of(*who, asked.tokens, texts), place, asked.corpus, asked.probes
            )
            for who, place in places.items()
        ]
    for each in done:
        each.result()
    rows = [row_of(*who, place, texts) for who, place in places.items()]
    asked.record.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (asked.record / "rows.jsonl").write_text(lines, encoding="utf-8")
    (asked.record / "table.md").write_text(table_of(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
