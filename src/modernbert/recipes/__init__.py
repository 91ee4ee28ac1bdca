"""Named runs: functions that return a configuration, every number spelled out."""

from collections.abc import Callable

from modernbert.base.errors import ConfigError
from modernbert.base.records import nearest
from modernbert.recipes.modernbert import modernbert_base
from modernbert.recipes.tiny import tiny
from modernbert.train.config import RunConfig

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "tiny": tiny,
    "modernbert-base": modernbert_base,
}


def recipe(name: str) -> RunConfig:
    """Return a recipe by its name.

    Raises:
        ConfigError: nobody knows the name.
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe {name!r}: {nearest(name, RECIPES)}")
    return RECIPES[name]()
