"""A model and labelled examples in, the model that is best at telling the dev examples apart out.

OUT/run.json           configuration, versions, machine, command, commit
OUT/metrics.jsonl      a row a step
OUT/evaluations.jsonl  a row an evaluation
OUT/model/             the best model so far
"""

import dataclasses
import json
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from modernbert.base import dist, files, machine
from modernbert.base.device import Autocast, choose_device, choose_precision
from modernbert.base.errors import ConfigError
from modernbert.base.log import Meter, meter, say
from modernbert.base.records import to_plain
from modernbert.data.prefetch import prefetch
from modernbert.data.rows import in_order
from modernbert.data.tokenizer import Tokenizer
from modernbert.kernels.attention import backend_for
from modernbert.model import card, sentence_writer
from modernbert.model import folder as model_folder
from modernbert.model.config import HeadConfig
from modernbert.model.init import with_head
from modernbert.model.model import Model
from modernbert.optim.groups import depth_of, layered_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import parallel
from modernbert.train.checkpoint import FORMAT
from modernbert.train.diagnose import not_finite
from modernbert.train.rows import EVALUATIONS, METRICS
from modernbert.train.step import StepResult, accumulate, move
from modernbert.train.stop import StopRequest
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tune_data import Labelled, TuneData, read_data
from modernbert.train.tune_feed import TuneWork, feed, num_steps

_AHEAD = 2
_LR_OF_BASE, _BASE_DIM = 5e-5, 768
_EVALUATION_TOKENS = 8192


@dataclass(slots=True)
class Tuning:
    """Everything that moves while fine-tuning."""

    folder: Path
    config: TuneConfig
    data: TuneData
    model: Model
    tokenizer: Tokenizer
    optimizer: StableAdamW
    autocast: Autocast
    best: float = -float("inf")
    num_worse: int = 0
    """Evaluations since the best one."""


def create(config: TuneConfig, start: Path, folder: Path) -> Tuning:
    """Read the model in `start` and all examples, and begin a folder.

    Raises:
        ConfigError: the folder holds something, or a number does not fit the model.
        CheckpointError: the model cannot be read.
        DataError: the examples cannot be read, or there is nothing to learn.
        MachineError: the folder cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: give another folder for the run")
    tokenizer, model = Tokenizer.load(start), model_folder.read(start)
    config = _decided(config, model)
    data = read_data(config, tokenizer, config.max_length)
    head = HeadConfig(
        kind="sequence",
        labels=data.labels.names,
        pooling=config.pooling,
        problem=data.labels.problem,
        dropout=config.dropout,
    )
    tuning = _assembled(config, folder, data, with_head(model, head, config.seed), tokenizer)
    files.make_folder(folder)
    files.write_json(folder / "run.json", _description(config, start, data))
    return tuning


def tune(tuning: Tuning) -> bool:
    """Take all steps, or stop early when nothing improves; return False when interrupted.

    The best model lies in OUT/model at any time after the first evaluation.

    Raises:
        TrainingError: the loss or a gradient is not finite; the weights have not moved.
    """
    config, total = tuning.config, num_steps(tuning.config, tuning.data)
    parallel.prepare(
        tuning.model,
        checkpoint_activations=config.checkpoint_activations,
        compile_layers=config.compile,
    )
    tuning.model.train()
    with (
        closing(_works(tuning)) as works,
        StopRequest() as stop,
        meter("fine-tuning", total) as bar,
    ):
        for work in works:
            _take(tuning, work, bar)
            if work.is_measured and _is_over(tuning, work):
                break
            if stop.is_made:
                say(f"stopped after step {work.step} of {total}")
                return False
    return True


def _take(tuning: Tuning, work: TuneWork, bar: Meter) -> None:
    seed = tuning.config.seed
    result = accumulate(tuning.model, work, tuning.autocast, seed)
    if not result.is_finite:
        where = tuning.data.train.examples.where
        size = len(where)
        raise not_finite(tuning.model, work, lambda n: where[n % size], tuning.autocast, seed)
    move(tuning.optimizer, work.lr)
    files.append(tuning.folder / METRICS, json.dumps(_row(work, result)) + "\n")
    bar.at(work.step, f"epoch {work.epoch:.2f} loss {result.loss:.3f}")


def _is_over(tuning: Tuning, work: TuneWork) -> bool:
    """Measure the dev examples, keep the model if it is the best, and say whether to stop."""
    scores = scores_of(tuning.model, tuning.data.dev, tuning.autocast)
    measured = tuning.data.dev.task.measure(scores)
    name, value = next(iter(measured.items()))
    is_better = value > tuning.best
    tuning.best = max(value, tuning.best)
    tuning.num_worse = 0 if is_better else tuning.num_worse + 1
    row = {"step": work.step, "epoch": work.epoch, "is_best": is_better, **measured}
    files.append(tuning.folder / EVALUATIONS, json.dumps(row) + "\n")
    shown = ", ".join(f"{key} {number:.4f}" for key, number in measured.items())
    say(f"epoch {work.epoch:.2f}: {shown}{' (best)' if is_better else ''}")
    if is_better:
        _keep(tuning)
    patience = tuning.config.patience
    is_over = patience > 0 and tuning.num_worse >= patience
    if is_over:
        say(f"{name} has not risen for {patience} evaluations: stopped")
    return is_over


def _keep(tuning: Tuning) -> None:
    target = tuning.folder / "model"
    with (files.filled_folder if target.is_dir() else files.whole_folder)(target) as aside:
        sentence_writer.write(tuning.model, aside)
        tuning.tokenizer.save(aside, max_length=tuning.config.max_length)
        card.write(card.facts_of(tuning.model, tuning.tokenizer.mask_token), aside)


@torch.no_grad()
def scores_of(model: Model, given: Labelled, autocast: Autocast) -> Float[Tensor, "S N"]:
    """Return the model's scores of all examples, in their order, on the CPU."""
    was_training = model.training
    model.eval()
    found: dict[int, Tensor] = {}
    for micro in in_order(given.examples, _EVALUATION_TOKENS):
        with autocast():
            scores = model(given.task.collate(micro).to(autocast.device).packed)
        found |= zip(micro.numbers.tolist(), scores.float().cpu(), strict=True)
    model.train(was_training)
    return torch.stack([found[number] for number in range(len(given.examples))])


def _works(tuning: Tuning) -> Generator[TuneWork, None, None]:
    return prefetch(feed(tuning.config, tuning.data, 0, dist.rank(), dist.world_size()), _AHEAD)


def _row(work: TuneWork, result: StepResult) -> dict[str, Any]:
    return {
        "step": work.step,
        "epoch": work.epoch,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "lr": work.lr,
        "grad_norm": result.grad_norm,
        "tokens": work.num_tokens,
        "examples": work.num_examples,
    }


def _decided(config: TuneConfig, model: Model) -> TuneConfig:
    """Fill in what depends on the model and the machine."""
    shape, device = model.config, choose_device(config.device)
    if config.frozen_layers > shape.num_layers:
        raise ConfigError(
            f"frozen_layers is {config.frozen_layers}, and the model has {shape.num_layers}"
        )
    if config.max_length > shape.max_length or 0 < config.max_length < 3:
        raise ConfigError(
            f"max_length is {config.max_length}: the model reads 3 to {shape.max_length} tokens"
        )
    return dataclasses.replace(
        config,
        max_length=config.max_length or shape.max_length,
        peak_lr=config.peak_lr or _LR_OF_BASE * _BASE_DIM / shape.dim,
        precision=choose_precision(config.precision, device),
        threads=config.threads or torch.get_num_threads(),
    )


def _assembled(
    config: TuneConfig, folder: Path, data: TuneData, model: Model, tokenizer: Tokenizer
) -> Tuning:
    device = choose_device(config.device)
    torch.set_num_threads(config.threads)
    layers = model.config.num_layers
    for name, weight in model.named_parameters():
        is_frozen = config.frozen_layers > 0 and depth_of(name, layers) <= config.frozen_layers
        weight.requires_grad_(not is_frozen)
    model.encoder.backend = None if config.backend == "auto" else config.backend
    model.to(device)
    groups = layered_groups(
        model.named_parameters(), config.weight_decay, config.layer_decay, layers
    )
    optimizer = StableAdamW(groups, lr=config.peak_lr, betas=config.betas, eps=config.eps)
    for group in optimizer.param_groups:
        group["peak_lr"] = config.peak_lr * group["lr_scale"]
    precision = choose_precision(config.precision, device)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    say(
        f"{device.type} with {config.threads} threads, {precision}, attention "
        f"{model.encoder.backend or backend_for(device, dtype)}, rate {config.peak_lr:.1e}"
    )
    autocast = Autocast(device, precision)
    return Tuning(folder, config, data, model, tokenizer, optimizer, autocast)


def _description(config: TuneConfig, start: Path, data: TuneData) -> Mapping[str, Any]:
    return {
        "format": FORMAT,
        "start": str(start),
        "config": to_plain(config),
        "data_fingerprint": data.fingerprint,
        "labels": to_plain(data.labels),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "command": machine.command(),
        "commit": machine.commit(),
    }
