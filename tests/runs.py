"""A tiny corpus, a tiny model and three phases of about twelve steps each."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import torch

from modernbert.base.files import digest
from modernbert.infer.pretrained import Pretrained
from modernbert.model.config import EncoderConfig
from modernbert.model.init import build
from modernbert.optim.schedule import Schedule
from modernbert.train import run as runs
from modernbert.train.config import Phase, RunConfig
from modernbert.train.loop import train
from modernbert.train.run import Run
from tests.corpora import make_corpus, tokenizer
from tests.nets import config_of

MODEL = EncoderConfig(
    vocab_size=512,
    dim=64,
    mlp_dim=96,
    num_layers=3,
    num_heads=2,
    local_window=16,
    attention_out_dropout=0.1,
    pad_id=3,
    cls_id=1,
    sep_id=2,
)
NUMBERS = ("step", "tokens", "phase", "loss", "masked_accuracy", "lr", "fill", "grad_norm")
"""What a step's row holds besides times."""


def small_corpus(folder: Path) -> Path:
    """Two sources of a few thousand tokens, a tenth of them held out."""
    return make_corpus(folder, {"books": 60, "code": 40}).folder


def phase(name: str, **fields) -> Phase:
    """Twelve steps of two rows."""
    usual = {"tokens": 6000, "context_length": 32, "batch_tokens": 512, "row_tokens": 256}
    return Phase(**({"name": name, "peak_lr": 3e-3, "weight_decay": 0.01} | usual | fields))


def small_run(corpus: Path, **fields) -> RunConfig:
    """Pretrain, extend the context, decay."""
    longer = {"context_length": 64, "global_rope_theta": 160_000.0}
    phases = (
        phase("pretrain", schedule=Schedule(warmup_tokens=2000)),
        phase("context", **longer),
        phase("decay", schedule=Schedule(decay_tokens=6000, floor=0.01), **longer),
    )
    usual = {
        "corpus": str(corpus),
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        "save_every_tokens": 2500,
        "evaluate_tokens": 500,
    }
    return RunConfig(model=MODEL, phases=phases, **(usual | fields))


def shortened(config: RunConfig, tokens: int) -> RunConfig:
    """Leave the first phase alone, and so many tokens of it."""
    first = dataclasses.replace(config.phases[0], tokens=tokens)
    return dataclasses.replace(config, phases=(first,))


def trained(config: RunConfig, folder: Path) -> Run:
    """Train a run to its end and write its model."""
    run = runs.create(config, folder)
    assert train(run)
    run.finish()
    run.close()
    return run


def outcome(folder: Path) -> tuple[list[tuple], str, list[dict]]:
    """Return all that must not depend on how often a run was stopped."""
    rows = [tuple(row[name] for name in NUMBERS) for row in rows_of(folder / "metrics.jsonl")]
    weights = digest((folder / "model" / "model.safetensors").read_bytes())
    return rows, weights, rows_of(folder / "evaluations.jsonl")


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def untimed(path: Path) -> list[dict]:
    """Rows without what the clock said: two runs that are the same have the same ones."""
    return [{**row, "seconds": None} for row in rows_of(path)]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "modernbert", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """One thread, no network, no terminal."""
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"} | more


def called(*arguments: str | Path, limit_bytes: int = 0, **more) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own, files limited as on a full disk."""

    def limit() -> None:
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment(**more),
        preexec_fn=limit,
        check=False,
        timeout=240,
    )


def started(*arguments: str | Path) -> subprocess.Popen:
    """Start a command that is to be struck by a signal, perhaps just after a file was opened."""
    python, *given = command(*arguments)
    # What comes last counts: all other warnings stay errors.
    given[2:2] = ["-W", "ignore::ResourceWarning"]
    return subprocess.Popen([python, *given], stderr=subprocess.PIPE, text=True, env=environment())


def struck(process: subprocess.Popen, number: int, when: Callable[[], bool]) -> tuple[int, str]:
    """Send a signal as soon as something is true; return the exit status and what was said."""
    until = time.monotonic() + 120
    while not when():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.0005)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


def interrupt_after(folder: Path, many: int) -> None:
    """Press Ctrl-C in this process as soon as a run has written so many steps."""
    is_under_way = has_rows(folder, many)

    def interrupt() -> None:
        while not is_under_way():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt).start()


def untrained(folder: Path) -> Path:
    """Write a small model that has learned nothing, with its tokenizer."""
    tokens = tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    Pretrained(build(config, 0), tokens).save(folder)
    return folder


def has_rows(folder: Path, many: int) -> Callable[[], bool]:
    path = folder / "metrics.jsonl"
    return lambda: path.exists() and path.read_bytes().count(b"\n") >= many


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
