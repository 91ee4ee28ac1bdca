"""`modernbert average`: checkpoints of a run, or any model folders, in, their mean out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernbert.base.errors import ConfigError
from modernbert.base.log import say

if TYPE_CHECKING:
    from modernbert.train.average import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageOptions:
    """Which checkpoints, and what each weighs."""

    last: int = 0
    """Take so many of the run's newest checkpoints."""
    best: int = 0
    """Take so many of the run's checkpoints that read held-out text best; --last adds to them."""
    by: Literal["loss", "masked_accuracy"] = "loss"
    """What makes a checkpoint the best."""
    weights: tuple[float, ...] = ()
    """What each weighs, in the order in which they are printed; by default all the same."""


def average(
    models: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: Path,
    options: Annotated[AverageOptions, tyro.conf.arg(name="")] = AverageOptions(),
) -> None:
    """Average the weights of checkpoints: of one RUN by --last or --best, or of the folders given.

    ModernBERT-base is the mean of its three best checkpoints of the decay and its last:
    `modernbert average run --best 3 --last 1 --out model`. Where the run's corpus is at hand, each
    part and the mean are measured on its held-out text.

    Args:
        models: a run, or two and more model folders.
        out: folder of the new model.
        options: see their help.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty: give another folder for the model")
    from modernbert.data.tokenizer import Tokenizer
    from modernbert.evals.averaging import measured
    from modernbert.model import sentence_writer
    from modernbert.train.average import averaged

    parts = _parts(models, options)
    mean = averaged(parts)
    for part in parts:
        say(f"{part.folder} weighs {part.weight:g}")
    tokenizer = Tokenizer.load(parts[0].folder)
    sentence_writer.write(mean, out)
    tokenizer.save(out, max_length=mean.config.max_length)
    for line in measured(mean, parts, Path(models[0])):
        say(line)
    say(f"the mean of {len(parts)} models is in {out}")


def _parts(models: Sequence[str], options: AverageOptions) -> "list[Part]":
    from modernbert.train.average import Part, best, newest

    if options.last < 0 or options.best < 0:
        raise ConfigError("--last and --best count checkpoints: give 1 or more")
    folders = [Path(each) for each in models]
    if options.last or options.best:
        if len(folders) != 1:
            raise ConfigError(
                f"--last and --best choose among the checkpoints of one run, and {len(folders)} "
                "folders are given: give the run alone"
            )
        chosen = best(folders[0], options.best, options.by) if options.best else []
        more = newest(folders[0], options.last) if options.last else []
        folders = list(dict.fromkeys([*chosen, *more]))
    if len(folders) < 2:
        raise ConfigError(
            "a mean is of two models at least: give a run and --last 3, or several folders"
        )
    weights = options.weights or (1.0,) * len(folders)
    if len(weights) != len(folders):
        raise ConfigError(
            f"--weights gives {len(weights)} numbers for {len(folders)} models: give one for each"
        )
    return [Part(folder, weight) for folder, weight in zip(folders, weights, strict=True)]
