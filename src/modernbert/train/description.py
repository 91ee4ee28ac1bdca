"""What a run folder says of itself: run.json, out and in."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modernbert.base import machine
from modernbert.base.errors import CheckpointError
from modernbert.base.records import from_plain, to_plain
from modernbert.data.corpus import Corpus
from modernbert.data.probe_texts import SUITE
from modernbert.data.store import is_address
from modernbert.train import checkpoint
from modernbert.train.checkpoint import FORMAT
from modernbert.train.config import RunConfig

NAME = "run.json"


def describe(config: RunConfig, corpus: Corpus, folder: Path) -> dict[str, Any]:
    """Return what `run.json` of a new run holds; places are named as seen from the folder."""
    there = folder.resolve()

    def beside(place: str) -> str:
        return place and os.path.relpath(Path(place).resolve(), there)

    told = _with_places(config, beside)
    return {
        "format": FORMAT,
        "config": to_plain(told),
        "corpus_fingerprint": corpus.fingerprint,
        "versions": machine.versions(),
        "machine": machine.machine(),
        "command": machine.command(),
        "commit": machine.commit(),
    }


def read_description(where: Path) -> dict[str, Any]:
    """Read the `run.json` of a run folder, or a file like it.

    Raises:
        CheckpointError: there is none, or it is broken or has another format.
    """
    path = where if _is_record(where) else where / NAME
    if where == path and not path.exists():
        raise CheckpointError(f"{path} does not exist: give the {NAME} of a run")
    if not path.exists():
        raise CheckpointError(f"{path.parent} holds no run: it has no {path.name}")
    return checkpoint.read_record(path)


def config_of(where: Path) -> RunConfig:
    """Read the configuration of a run folder, or of a file like its `run.json`.

    The file names the corpus, and what the run started from, as seen from its own folder, so that
    they can move together.

    Raises:
        CheckpointError: there is none, or it is broken or has another format.
        ConfigError: it does not say what a run needs.
    """
    config = from_plain(RunConfig, read_description(where).get("config"), f"{where}: config")
    folder = where.parent if _is_record(where) else where
    there = folder.resolve()

    def whole(place: str) -> str:
        return place and os.path.normpath(there / place)

    return _with_places(config, whole)


def _with_places(config: RunConfig, seen: Callable[[str], str]) -> RunConfig:
    """Return a configuration whose folders are named as seen from elsewhere."""
    return dataclasses.replace(
        config,
        corpus=config.corpus if is_address(config.corpus) else seen(config.corpus),
        init_from=seen(config.init_from),
        branch=seen(config.branch),
        probes=tuple(each if each == SUITE else seen(each) for each in config.probes),
    )


def _is_record(where: Path) -> bool:
    return where.suffix == ".json" and not where.is_dir()
