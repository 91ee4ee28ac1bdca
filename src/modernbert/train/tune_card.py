"""A finished fine-tuning in, the card of its best model out: examples, settings, scores."""

from pathlib import Path

from modernbert.base.records import from_plain
from modernbert.model import card
from modernbert.model.card_facts import Origin, PartRow, TuningFacts
from modernbert.train.description import read_description
from modernbert.train.summary import Summary
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, Tuning

_SETTINGS = ("epochs", "batch_size", "peak_lr", "weight_decay", "warmup", "max_length", "seed")
_COMMANDS = {"vectors": "distill"}
"""What is not learned by `finetune TASK`."""
_UNUSUAL = (
    *("layer_decay", "frozen_layers", "lora_rank", "lora_alpha", "class_weights", "dropout"),
    *("pooling", "calibrate"),
)


def write(tuning: Tuning, summary: Summary) -> None:
    """Tell in the best model's card what it learned from, and how well.

    Raises:
        CheckpointError: the run or its model cannot be read.
        MachineError: the card cannot be written.
    """
    told = read_description(tuning.folder)
    start = from_plain(Start, told["start"], "start")
    host = told["machine"]
    facts = TuningFacts(
        command=_COMMANDS.get(start.task, f"finetune {start.task}"),
        start=short(start.model),
        parts=_parts(tuning, summary),
        amount=f"{summary.tokens:,} tokens",
        epoch=summary.epoch,
        decisive=summary.decisive,
        settings={**_settings(tuning.config), **tuning.data.told},
        dev=summary.dev,
        test=summary.test,
        seconds=summary.seconds,
        hardware=f"{host['processor']}, {host['cores']} cores",
        precision=tuning.config.precision,
        versions=told["versions"],
        commit=told["commit"],
    )
    page = card.facts_of(
        tuning.best_model(),
        tuning.tokenizer.mask_token,
        tuning=facts,
        origin=Origin(training=card.training_in(Path(start.model))),
    )
    card.write(page, tuning.folder / "model")


def _parts(tuning: Tuning, summary: Summary) -> tuple[PartRow, ...]:
    config = tuning.config
    parts = [
        PartRow("train", short(config.train), len(tuning.data.train.examples)),
        PartRow("dev", short(config.dev or config.train), summary.dev_examples),
    ]
    if config.test:
        parts.append(PartRow("test", short(config.test), summary.test_examples))
    return tuple(parts)


def _settings(config: TuneConfig) -> dict[str, str]:
    usual = TuneConfig()
    changed = [name for name in _UNUSUAL if getattr(config, name) != getattr(usual, name)]
    values = {name: getattr(config, name) for name in (*_SETTINGS, *changed)}
    return {
        name.replace("_", " "): f"{value:g}" if isinstance(value, float) else f"{value}"
        for name, value in values.items()
    }


def short(path: str) -> str:
    """Return the name of a file and of its folder, which says which of all train.tsv it is."""
    return "/".join(Path(path).resolve().parts[-2:])
