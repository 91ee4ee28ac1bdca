"""A run folder: made from a configuration, or opened again exactly where it stopped.

RUN/run.json           configuration, versions, machine, command, commit
RUN/metrics.jsonl      a row a step
RUN/evaluations.jsonl  a row a source and evaluation
RUN/events.jsonl       a row a start, resume, checkpoint and end
RUN/checkpoints/       step-00000120/ and so on, each a model folder with a trainer's state
RUN/model/             the finished model, with a card
"""

import dataclasses
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch

from modernbert.base import dist, files
from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import CheckpointError, DataError
from modernbert.base.lock import held
from modernbert.base.log import say
from modernbert.data.corpus import Corpus
from modernbert.kernels.attention import backend_for
from modernbert.kernels.precision import choose_precision
from modernbert.model import card, sentence_writer
from modernbert.model import folder as model_folder
from modernbert.model.init import build
from modernbert.model.model import Model
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import checkpoint, parallel
from modernbert.train.beginning import fill, first_model, first_optimizer
from modernbert.train.card import training_facts
from modernbert.train.checkpoint import Keep, TrainerState
from modernbert.train.config import Phase, RunConfig
from modernbert.train.description import NAME, config_of, describe, read_description
from modernbert.train.events import record
from modernbert.train.feed import Progress, check_deal
from modernbert.train.fit import check_same, fit
from modernbert.train.parallel import Ranks
from modernbert.train.rows import METRICS, steps_in, truncate
from modernbert.train.saving import SharedSaving
from modernbert.train.step import is_sharded


def keep_of(config: RunConfig) -> Keep:
    """Return which checkpoints of a run stay."""
    return Keep(config.keep_checkpoints, config.keep_every_tokens)


@dataclass(slots=True)
class Run:
    """Everything that moves while training: the weights, the moments, the place."""

    folder: Path
    config: RunConfig
    corpus: Corpus
    model: Model
    optimizer: StableAdamW
    autocast: Autocast
    progress: Progress
    ranks: Ranks
    lock: TextIO | None
    """Held by the first rank alone."""
    saving: SharedSaving | None
    """How several ranks save; None when alone."""
    saved_step: int | None = None

    def enter(self, phase: Phase) -> None:
        """Give model and optimizer the settings of a phase."""
        self.model.set_rope(
            global_theta=phase.global_rope_theta,
            local_theta=phase.local_rope_theta,
            max_length=phase.context_length,
        )
        for group in self.optimizer.param_groups:
            group["peak_lr"] = phase.peak_lr * group["lr_scale"]
            group["weight_decay"] = phase.weight_decay if group["decays"] else 0.0

    def save(self, *, ends_phase: bool) -> None:
        """Write a checkpoint of this moment and retire old ones; with others, go on meanwhile."""
        state = TrainerState(
            progress=self.progress,
            optimizer_steps=self.optimizer.param_groups[0]["step"],
            ends_phase=ends_phase,
        )
        if self.saving is not None:
            self.saving.begin(self.model, self.optimizer, state)
        else:
            checkpoints, tokens = self.folder / "checkpoints", self.corpus.tokenizer
            checkpoint.save(checkpoints, self.model, self.optimizer, state, tokens)
            record(self.folder, "checkpoint", self.progress)
            checkpoint.retire(checkpoints, keep_of(self.config))
        self.saved_step = self.progress.step

    def is_saved(self) -> bool:
        """Return whether the newest checkpoint is of this moment."""
        return self.saved_step == self.progress.step

    def settle(self) -> None:
        """Wait until what was saved is on disk.

        Raises:
            MachineError: it could not be written.
        """
        if self.saving is not None:
            self.saving.finish()

    def finish(self) -> Path:
        """Write the finished model and its card, without the trainer's state; return its folder."""
        self.settle()
        dist.by_first(self._write_model)
        return self.folder / "model"

    def _write_model(self) -> None:
        model = self.model
        if is_sharded(model):
            model = model_folder.read(checkpoint.found(self.folder / "checkpoints")[-1])
        with files.whole_folder(self.folder / "model") as aside:
            sentence_writer.write(model, aside)
            self.corpus.tokenizer.save(aside, max_length=model.config.max_length)
            told = training_facts(self.folder, self.config, self.corpus)
            mask = self.corpus.tokenizer.mask_token
            card.write(card.facts_of(model, mask, training=told), aside)
        record(self.folder, "finish", self.progress)

    def close(self) -> None:
        """Let another process train the folder."""
        if self.lock is not None:
            self.lock.close()


def create(config: RunConfig, folder: Path) -> Run:
    """Start a run: decide what was left open, write it down, draw the first weights.

    Raises:
        ConfigError: the folder already holds something, or a phase does not fit the corpus.
        MachineError: the folder cannot be written, or the model does not fit into memory.
    """
    corpus = Corpus.at(config.corpus, config.cache_bytes)
    config = dist.agreed(lambda: fit(config, corpus, folder))
    with ExitStack() as undo:
        lock = dist.by_first(lambda: undo.enter_context(_begun(config, corpus, folder)))
        run = _assembled(config, corpus, folder, lock)
        run.enter(config.phases[0])
        record(folder, "start", run.progress)
        run.save(ends_phase=False)
        undo.pop_all()
    return run


def _begun(config: RunConfig, corpus: Corpus, folder: Path) -> TextIO:
    files.make_folder(folder)
    lock = held(folder, "trained")
    try:
        files.sweep(folder)
        files.write_json(folder / NAME, describe(config, corpus, folder))
    except BaseException:
        lock.close()
        raise
    return lock


def create_or_resume(config: RunConfig, folder: Path) -> Run:
    """Start a run, or go on with it where the folder holds this very run.

    Raises:
        ConfigError: the folder holds a run with other settings, or something else.
        MachineError: the folder cannot be written, or the model does not fit into memory.
    """
    if not dist.agreed(lambda: (folder / NAME).exists()):
        return create(config, folder)
    dist.by_first(lambda: check_same(config, folder))
    return resume(folder, config.corpus)


def resume(folder: Path, corpus: str = "") -> Run:
    """Open a run at its newest whole checkpoint; nothing is replayed.

    `corpus` says where its corpus lies now, if that was moved. The number of ranks may be another
    than before.

    Raises:
        CheckpointError: the folder holds no run.
        ConfigError: so many ranks cannot share its batches.
        DataError: the corpus is not the one the run began with.
    """
    began_with, config = dist.agreed(
        lambda: (read_description(folder).get("corpus_fingerprint"), config_of(folder / NAME))
    )
    config = dataclasses.replace(config, corpus=corpus or config.corpus)
    with ExitStack() as undo:
        lock = dist.by_first(lambda: undo.enter_context(held(folder, "trained")))
        run = _reopened(folder, config, began_with, lock)
        undo.pop_all()
    return run


def _reopened(folder: Path, config: RunConfig, began_with: object, lock: TextIO | None) -> Run:
    corpus = Corpus.at(config.corpus, config.cache_bytes)
    if corpus.fingerprint != began_with:
        raise DataError(
            f"{config.corpus} is not the corpus that {folder} began with: "
            "prepare it again from the same text and tokenizer, or start a new run"
        )
    check_deal(config.phases, dist.world_size())
    saved = dist.agreed(lambda: _newest(folder))
    run = _assembled(config, corpus, folder, lock, saved)
    record(folder, "resume", run.progress)
    dist.by_first(lambda: truncate(folder, run.progress.step))
    # A finished run stands after its last phase: its model is still that phase's.
    run.enter(config.phases[min(run.progress.phase, len(config.phases) - 1)])
    if not saved:
        # Killed before its first checkpoint was whole: a second kill must find one.
        run.save(ends_phase=False)
    return run


def _newest(folder: Path) -> Path | None:
    """Return the newest whole checkpoint; None where no step was taken either."""
    files.sweep(folder)
    files.sweep(folder / "checkpoints")
    saved = checkpoint.found(folder / "checkpoints")
    if saved:
        checkpoint.check(saved[-1], checkpoint.read_state(saved[-1]))
        return saved[-1]
    if steps_in(folder / METRICS):
        raise CheckpointError(
            f"{folder} has taken steps but has no checkpoint left to go on from: "
            f"put one back, or repeat the run with `modernbert pretrain {folder / 'run.json'} "
            "--out ANOTHER`"
        )
    return None


def _assembled(
    config: RunConfig,
    corpus: Corpus,
    folder: Path,
    lock: TextIO | None,
    saved: Path | None = None,
) -> Run:
    device = choose_device(config.device)
    torch.set_num_threads(config.threads)
    if saved:
        model = build(config.model, config.seed)
        fill(model, model_folder.read(saved), saved)
    else:
        model = first_model(config)
    model.encoder.backend = None if config.backend == "auto" else config.backend
    model.to(device)
    parallel.prepare(
        model,
        checkpoint_activations=config.checkpoint_activations,
        compile_layers=config.compile,
    )
    ranks = parallel.spread(model, config.parallel, device)
    optimizer = first_optimizer(config, model)
    together = dist.world_size() > 1
    precision = choose_precision(config.precision, device, config.model.dim)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    say(
        (f"{dist.world_size()} processes ({config.parallel}), each " if together else "")
        + f"{device.type} with {config.threads} threads, {precision}, attention "
        f"{model.encoder.backend or backend_for(device, dtype)}"
    )
    checkpoints = folder / "checkpoints"
    run = Run(
        folder=folder,
        config=config,
        corpus=corpus,
        model=model,
        optimizer=optimizer,
        autocast=Autocast(device, precision),
        progress=Progress(),
        ranks=ranks,
        lock=lock,
        saving=(SharedSaving(checkpoints, keep_of(config), corpus.tokenizer) if together else None),
    )
    if moments := saved or (config.branch and Path(config.branch)):
        checkpoint.restore_moments(moments, model, optimizer)
    if saved:
        run.progress = checkpoint.read_state(saved).progress
        run.saved_step = run.progress.step
        say(f"resuming {folder} after step {run.progress.step}")
    return run
