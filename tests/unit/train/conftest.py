"""Where fine-tunings start from."""

import pytest

from modernbert.train.tuning import Start
from tests.runs import untrained


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder of a model that has learned nothing."""
    return Start("classify", str(untrained(tmp_path_factory.mktemp("start") / "model")))
