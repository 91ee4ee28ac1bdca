import pytest

from tests.served import served


@pytest.fixture(scope="session")
def all_models():
    """A server of one model of every kind."""
    with served() as running:
        yield running
