"""`modernbert pretrain`: a recipe with its numbers as options, or a run to repeat or go on with."""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say
from modernbert.cli.arguments import spelled_out, tokens_of, value_of
from modernbert.recipes import recipe_or_run
from modernbert.recipes.causal import begun_causally
from modernbert.train.config import RunConfig

if TYPE_CHECKING:
    from modernbert.train.run import Run

_EXAMPLES = """
Train an encoder on a prepared corpus, or go on with a run that stopped.

Examples:
  modernbert pretrain tiny --corpus corpus --out run
  modernbert pretrain tiny --corpus corpus --out run --total 200M --phases.0.peak-lr 1e-3
  modernbert pretrain --resume run
  modernbert pretrain run/run.json --out again      (repeats a run)
  modernbert pretrain --branch run/checkpoints/step-00000500 --out fallen --total 5M
  modernbert pretrain tiny --init-from model --corpus corpus --out adapted
  torchrun --nproc-per-node 8 -m modernbert pretrain modernbert-base --corpus corpus --out run

Stretches of tokens such as warm-up and decay scale with --total; those given as options stand.
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
    or_resume: bool = False
    """Go on with the run where --out holds it already: for schedulers that repeat a command."""
    total: str = ""
    """Tokens of all phases together, such as 50M, by which the recipe is scaled; empty keeps its
    own. Numbers given as options are not scaled."""
    causal_share: float = 0.0
    """Share of all tokens, such as 0.25, that the first phase begins by guessing next tokens from
    those before them (arXiv 2507.00994); 0 for none."""
    config: Annotated[RunConfig, tyro.conf.arg(name="")]


def pretrain(given: Sequence[str]) -> int:
    """Run the command."""
    named = given[0] if given and not given[0].startswith("-") else ""
    left = "" if named else value_of("--branch", given)
    default = _branch(Path(left)) if left else recipe_or_run(named or "tiny")
    if total := value_of("--total", given):
        # Before other options are read: what is given beside it stands as it is.
        default = default.scaled_to(tokens_of(total))
    named = named or "tiny"
    parsed = tyro.cli(
        Pretrain,
        prog="modernbert pretrain",
        description=_EXAMPLES,
        args=spelled_out(given),
        default=Pretrain(start=named, config=default),
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
    config = parsed.config
    if left:
        config = dataclasses.replace(config, branch=default.branch)
    if config.branch or config.init_from:
        _refuse_shape(given)
    if not parsed.out or not parsed.config.corpus:
        raise ConfigError(
            "a new run needs --corpus (made by `modernbert prepare`) and --out; "
            "to go on with one, give --resume RUN"
        )
    return _finished(parsed.out, dataclasses.replace(parsed, config=config), is_new=True)


def _refuse_decided(given: Sequence[str]) -> None:
    for word in given:
        option = word.split("=")[0].replace("_", "-")
        if option in _DECIDED:
            raise ConfigError(f"{option} follows from {_DECIDED[option]}")


def _refuse_shape(given: Sequence[str]) -> None:
    for word in given:
        if word.startswith("--model.") and "dropout" not in word:
            raise ConfigError(
                f"{word.split('=')[0]} follows from the model that the run starts from: leave it "
                "out, or change the model first by `modernbert grow`"
            )


def _branch(place: Path) -> RunConfig:
    from modernbert.train.beginning import branched, checkpoint_of
    from modernbert.train.description import config_of

    saved = checkpoint_of(place)
    return branched(config_of(saved.parents[1]), saved)


def _opened(folder: Path, parsed: Pretrain, *, is_new: bool) -> "Run":
    from modernbert.base import dist
    from modernbert.train import run as runs

    if not is_new:
        return runs.resume(folder, parsed.config.corpus)
    config = parsed.config
    if parsed.causal_share:
        config = begun_causally(config, parsed.causal_share)
    if not parsed.or_resume and not dist.is_restarted():
        return runs.create(config, folder)
    return runs.create_or_resume(config, folder)


def _finished(folder: Path, parsed: Pretrain, *, is_new: bool) -> int:
    from modernbert.base import dist
    from modernbert.train.loop import train

    with dist.joined():
        run = _opened(folder, parsed, is_new=is_new)
        with closing(run):
            if not train(run):
                return 130
            say(f"the model is in {run.finish()}")
    return 0
