"""A run folder: made from a configuration, or opened again exactly where it stopped.

RUN/run.json           configuration, versions, machine, command, commit
RUN/metrics.jsonl      a row a step
RUN/evaluations.jsonl  a row a source and evaluation
RUN/events.jsonl       a row a start, resume, checkpoint and end
RUN/checkpoints/       step-00000120/ and so on, each a model folder with a trainer's state
RUN/model/             the finished model, with a card
"""

import dataclasses
import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch

from modernbert.base import files, machine
from modernbert.base.device import Autocast, choose_device
from modernbert.base.errors import CheckpointError, ConfigError, DataError, MachineError
from modernbert.base.lock import held
from modernbert.base.log import count, say
from modernbert.data.corpus import Corpus
from modernbert.kernels.attention import backend_for
from modernbert.kernels.precision import choose_precision
from modernbert.model import card, sentence_writer
from modernbert.model import folder as model_folder
from modernbert.model.config import EncoderConfig
from modernbert.model.count import parameters
from modernbert.model.init import build
from modernbert.model.model import Model
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import checkpoint
from modernbert.train.card import training_facts
from modernbert.train.checkpoint import TrainerState
from modernbert.train.config import Phase, RunConfig
from modernbert.train.description import config_of, describe, read_description
from modernbert.train.events import record
from modernbert.train.feed import Progress, stream_of
from modernbert.train.rows import METRICS, steps_in, truncate
from modernbert.train.trackers import need

_BYTES_A_WEIGHT = 16
"""A float32 weight, its gradient and two moments."""


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
    lock: TextIO

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

    def save(self, *, ends_phase: bool) -> Path:
        """Write a checkpoint of this moment and retire old ones."""
        state = TrainerState(
            progress=self.progress,
            optimizer_steps=self.progress.step,
            ends_phase=ends_phase,
        )
        saved = checkpoint.save(
            self.folder / "checkpoints", self.model, self.optimizer, state, self.corpus.tokenizer
        )
        record(self.folder, "checkpoint", self.progress)
        checkpoint.retire(self.folder / "checkpoints", self.config.keep_checkpoints)
        return saved

    def is_saved(self) -> bool:
        """Return whether the newest checkpoint is of this moment."""
        newest = checkpoint.found(self.folder / "checkpoints")[-1:]
        return newest == [checkpoint.place(self.folder / "checkpoints", self.progress.step)]

    def finish(self) -> Path:
        """Write the finished model and its card, without the trainer's state; return its folder."""
        with files.whole_folder(self.folder / "model") as aside:
            sentence_writer.write(self.model, aside)
            self.corpus.tokenizer.save(aside, max_length=self.model.config.max_length)
            told = training_facts(self.folder, self.config, self.corpus)
            mask = self.corpus.tokenizer.mask_token
            card.write(card.facts_of(self.model, mask, training=told), aside)
        record(self.folder, "finish", self.progress)
        return self.folder / "model"

    def close(self) -> None:
        """Let another process train the folder."""
        self.lock.close()


def create(config: RunConfig, folder: Path) -> Run:
    """Start a run: decide what was left open, write it down, draw the first weights.

    Raises:
        ConfigError: the folder already holds something, or a phase does not fit the corpus.
        MachineError: the folder cannot be written, or the model does not fit into memory.
    """
    if folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir()):
        quoted = shlex.quote(str(folder))
        raise ConfigError(
            f"{folder} is not empty: continue it with `modernbert pretrain --resume {quoted}`, "
            "or give another folder"
        )
    corpus = Corpus.open(Path(config.corpus))
    config = decided(config, corpus)
    need(config.track)
    for phase in config.phases:
        stream_of(config, corpus, phase)
    if config.evaluate_tokens:
        _check_heldout(corpus)
    if choose_device(config.device).type == "cpu":
        _check_memory(config.model)
    files.make_folder(folder)
    with ExitStack() as undo:
        lock = undo.enter_context(held(folder, "trained"))
        files.sweep(folder)
        run = _assembled(config, corpus, folder, lock)
        files.write_json(folder / "run.json", describe(config, corpus, folder))
        run.enter(config.phases[0])
        record(folder, "start", run.progress)
        run.save(ends_phase=False)
        undo.pop_all()
    return run


def resume(folder: Path, corpus: str = "") -> Run:
    """Open a run at its newest whole checkpoint; nothing is replayed.

    `corpus` says where its corpus lies now, if that was moved.

    Raises:
        CheckpointError: the folder holds no run.
        DataError: the corpus is not the one the run began with.
    """
    began_with = read_description(folder).get("corpus_fingerprint")
    config = config_of(folder / "run.json")
    config = dataclasses.replace(config, corpus=corpus or config.corpus)
    with ExitStack() as undo:
        run = _reopened(folder, config, began_with, undo.enter_context(held(folder, "trained")))
        undo.pop_all()
    return run


def _reopened(folder: Path, config: RunConfig, began_with: object, lock: TextIO) -> Run:
    files.sweep(folder)
    files.sweep(folder / "checkpoints")
    corpus = Corpus.open(Path(config.corpus))
    if corpus.fingerprint != began_with:
        raise DataError(
            f"{config.corpus} is not the corpus that {folder} began with: "
            "prepare it again from the same text and tokenizer, or start a new run"
        )
    run = _assembled(config, corpus, folder, lock)
    saved = checkpoint.found(folder / "checkpoints")
    if saved:
        _restore(run, saved[-1])
    elif steps_in(folder / METRICS):
        raise CheckpointError(
            f"{folder} has taken steps but has no checkpoint left to go on from: "
            f"put one back, or repeat the run with `modernbert pretrain {folder / 'run.json'} "
            "--out ANOTHER`"
        )
    record(folder, "resume", run.progress)
    truncate(folder, run.progress.step)
    # A finished run stands after its last phase: its model is still that phase's.
    run.enter(config.phases[min(run.progress.phase, len(config.phases) - 1)])
    if not saved:
        # Killed before its first checkpoint was whole: a second kill must find one.
        run.save(ends_phase=False)
    return run


def decided(config: RunConfig, corpus: Corpus) -> RunConfig:
    """Fill in what depends on the corpus and on the machine, once: resume must not decide anew."""
    device = choose_device(config.device)
    tokens = corpus.tokenizer
    first = config.phases[0]
    model = dataclasses.replace(
        config.model,
        global_rope_theta=first.global_rope_theta,
        local_rope_theta=first.local_rope_theta,
        max_length=first.context_length,
        vocab_size=corpus.vocab_size,
        pad_id=tokens.pad_id,
        cls_id=tokens.cls_id,
        sep_id=tokens.sep_id,
    )
    return dataclasses.replace(
        config,
        model=model,
        precision=choose_precision(config.precision, device, model.dim),
        threads=config.threads or torch.get_num_threads(),
    )


def _check_memory(config: EncoderConfig) -> None:
    needed, there = parameters(config) * _BYTES_A_WEIGHT, machine.memory_bytes()
    if needed > there:
        raise MachineError(
            f"the model has {count(parameters(config))} weights and needs {needed / 1e9:.0f} GB "
            f"for them, gradients and moments; this machine has {there / 1e9:.0f} GB: take a "
            "smaller shape"
        )


def _check_heldout(corpus: Corpus) -> None:
    """Find out before hours of training whether held-out loss can be measured."""
    corpus.unigram_counts()
    if not corpus.sources("heldout"):
        say(
            "the corpus holds out no document, so no held-out loss will be measured: prepare it "
            "with a larger --heldout-fraction to have one"
        )


def _assembled(config: RunConfig, corpus: Corpus, folder: Path, lock: TextIO) -> Run:
    device = choose_device(config.device)
    torch.set_num_threads(config.threads)
    model = build(config.model, config.seed)
    model.encoder.backend = None if config.backend == "auto" else config.backend
    model.to(device)
    first = config.phases[0]
    groups = decay_groups(model.named_parameters(), first.weight_decay)
    optimizer = StableAdamW(groups, lr=first.peak_lr, betas=config.betas, eps=config.eps)
    precision = choose_precision(config.precision, device, config.model.dim)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    say(
        f"{device.type} with {config.threads} threads, {precision}, attention "
        f"{model.encoder.backend or backend_for(device, dtype)}"
    )
    return Run(
        folder=folder,
        config=config,
        corpus=corpus,
        model=model,
        optimizer=optimizer,
        autocast=Autocast(device, precision),
        progress=Progress(),
        lock=lock,
    )


def _restore(run: Run, saved: Path) -> None:
    state = checkpoint.read_state(saved)
    checkpoint.check(saved, state)
    weights = model_folder.read(saved)
    if _shape(weights.config) != _shape(run.model.config):
        raise CheckpointError(f"{saved} holds a model of another shape than {run.folder} trains")
    run.model.load_state_dict(weights.state_dict())
    checkpoint.restore_moments(saved, run.model, run.optimizer)
    run.progress = state.progress
    say(f"resuming {run.folder} after step {state.progress.step}")


def _shape(config: EncoderConfig) -> tuple[int, ...]:
    return (config.vocab_size, config.dim, config.mlp_dim, config.num_layers, config.num_heads)
