import pytest

from modernbert.data.corpus import Corpus
from tests.runs import small_corpus, small_run, trained


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def corpus(corpus_folder):
    return Corpus.open(corpus_folder)


@pytest.fixture(scope="session")
def config(corpus_folder):
    return small_run(corpus_folder)


@pytest.fixture(scope="session")
def finished(config, tmp_path_factory):
    """A run that went through its three phases undisturbed."""
    return trained(config, tmp_path_factory.mktemp("finished") / "run")
