"""A model and pairs in, a folder with a trained retriever out.

OUT/model               the best model, for sentence-transformers, PyLate, servers and this package
OUT/run.json            every setting, what was read, versions, machine
OUT/metrics.jsonl       a row a step
OUT/evaluations.jsonl   what was measured, before training and while it went on
OUT/summary.json        what came of it; a folder that has one is finished
OUT/checkpoints         while it goes on, what sentence-transformers' trainer goes on from
"""

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import torch

from modernbert.base import files
from modernbert.base.device import Autocast
from modernbert.base.errors import UserError
from modernbert.base.log import meter, say
from modernbert.kernels.precision import choose_precision
from modernbert.retrieval.training import checkpoints, live
from modernbert.retrieval.training.config import RetrieverConfig, Start
from modernbert.retrieval.training.examples import follows_cosines, to_dataset, too_alike
from modernbert.retrieval.training.job import START, Job, create, forget, reopen
from modernbert.retrieval.training.outcome import is_finished, settle
from modernbert.retrieval.training.quiet import quiet
from modernbert.train.rows import EVALUATIONS, steps_in, truncate
from modernbert.train.stop import StopRequest


def train(start: Start, config: RetrieverConfig, out: Path) -> Path | None:
    """Train a model and return the folder of the best one, OUT/model; None after Ctrl-C.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: OUT holds something, or options do not fit the pairs or the model.
        DataError: pairs cannot be read, or there is nothing to learn.
        MachineError: a package is missing, or OUT cannot be written.
        TrainingError: the loss stopped being a number.
    """
    live.check_installed()
    is_new = not out.exists()
    with quiet():
        job = create(start, config, out)
        try:
            return _run(job, None)
        except UserError:
            forget(job, is_new=is_new)
            raise


def resume(out: Path) -> Path | None:
    """Go on with a training where it was saved last; it ends as one that was never stopped.

    Raises:
        CheckpointError: the folder holds no training of a retriever.
        DataError: the pairs, or those it measures on, are not those it began with.
    """
    live.check_installed()
    if is_finished(out):
        say(f"{out} is finished: the best model is in {out / 'model'}")
        return out / "model"
    job = reopen(out)
    files.sweep(out)
    saved = checkpoints.newest(out)
    truncate(out, saved[1] if saved else -1)
    say(f"resuming {out} after step {saved[1] if saved else 0}")
    with quiet():
        return _run(job, saved[0] if saved else None)


def _run(job: Job, saved: Path | None) -> Path | None:
    from modernbert.retrieval.training.watcher import Watcher

    config, folder, kind = job.config, job.folder, job.start.kind
    torch.set_num_threads(config.threads)
    rows = to_dataset(job.learned, config.loss, config.score_scale or 1.0)
    total = live.num_steps(config, len(rows))
    due = frozenset(
        max(1, round(total * part / config.evaluations))
        for part in range(1, config.evaluations + 1)
    )
    model = live.open_live(kind, saved or folder / START, config.device)
    follows = follows_cosines(job.learned, config.loss, config.score_scale)
    trainer = live.make_trainer(model, rows, kind, config, folder, follows_cosines=follows)
    measure = job.measure()
    device = torch.device(config.device)
    # Products of sparse vectors have no kernel in bfloat16 on a CPU.
    precision = "float32" if kind == "sparse" else config.precision
    autocast = Autocast(device, choose_precision(precision, device, 0))

    def measured(model: Any) -> dict[str, float]:
        with autocast():
            return measure(model)

    with StopRequest() as stop, meter("training", total) as bar:
        keep = partial(live.keep, start=folder / START, folder=folder)
        watcher = Watcher(folder, measured, keep, bar, stop, due)
        watcher.recall(steps_in(folder / EVALUATIONS))
        if saved is None:
            watcher.measured(model, 0, 0.0)
        trainer.add_callback(watcher)
        trainer.train(resume_from_checkpoint=str(saved) if saved else None)
        step = trainer.state.global_step
        if not step:
            raise too_alike(config.batch_size)
        if stop.is_made and step < total:
            say(f"go on with: modernbert train-retriever --resume {shlex.quote(str(folder))}")
            return None
        # Where texts come again very often, there are fewer batches than was counted on.
        if watcher.last_measured < step:
            watcher.measured(model, step, float(trainer.state.epoch or 0))
    return settle(job)
