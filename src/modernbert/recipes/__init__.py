"""Named runs: functions that return a configuration, every number spelled out."""

from collections.abc import Callable
from pathlib import Path

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest
from modernbert.recipes.continued import continued
from modernbert.recipes.ettin import (
    ettin_1b,
    ettin_17m,
    ettin_32m,
    ettin_68m,
    ettin_150m,
    ettin_400m,
)
from modernbert.recipes.modernbert import modernbert_base, modernbert_large
from modernbert.recipes.tiny import tiny
from modernbert.train.config import RunConfig

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "tiny": tiny,
    "modernbert-base": modernbert_base,
    "modernbert-large": modernbert_large,
    "ettin-17m": ettin_17m,
    "ettin-32m": ettin_32m,
    "ettin-68m": ettin_68m,
    "ettin-150m": ettin_150m,
    "ettin-400m": ettin_400m,
    "ettin-1b": ettin_1b,
    "continued": continued,
}


def recipe(name: str) -> RunConfig:
    """Return a recipe by its name.

    Raises:
        ConfigError: nobody knows the name.
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe {name!r}: {nearest(name, RECIPES)}")
    return RECIPES[name]()


def recipe_or_run(named: str) -> RunConfig:
    """Return a recipe by its name, or the configuration that a run.json holds.

    Raises:
        ConfigError: nobody knows the name, or the file does not say what a run needs.
        CheckpointError: there is no such file, or it is broken.
    """
    if (Path(named) / "run.json").is_file():
        raise ConfigError(f"{named} is a run's folder: give {Path(named) / 'run.json'}")
    if named in RECIPES or not named.endswith(".json"):
        return recipe(named)
    from modernbert.train.description import config_of

    return config_of(Path(named))
