"""Where fine-tunings start from."""

import pytest

from modernbert.infer.pretrained import Pretrained
from modernbert.model.init import build
from modernbert.train.tuning import Start
from tests.corpora import tokenizer
from tests.nets import config_of


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder of a model that has learned nothing."""
    tokens = tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    place = tmp_path_factory.mktemp("start") / "model"
    Pretrained(build(config, 0), tokens).save(place)
    return Start("classify", str(place))
