"""What a training is asked in, all that is decided before its first step out."""

import dataclasses
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from modernbert.base import files, machine
from modernbert.base.device import choose_device
from modernbert.base.errors import CheckpointError, ConfigError, DataError, UserError
from modernbert.base.log import count, say
from modernbert.base.records import from_plain, to_plain
from modernbert.data.judged import JudgedSet, read_judged
from modernbert.data.pair_columns import PairColumns
from modernbert.data.pairs import (
    MOST_HELD,
    PairOptions,
    PairSet,
    held_out,
    read_pairs,
    to_judged,
)
from modernbert.data.table_files import holds_part
from modernbert.infer.pretrained import Pretrained, load
from modernbert.kernels.precision import choose_precision
from modernbert.retrieval.training import checkpoints
from modernbert.retrieval.training.config import RetrieverConfig, Start, check_kind, numbers_of
from modernbert.retrieval.training.examples import are_cosines, scale_of_cosines, too_alike
from modernbert.retrieval.training.losses import chosen, is_in_batch, shorter, temperature_of
from modernbert.retrieval.training.measures import Measure, agreeing, check_measured, searching
from modernbert.retrieval.training.recipes import recipe_of
from modernbert.retrieval.training.starts import prepared
from modernbert.train.checkpoint import FORMAT
from modernbert.train.description import NAME, read_description
from modernbert.train.rows import EVALUATIONS, METRICS
from modernbert.train.tune_config import width_factor

START = "start"
"""Folder of the model as it was before the first step."""
_FEWEST = 2
_MEASURED = "measured_fingerprint"


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A training that is ready to go on."""

    folder: Path
    start: Start
    config: RetrieverConfig
    learned: PairSet
    measured: PairSet | JudgedSet

    @property
    def fingerprint(self) -> str:
        """Name what is learned from."""
        return self.learned.fingerprint

    def measure(self) -> Measure:
        """Return what the model is measured by."""
        kind, seed = self.start.kind, self.config.seed
        if isinstance(self.measured, JudgedSet):
            return searching(kind, self.measured, seed)
        if self.measured.holding == "labels":
            return agreeing(kind, self.measured.pairs)
        return searching(kind, to_judged(self.measured, self.learned), seed)


def create(start: Start, config: RetrieverConfig, folder: Path) -> Job:
    """Read the pairs and the model, and begin a folder.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: the folder holds something, or options do not fit the pairs or the model.
        DataError: pairs cannot be read, or there is nothing to learn.
        MachineError: the folder cannot be written.
    """
    check_kind(config, start.kind)
    _check_folder(folder)
    recipe, is_asked = recipe_of(config.recipe, start.kind), config.batch_size > 0
    config = dataclasses.replace(config, **cast(dict[str, Any], numbers_of(config, recipe)))
    learned, measured = _parts(config, tell=True)
    _check_learned(config.pairs, learned)
    config = dataclasses.replace(config, loss=chosen(start.kind, config.loss, learned))
    check_measured(start.kind, measured, config.evaluate or config.dev or config.pairs)
    model = prepared(load(start.model), start.kind, config)
    if config.matryoshka:
        shorter(config.matryoshka, model.embed(["x"]).shape[1])
    config = _decided(config, start, model, learned)
    if is_in_batch(config.loss):
        config = _fitting(config, learned, is_asked=is_asked)
    if (folder / START).exists() and not _holds(folder / START, model):
        raise _occupied(folder)
    job = Job(folder, start, config, learned, measured)
    with files.promised_folder(folder):
        model.save(folder / START)
        files.write_json(folder / NAME, _description(job))
    return job


def forget(job: Job, *, is_new: bool) -> None:
    """Remove what a run leaves that failed before it had a checkpoint: nothing goes on from it."""
    folder = job.folder
    if (folder / "model").exists() or checkpoints.newest(folder) is not None:
        return
    for name in (START, checkpoints.PLACE):
        files.remove_folder(folder / name)
    for name in (METRICS, EVALUATIONS, NAME):
        (folder / name).unlink(missing_ok=True)
    if is_new:
        with suppress(OSError):  # what somebody put there meanwhile stays
            folder.rmdir()


def reopen(folder: Path) -> Job:
    """Read the pairs of a run again.

    Raises:
        CheckpointError: the folder holds no training of a retriever.
        DataError: the pairs, or those it measures on, are not those it began with.
    """
    told = read_description(folder)
    begun = told.get("start")
    if not isinstance(begun, dict) or "kind" not in begun:
        raise CheckpointError(f"{folder} holds no training of a retriever: give the folder of one")
    config = from_plain(RetrieverConfig, told.get("config"), f"{folder}: config")
    learned, measured = _parts(config, tell=False)
    job = Job(folder, from_plain(Start, begun, f"{folder}: start"), config, learned, measured)
    if job.fingerprint != told.get("data_fingerprint"):
        raise DataError(
            f"the pairs are not those that {folder} began with: put those back, or begin anew"
        )
    # Runs begun by an older version do not tell it.
    if told.get(_MEASURED, job.measured.fingerprint) != job.measured.fingerprint:
        raise DataError(
            f"what {folder} measures its model on is not what it began with: put that back, or "
            "begin anew"
        )
    return job


def _parts(config: RetrieverConfig, *, tell: bool) -> tuple[PairSet, PairSet | JudgedSet]:
    """Read what is learned from and what is measured on."""
    options = PairOptions(
        columns=PairColumns(config.query, config.positive, config.negatives, config.scores),
        header=config.header,
        num_negatives=config.num_negatives,
        most=config.max_pairs,
    )
    path = Path(config.pairs)
    found = read_pairs(path, options)
    for note in (found.columns.spelled(), *found.notes) if tell else ():
        say(f"{config.pairs}: {note}")
    if config.evaluate:
        return found, read_judged(Path(config.evaluate), config.split)
    all_rows = dataclasses.replace(options, num_negatives=0, most=0)
    if config.dev:
        return found, read_pairs(Path(config.dev), all_rows)
    if (path / "qrels" / "dev.tsv").is_file():
        return found, read_pairs(path, dataclasses.replace(all_rows, most=MOST_HELD), "dev")
    if holds_part(path, "dev"):
        return found, read_pairs(path, all_rows, "dev")
    return held_out(found, config.seed)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds more than what a run leaves that was killed at its begin."""
    if (folder / NAME).exists():
        raise ConfigError(
            f"{folder} is not empty: continue it with `modernbert train-retriever --resume "
            f"{shlex.quote(str(folder))}`, or give another folder"
        )
    there = [*folder.iterdir()] if folder.is_dir() else []
    if any(each.name != START and not files.is_aside(each) for each in there):
        raise _occupied(folder)


def _occupied(folder: Path) -> ConfigError:
    return ConfigError(f"{folder} is not empty: give another folder for the run")


def _holds(folder: Path, model: Pretrained) -> bool:
    """Return whether a folder is nothing but this model, so that writing it anew loses nothing."""
    try:
        there = load(folder).state_dict()
    except UserError:
        return False
    here = model.state_dict()
    return there.keys() == here.keys() and all(
        torch.equal(weight, here[name]) for name, weight in there.items()
    )


def _most_different(learned: PairSet) -> int:
    """Return how many pairs at most have no text in common."""
    queries = {pair.query for pair in learned.pairs}
    return min(len(queries), len({pair.positive for pair in learned.pairs}))


def _fitting(config: RetrieverConfig, learned: PairSet, *, is_asked: bool) -> RetrieverConfig:
    """Return a size that batches of different texts can have, where nobody asked for another.

    Raises:
        ConfigError: no batch of that size has different texts alone.
    """
    most = _most_different(learned)
    if most >= config.batch_size:
        return config
    size = most // 2
    if is_asked or size < _FEWEST:
        raise too_alike(config.batch_size)
    say(f"{most} pairs at most are of different texts: {size} a step")
    return dataclasses.replace(config, batch_size=size, mini_batch=min(config.mini_batch, size))


def _check_learned(where: str, learned: PairSet) -> None:
    if len(learned.pairs) < _FEWEST:
        raise DataError(
            f"{where} leaves {len(learned.pairs)} pair to learn from: give {_FEWEST} or more"
        )
    if learned.holding == "labels" and len({pair.scores for pair in learned.pairs}) == 1:
        raise DataError(
            f"{where} gives every pair the score {learned.pairs[0].scores[0]:g}, which teaches no "
            f"order: where all of them answer, leave the column {learned.columns.scores!r} out"
        )


def _decided(
    config: RetrieverConfig, start: Start, model: Pretrained, learned: PairSet
) -> RetrieverConfig:
    """Fill in what depends on the pairs, the model and the machine, and say it."""
    device, width = choose_device(config.device), model.config.dim
    precision = choose_precision(config.precision, device, width)
    size = min(config.batch_size, len(learned.pairs))
    threads = config.threads or torch.get_num_threads()
    base_lr = recipe_of(config.recipe, start.kind).base_lr
    lr = config.lr or base_lr * width_factor(width)
    temperature = config.temperature or temperature_of(start.kind, config.loss)
    scale = config.score_scale
    if not scale and are_cosines(learned, config.loss):
        late = model.sentence.config.late
        query_length = (late.query_length or 0) if late else 0
        scale = scale_of_cosines(start.kind, config.loss, query_length, temperature)
    say(
        f"{count(len(learned.pairs))} pairs with {learned.num_negatives} negatives; {config.loss}, "
        f"{size} a step, rate {lr:.1e}, temperature {temperature:g}"
    )
    say(f"{device.type} with {threads} threads, {precision}")
    return dataclasses.replace(
        config,
        pairs=_whole(config.pairs),
        dev=_whole(config.dev),
        evaluate=_whole(config.evaluate),
        batch_size=size,
        mini_batch=min(config.mini_batch, size),
        lr=lr,
        temperature=temperature,
        score_scale=scale,
        device=cast(Any, device.type),
        precision=precision,
        threads=threads,
    )


def _description(job: Job) -> Mapping[str, Any]:
    return {
        "format": FORMAT,
        "start": to_plain(job.start),
        "config": to_plain(job.config),
        "data_fingerprint": job.fingerprint,
        _MEASURED: job.measured.fingerprint,
        "versions": machine.versions("sentence-transformers", "transformers", "datasets"),
        "machine": machine.machine(),
        "command": machine.command(),
        "commit": machine.commit(),
    }


def _whole(path: str) -> str:
    return str(Path(path).resolve()) if path else ""
