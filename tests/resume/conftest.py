import json

import pytest

from modernbert.base.records import to_plain
from tests.runs import outcome, small_corpus, small_run, trained


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def undisturbed_run(corpus_folder, tmp_path_factory):
    """A finished run that kept all of its checkpoints."""
    config = small_run(corpus_folder, keep_checkpoints=100)
    return trained(config, tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.fixture(scope="session")
def undisturbed(undisturbed_run):
    """What every run must come to, however often it was stopped."""
    return outcome(undisturbed_run.folder)


@pytest.fixture(scope="session")
def recorded(corpus_folder, tmp_path_factory):
    """A file that the command line starts runs from."""
    file = tmp_path_factory.mktemp("recorded") / "small.json"
    plain = {"format": 1, "config": to_plain(small_run(corpus_folder))}
    file.write_text(json.dumps(plain))
    return file
