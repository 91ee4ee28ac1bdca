"""A configuration and a corpus in, the run that can begin with them out; nothing is written."""

import dataclasses
import shlex
from pathlib import Path

from modernbert.base import dist, machine
from modernbert.base.device import choose_device
from modernbert.base.errors import ConfigError, MachineError
from modernbert.base.log import count, say
from modernbert.base.records import to_plain
from modernbert.data.corpus import Corpus
from modernbert.kernels.precision import choose_precision
from modernbert.model.config import EncoderConfig
from modernbert.model.count import parameters
from modernbert.train.beginning import check_optimizer, shape_of
from modernbert.train.config import RunConfig
from modernbert.train.description import NAME, config_of
from modernbert.train.feed import check_deal, stream_of
from modernbert.train.probing import read_probes
from modernbert.train.trackers import need

_BYTES_A_WEIGHT = 16
"""A float32 weight, its gradient and two moments."""


def fit(config: RunConfig, corpus: Corpus, folder: Path) -> RunConfig:
    """Return the configuration with all decided that it leaves open.

    Raises:
        ConfigError: the folder already holds something, or a phase does not fit the corpus or the
            number of ranks.
        MachineError: the model does not fit into memory.
    """
    if folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir()):
        quoted = shlex.quote(str(folder))
        raise ConfigError(
            f"{folder} is not empty: continue it with `modernbert pretrain --resume {quoted}`, "
            "or give another folder"
        )
    check_optimizer(config)
    config = decided(config, corpus)
    need(config.track)
    read_probes(config.probes, corpus)
    for phase in config.phases:
        stream_of(config, corpus, phase)
    check_deal(config.phases, dist.world_size())
    _warn_of_batches(config)
    if config.evaluate_tokens:
        _check_heldout(corpus)
    if choose_device(config.device).type == "cpu":
        _check_memory(config.model)
    return config


def _warn_of_batches(config: RunConfig) -> None:
    for number, phase in enumerate(config.phases):
        if phase.batch_tokens > phase.tokens:
            say(
                f"phase {phase.name} is to have {count(phase.tokens)} tokens, and one step takes "
                f"{count(phase.batch_tokens)}: lower --phases.{number}.batch-tokens (and "
                "row-tokens, context-length), or train for longer"
            )


def check_same(config: RunConfig, folder: Path) -> None:
    """See that a folder's run is the one that is asked for.

    Raises:
        ConfigError: it began with other settings.
        CheckpointError: its description is broken.
    """
    corpus = Corpus.at(config.corpus, config.cache_bytes)
    asked, begun = decided(config, corpus), config_of(folder / NAME)
    # What a machine decides may be decided otherwise by another.
    asked = dataclasses.replace(
        asked,
        corpus=begun.corpus,
        cache_gb=begun.cache_gb,
        init_from=begun.init_from,
        branch=begun.branch,
        probes=begun.probes,
        threads=config.threads or begun.threads,
        precision=begun.precision if config.precision == "auto" else config.precision,
    )
    differing = [
        field.name
        for field in dataclasses.fields(RunConfig)
        if to_plain(asked)[field.name] != to_plain(begun)[field.name]
    ]
    if differing:
        raise ConfigError(
            f"{folder} holds a run that began with other values of {' and '.join(differing)}: "
            "give the options that it began with, or another folder"
        )


def decided(config: RunConfig, corpus: Corpus) -> RunConfig:
    """Fill in what depends on the corpus and on the machine, once: resume must not decide anew."""
    device = choose_device(config.device)
    shape = shape_of(config, corpus)
    for phase in config.phases:
        is_kept = not phase.global_rope_theta or not phase.local_rope_theta
        if is_kept and not config.init_from and not config.branch:
            raise ConfigError(
                f"phase {phase.name} keeps the thetas of the model that the run starts from, and "
                "there is none: give --init-from MODEL or --branch CHECKPOINT"
            )
    phases = tuple(
        dataclasses.replace(
            phase,
            global_rope_theta=phase.global_rope_theta or shape.global_rope_theta,
            local_rope_theta=phase.local_rope_theta or shape.local_rope_theta,
        )
        for phase in config.phases
    )
    first = phases[0]
    model = dataclasses.replace(
        dataclasses.replace(config, model=shape).shape,
        global_rope_theta=first.global_rope_theta,
        local_rope_theta=first.local_rope_theta,
    )
    if shape.position == "rotary":
        model = dataclasses.replace(model, max_length=first.context_length)
    _check_positions(config, model)
    return dataclasses.replace(
        config,
        model=model,
        phases=phases,
        precision=choose_precision(config.precision, device, model.dim),
        threads=config.threads or dist.threads_of_each(),
    )


def _check_positions(config: RunConfig, model: EncoderConfig) -> None:
    for phase in config.phases:
        if phase.context_length > model.num_positions > 0:
            raise ConfigError(
                f"phase {phase.name}: context_length {phase.context_length} is more than the "
                f"{model.num_positions} positions that {config.branch or config.init_from} has "
                "learned: lower it, or start from new weights"
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
