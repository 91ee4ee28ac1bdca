"""Runs of a small model by one process and by several: made once, compared by many tests."""

import dataclasses
import json

import pytest

from modernbert.base.records import to_plain
from tests.dist.launch import together
from tests.runs import small_corpus, small_run, trained


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def config(corpus_folder):
    """Four rows a step, three after the first quarter of a phase, and dropout."""
    config = small_run(corpus_folder, keep_checkpoints=100)
    phases = tuple(dataclasses.replace(phase, row_tokens=128) for phase in config.phases)
    return dataclasses.replace(config, phases=phases)


@pytest.fixture(scope="session")
def recorded(config, tmp_path_factory):
    """Files that the command line starts the run from, by how ranks share it."""
    folder, places = tmp_path_factory.mktemp("recorded"), {}
    for kind in ("ddp", "fsdp"):
        plain = to_plain(dataclasses.replace(config, parallel=kind))
        places[kind] = folder / f"{kind}.json"
        places[kind].write_text(json.dumps({"format": 1, "config": plain}))
    return places


@pytest.fixture(scope="session")
def alone(config, tmp_path_factory):
    return trained(config, tmp_path_factory.mktemp("alone") / "run").folder


@pytest.fixture(scope="session")
def shared(recorded, tmp_path_factory):
    """The same run by two processes of each kind."""
    places = {}
    for kind, file in recorded.items():
        places[kind] = tmp_path_factory.mktemp(kind) / "run"
        done = together(2, "pretrain", file, "--out", places[kind])
        assert done.returncode == 0, done.stderr
    return places
