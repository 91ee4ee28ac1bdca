"""What a run folder says of itself: run.json, out and in."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from modernbert.base import machine
from modernbert.base.errors import CheckpointError
from modernbert.base.records import from_plain, to_plain
from modernbert.data.corpus import Corpus
from modernbert.train import checkpoint
from modernbert.train.checkpoint import FORMAT
from modernbert.train.config import RunConfig

NAME = "run.json"


def describe(config: RunConfig, corpus: Corpus, folder: Path) -> dict[str, Any]:
    """Return what `run.json` of a new run holds; the corpus is named as seen from the folder."""
    beside = os.path.relpath(Path(config.corpus).resolve(), folder.resolve())
    return {
        "format": FORMAT,
        "config": to_plain(dataclasses.replace(config, corpus=beside)),
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

    The file names the corpus as seen from its own folder, so that both can move together.

    Raises:
        CheckpointError: there is none, or it is broken or has another format.
        ConfigError: it does not say what a run needs.
    """
    config = from_plain(RunConfig, read_description(where).get("config"), f"{where}: config")
    folder = where.parent if _is_record(where) else where
    return dataclasses.replace(config, corpus=os.path.normpath(folder.resolve() / config.corpus))


def _is_record(where: Path) -> bool:
    return where.suffix == ".json" and not where.is_dir()
