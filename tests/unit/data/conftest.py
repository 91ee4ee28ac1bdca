import pytest

from tests.corpora import make_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("data"), {"books": 60, "code": 40, "web": 20})
