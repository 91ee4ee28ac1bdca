"""What a run starts from in, its first weights and moments out: new, of a model, or of a run."""

import dataclasses
from pathlib import Path

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.data.corpus import Corpus
from modernbert.data.tokenizer import Tokenizer
from modernbert.model import folder as model_folder
from modernbert.model.config import MASKED_LM, EncoderConfig
from modernbert.model.init import build, with_head
from modernbert.model.model import Model
from modernbert.optim import muon
from modernbert.optim.groups import decay_groups, matrix_groups
from modernbert.optim.schedule import LengthWarmup, Schedule
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import checkpoint
from modernbert.train.config import Phase, RunConfig

_SHARE = 10
"""A branch of a run without a decay falls over a tenth of the phase that it leaves."""


def first_model(config: RunConfig) -> Model:
    """Return the model that a run begins with.

    Raises:
        CheckpointError: the folder to start from cannot be read.
    """
    model = build(config.model, config.seed)
    if source := config.branch or config.init_from:
        fill(model, _with_decoder(Path(source), config.seed), Path(source))
    return model


def first_optimizer(config: RunConfig, model: Model) -> StableAdamW:
    """Return the optimizer of a run, at the rate and decay of its first phase."""
    first = config.phases[0]
    grouped = matrix_groups if config.optimizer == "muon" else decay_groups
    return StableAdamW(
        grouped(model.named_parameters(), first.weight_decay),
        lr=first.peak_lr,
        betas=config.betas,
        eps=config.eps,
        clips_updates=config.optimizer != "adamw",
    )


def check_optimizer(config: RunConfig) -> None:
    """See that a branch goes on with what the other run's optimizer remembers.

    Raises:
        ConfigError: it remembers other things.
        CheckpointError: the checkpoint cannot be read.
    """
    found = checkpoint.remembers(Path(config.branch)) if config.branch else frozenset()
    if found and (muon.NAME in found) != (config.optimizer == "muon"):
        raise ConfigError(
            f"--optimizer {config.optimizer} cannot go on from {config.branch}, whose optimizer "
            "remembers other things: leave the option out, or take the weights alone by "
            f"`--init-from {config.branch}`"
        )


def fill(model: Model, found: Model, place: Path) -> None:
    """Give a model the weights that were found in a place.

    Raises:
        CheckpointError: they are of another shape.
    """
    if _shape(found.config) != _shape(model.config):
        raise CheckpointError(f"{place} holds a model of another shape than the run trains")
    model.load_state_dict(found.state_dict())


def shape_of(config: RunConfig, corpus: Corpus) -> EncoderConfig:
    """Return the shape to train: that of the folder to start from, else the configuration's own.

    What is no shape, such as dropout, is the configuration's in any case.

    Raises:
        CheckpointError: the folder cannot be read.
        ConfigError: the corpus was made with another tokenizer than the folder's.
    """
    source, own = Path(config.branch or config.init_from), config.model
    if not config.branch and not config.init_from:
        tokens = corpus.tokenizer
        return dataclasses.replace(
            own,
            vocab_size=corpus.vocab_size,
            pad_id=tokens.pad_id,
            cls_id=tokens.cls_id,
            sep_id=tokens.sep_id,
        )
    if Tokenizer.load(source).fingerprint != corpus.tokenizer.fingerprint:
        raise ConfigError(
            f"{source} has another tokenizer than {corpus.place}: prepare the text with "
            f"`--tokenizer {source}`, or give the model this one by `modernbert swap-vocabulary`"
        )
    return dataclasses.replace(
        model_folder.read(source).config,
        embedding_dropout=own.embedding_dropout,
        attention_out_dropout=own.attention_out_dropout,
        mlp_dropout=own.mlp_dropout,
    )


def checkpoint_of(place: Path) -> Path:
    """Return a checkpoint, or the newest of a run.

    Raises:
        CheckpointError: it is neither.
    """
    saved = checkpoint.found(place / "checkpoints")
    found = saved[-1] if saved else place
    checkpoint.read_state(found)
    return found


def branched(config: RunConfig, saved: Path) -> RunConfig:
    """Return a run that leaves another at a checkpoint and lets the rate fall.

    Its one phase is the other run's decay; where that has none, the phase it leaves, falling over a
    tenth of its tokens.
    """
    last = config.phases[-1]
    if not last.schedule.decay_tokens:
        at = min(checkpoint.read_state(saved).progress.phase, len(config.phases) - 1)
        last = _falling(config.phases[at])
    return dataclasses.replace(config, phases=(last,), branch=str(saved), init_from="")


def _falling(phase: Phase) -> Phase:
    tokens = max(1, phase.tokens // _SHARE)
    schedule = Schedule(decay_tokens=tokens, decay=phase.schedule.decay)
    return dataclasses.replace(
        phase,
        name=f"{phase.name}-decay",
        tokens=tokens,
        schedule=schedule,
        length_warmup=LengthWarmup(),
    )


def _with_decoder(source: Path, seed: int) -> Model:
    """Read a model; one whose head guesses no words gets such a head, which starts anew."""
    model = model_folder.read(source).float()
    if model.head_config is None or model.head_config.kind != "masked_lm":
        model = with_head(model, MASKED_LM, seed)
    return model


def _shape(config: EncoderConfig) -> tuple[object, ...]:
    sizes = (config.vocab_size, config.dim, config.mlp_dim, config.num_layers, config.num_heads)
    return *sizes, config.num_positions, config.options
