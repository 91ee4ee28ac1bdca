"""`modernbert pretrain`: a recipe with its numbers as options, or a run to repeat or go on with."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.recipes import RECIPES, recipe
from modernbert.train.config import RunConfig

_EXAMPLES = """
Train an encoder on a prepared corpus, or go on with a run that stopped.

Examples:
  modernbert pretrain tiny --corpus corpus --out run
  modernbert pretrain tiny --corpus corpus --out run --total 200M --phases.0.peak-lr 1e-3
  modernbert pretrain --resume run
  modernbert pretrain run/run.json --out again      (repeats a run)

Stretches of tokens such as warm-up and decay scale with --total.
"""

_DECIDED = {
    "--model.vocab-size": "the corpus' tokenizer: leave it out",
    "--model.pad-id": "the corpus' tokenizer: leave it out",
    "--model.cls-id": "the corpus' tokenizer: leave it out",
    "--model.sep-id": "the corpus' tokenizer: leave it out",
    "--model.global-rope-theta": "the phases: set --phases.0.global-rope-theta",
    "--model.local-rope-theta": "the phases: set --phases.0.local-rope-theta",
    "--model.max-length": "the phases: set --phases.0.context-length",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrain:
    """What the command takes."""

    start: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")] = "tiny"
    """Name of a recipe, or the run.json of a run to repeat."""
    out: Path | None = None
    """Folder of the new run."""
    resume: Path | None = None
    """Folder of a run to continue; takes no other option than --corpus, for one that moved."""
    total: str = ""
    """Tokens of all phases together, such as 50M; empty keeps the recipe's."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")]


def pretrain(given: Sequence[str]) -> int:
    """Run the command."""
    named = given[0] if given and not given[0].startswith("-") else "tiny"
    parsed = tyro.cli(
        Pretrain,
        prog="modernbert pretrain",
        description=_EXAMPLES,
        args=given,
        default=Pretrain(start=named, config=_start(named)),
    )
    if parsed.resume:
        expected = 2 * (1 + bool(parsed.config.corpus))
        if sum(1 + (word.startswith("--") and "=" in word) for word in given) != expected:
            raise ConfigError(
                "--resume takes no other option than --corpus: a run goes on as it began"
            )
        return _finished(parsed.resume, parsed, is_new=False)
    if parsed.start != named:
        raise ConfigError(
            f"what to start from comes first: write `modernbert pretrain {parsed.start} ...`"
        )
    _refuse_decided(given)
    if not parsed.out or not parsed.config.corpus:
        raise ConfigError(
            "a new run needs --corpus (made by `modernbert prepare`) and --out; "
            "to go on with one, give --resume RUN"
        )
    return _finished(parsed.out, parsed, is_new=True)


def _refuse_decided(given: Sequence[str]) -> None:
    for word in given:
        option = word.split("=")[0].replace("_", "-")
        if option in _DECIDED:
            raise ConfigError(f"{option} follows from {_DECIDED[option]}")


def tokens_of(text: str) -> int:
    """Read a number of tokens such as 500000, 50M or 1.5B.

    Raises:
        ConfigError: it is not one.
    """
    units = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    digits, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        tokens = int(float(digits) * unit)
    except (ValueError, OverflowError):
        tokens = 0
    if tokens < 1:
        raise ConfigError(f"{text!r} is not a number of tokens: write it like 500000, 50M or 1.5B")
    return tokens


def _start(named: str) -> RunConfig:
    if named in RECIPES or not named.endswith(".json"):
        return recipe(named)
    from modernbert.train.description import config_of

    return config_of(Path(named))


def _finished(folder: Path, parsed: Pretrain, *, is_new: bool) -> int:
    from modernbert.train import run as runs
    from modernbert.train.loop import train

    if is_new:
        config = parsed.config
        if parsed.total:
            config = config.scaled_to(tokens_of(parsed.total))
        run = runs.create(config, folder)
    else:
        run = runs.resume(folder, parsed.config.corpus)
    with closing(run):
        if not train(run):
            return 130
        say(f"the model is in {run.finish()}")
    return 0
