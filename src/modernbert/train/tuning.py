"""A fine-tuning's folder: made from a configuration, or opened again where it stopped.

OUT/run.json           start, configuration, versions, machine, command, commit
OUT/metrics.jsonl      a row a step
OUT/evaluations.jsonl  a row an evaluation
OUT/checkpoints/       the newest step, with a trainer's state
OUT/model/             the best model so far
OUT/calibration.json   how honest probabilities were made, where that was asked for
OUT/adapter/           what was trained of it, where that is LoRA's adapters
OUT/summary.json       what came of it, once it is over
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from modernbert.base import files, machine
from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import CheckpointError, ConfigError, DataError
from modernbert.base.log import count, say
from modernbert.base.records import from_plain, to_plain
from modernbert.data.table_files import Part, holds_part
from modernbert.data.tokenizer import Tokenizer
from modernbert.kernels.attention import backend_for
from modernbert.kernels.precision import choose_precision
from modernbert.model import folder as model_folder
from modernbert.model import stored
from modernbert.model.config import HeadConfig
from modernbert.model.init import with_head
from modernbert.model.model import Model
from modernbert.optim.groups import depth_of, layered_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import checkpoint, lora
from modernbert.train.checkpoint import FORMAT, Keep, TrainerState
from modernbert.train.description import NAME, read_description
from modernbert.train.feed import Progress
from modernbert.train.rows import EVALUATIONS, steps_in, truncate
from modernbert.train.tune_choice import read_choices
from modernbert.train.tune_config import TuneConfig, check_length, check_task, usual_rate
from modernbert.train.tune_data import TuneData, read_labels
from modernbert.train.tune_questions import read_answers
from modernbert.train.tune_tags import read_tags
from modernbert.train.tune_vectors import read_vectors


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
    progress: Progress = field(default_factory=Progress)
    best: float = -float("inf")
    num_worse: int = 0
    """Evaluations since the best one."""

    @property
    def decisive(self) -> str:
        """Name of the measure by which a model is the best."""
        return self.config.best_by or self.data.dev.task.measures[0]

    def best_model(self) -> Model:
        """Open the best model so far, on the device and with the backend of this run."""
        best = model_folder.read(self.folder / "model").to(self.autocast.device)
        best.encoder.backend = self.model.encoder.backend
        return best

    def save(self) -> None:
        """Write a checkpoint of this moment, and remove the one before it."""
        place = self.folder / "checkpoints"
        state = TrainerState(self.progress, self.progress.step, ends_phase=False)
        checkpoint.save(place, self.model, self.optimizer, state, self.tokenizer)
        checkpoint.retire(place, Keep(newest=1))


@dataclass(frozen=True, slots=True)
class Start:
    """What a fine-tuning begins with."""

    task: str
    """What is learned: a key of `READERS`."""
    model: str
    """Folder of the model."""


class _Reader(Protocol):
    def __call__(
        self, config: TuneConfig, tokenizer: Tokenizer, max_length: int, which: Part = "dev", /
    ) -> TuneData: ...


READERS: dict[str, _Reader] = {
    "classify": read_labels,
    "tokens": read_tags,
    "spans": read_answers,
    "choice": read_choices,
    "vectors": read_vectors,
}
"""How the examples of a task are read."""


def create(config: TuneConfig, start: Start, folder: Path) -> Tuning:
    """Read the model and all examples, and begin a folder.

    Raises:
        ConfigError: the folder holds something, or a number does not fit the model.
        CheckpointError: the model cannot be read.
        DataError: the examples cannot be read, or there is nothing to learn.
        MachineError: the folder cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: give another folder for the run")
    check_task(config, start.task)
    place = Path(start.model)
    tokenizer, model = Tokenizer.load(place), model_folder.read(place)
    config = _decided(config, model)
    data = READERS[start.task](config, tokenizer, config.max_length)
    measures = data.dev.task.measures
    if config.best_by and config.best_by not in measures:
        raise ConfigError(
            f"best_by is {config.best_by!r}, and what is measured here is {', '.join(measures)}: "
            "name one of these"
        )
    if config.calibrate:
        _check_answers(data.head)
    model = _prepared(model, config, data, start)
    tuning = _assembled(config, folder, data, model, tokenizer)
    files.make_folder(folder)
    files.write_json(folder / NAME, _description(config, start, data))
    return tuning


def resume(folder: Path) -> Tuning:
    """Open a run at its newest checkpoint; the same examples follow.

    Raises:
        CheckpointError: the folder holds no fine-tuning, or a damaged one.
        DataError: the examples are not those the run began with.
    """
    told = read_description(folder)
    if "start" not in told:
        raise CheckpointError(f"{folder} holds no fine-tuning: give the folder of one")
    config = from_plain(TuneConfig, told.get("config"), f"{folder}: config")
    start = from_plain(Start, told["start"], f"{folder}: start")
    saved = checkpoint.found(folder / "checkpoints")
    is_new = not saved or config.lora_rank > 0  # adapters stand beside the first weights
    model = model_folder.read(_begun_with(start, told, folder) if is_new else saved[-1])
    tokenizer = Tokenizer.load(Path(start.model))
    data = READERS[start.task](config, tokenizer, config.max_length)
    if data.fingerprint != told.get("data_fingerprint"):
        raise DataError(
            f"the examples are not those that {folder} began with: put those back, or begin anew"
        )
    model = _prepared(model, config, data, start)
    tuning = _assembled(config, folder, data, model, tokenizer)
    if saved:
        state = checkpoint.read_state(saved[-1])
        checkpoint.check(saved[-1], state)
        if config.lora_rank:
            checkpoint.restore_trained(saved[-1], tuning.model)
        checkpoint.restore_moments(saved[-1], tuning.model, tuning.optimizer)
        tuning.progress = state.progress
    _recall(tuning)
    say(f"resuming {folder} after step {tuning.progress.step}")
    return tuning


def _check_answers(head: HeadConfig | None) -> None:
    if head is None or head.kind not in ("sequence", "tokens") or head.problem == "regression":
        raise ConfigError(
            "calibrate makes probabilities of labels honest, and here no labels are learned: "
            "leave it out"
        )


def _prepared(model: Model, config: TuneConfig, data: TuneData, start: Start) -> Model:
    """Put on the model what is trained: a head, and adapters where they are asked for."""
    model = with_head(model, data.head, config.seed)
    model.kept = {**model.kept, **data.notes}
    if config.lora_rank:
        lora.add(model, config, start.model)
    return model


def _begun_with(start: Start, told: Mapping[str, Any], folder: Path) -> Path:
    place = Path(start.model)
    if _weights_of(place) != told.get("weights_fingerprint"):
        raise CheckpointError(
            f"{place} does not hold the model that {folder} began with: put that one back, or "
            "begin anew"
        )
    return place


def _weights_of(place: Path) -> str:
    digests = [files.digest_of(path) for path in stored.weight_files(place)]
    return files.digest("".join(digests).encode())


def _recall(tuning: Tuning) -> None:
    """Drop rows of steps that will be taken again, and look up what was measured before."""
    truncate(tuning.folder, tuning.progress.step)
    for row in steps_in(tuning.folder / EVALUATIONS):
        tuning.num_worse = 0 if row["is_best"] else tuning.num_worse + 1
        tuning.best = max(tuning.best, row[tuning.decisive])


def _decided(config: TuneConfig, model: Model) -> TuneConfig:
    """Fill in what depends on the model and the machine."""
    shape, device = model.config, choose_device(config.device)
    if config.frozen_layers > shape.num_layers:
        raise ConfigError(
            f"frozen_layers is {config.frozen_layers}, and the model has {shape.num_layers}"
        )
    check_length(config.max_length, shape.max_length)
    if config.lora_rank:
        lora.check(config, shape.num_layers)
    dev = config.dev
    if not dev and holds_part(Path(config.train), "dev"):
        dev = config.train
        say(f"no --dev: what is measured on is the dev part of {dev}")
    return dataclasses.replace(
        config,
        dev=dev,
        max_length=config.max_length or shape.max_length,
        peak_lr=config.peak_lr or usual_rate(shape.dim, is_lora=config.lora_rank > 0),
        precision=choose_precision(config.precision, device, shape.dim),
        threads=config.threads or torch.get_num_threads(),
    )


def _assembled(
    config: TuneConfig, folder: Path, data: TuneData, model: Model, tokenizer: Tokenizer
) -> Tuning:
    device = choose_device(config.device)
    torch.set_num_threads(config.threads)
    layers = model.config.num_layers
    for name, weight in model.named_parameters():
        if config.frozen_layers > 0 and depth_of(name, layers) <= config.frozen_layers:
            weight.requires_grad_(False)
    model.encoder.backend = None if config.backend == "auto" else config.backend
    model.to(device)
    groups = layered_groups(
        model.named_parameters(), config.weight_decay, config.layer_decay, layers
    )
    optimizer = StableAdamW(groups, lr=config.peak_lr, betas=config.betas, eps=config.eps)
    for group in optimizer.param_groups:
        group["peak_lr"] = config.peak_lr * group["lr_scale"]
    precision = choose_precision(config.precision, device, model.config.dim)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    say(
        f"{device.type} with {config.threads} threads, {precision}, attention "
        f"{model.encoder.backend or backend_for(device, dtype)}, rate {config.peak_lr:.1e}"
    )
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    moving = sum(size for size, is_moving in sizes if is_moving)
    if not all(is_moving for _, is_moving in sizes):
        say(f"{count(moving)} of {count(sum(size for size, _ in sizes))} weights are trained")
    autocast = Autocast(device, precision)
    return Tuning(folder, config, data, model, tokenizer, optimizer, autocast)


def _description(config: TuneConfig, start: Start, data: TuneData) -> Mapping[str, Any]:
    # Whole paths, so that a run can be gone on with from any folder.
    found = dataclasses.replace(
        config, train=_whole(config.train), dev=_whole(config.dev), test=_whole(config.test)
    )
    return {
        "format": FORMAT,
        "start": to_plain(Start(start.task, _whole(start.model))),
        "config": to_plain(found),
        "weights_fingerprint": _weights_of(Path(start.model)),
        "data_fingerprint": data.fingerprint,
        "labels": list(data.head.labels) if data.head else [],
        "versions": machine.versions(),
        "machine": machine.machine(),
        "command": machine.command(),
        "commit": machine.commit(),
    }


def _whole(path: str) -> str:
    return str(Path(path).resolve()) if path else ""
