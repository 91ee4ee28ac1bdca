"""Adapters that fine-tuning wrote, opened by `peft` on a model of transformers."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from modernbert.batch import pack
from modernbert.infer.pretrained import Pretrained, load
from modernbert.model.init import build
from modernbert.train.tune import tune
from modernbert.train.tune_config import TuneConfig
from modernbert.train.tuning import Start, create
from tests.corpora import tokenizer
from tests.nets import config_of, documents_of
from tests.parity.tolerance import ALONE, assert_as_accurate

CONLL = "every\tO\nplace\tB-X\n\npacked\tO\nbatch\tI-X\n\n" * 4
ROWS = [{"text": f"{word} batch", "label": word} for word in ("packed", "every", "packed") * 4]


THEIRS = {
    "classify": AutoModelForSequenceClassification,
    "tokens": AutoModelForTokenClassification,
}


@pytest.fixture(scope="module", params=THEIRS)
def tuned(request, tmp_path_factory):
    """The folder of a run, and the class that transformers has for it."""
    place, tokens = tmp_path_factory.mktemp(request.param), tokenizer()
    ids = {"pad_id": tokens.pad_id, "cls_id": tokens.cls_id, "sep_id": tokens.sep_id}
    config = config_of(vocab_size=tokens.vocab_size, max_length=64, **ids)
    Pretrained(build(config, 0), tokens).save(place / "start")
    name = {"classify": "train.jsonl", "tokens": "train.conll"}[request.param]
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (place / name).write_text(lines if name.endswith("jsonl") else CONLL)
    config = TuneConfig(
        train=str(place / name),
        lora_rank=4,
        frozen_layers=1,
        peak_lr=3e-2,
        device="cpu",
        precision="float32",
    )
    run = create(config, Start(request.param, str(place / "start")), place / "out")
    assert tune(run)
    return place, THEIRS[request.param]


# transformers says which tensors of the head are new; all of them come from the adapter.
@pytest.mark.filterwarnings("ignore")
def test_peft_puts_the_adapter_on_the_start_and_gives_the_merged_logits(tuned):
    place, kind = tuned
    keys = AutoConfig.from_pretrained(place / "out" / "model")
    base = kind.from_pretrained(place / "start", config=keys, attn_implementation="eager")
    theirs = PeftModel.from_pretrained(base, place / "out" / "adapter").eval()
    assert type(theirs).__name__ == f"PeftModelFor{kind.__name__.removeprefix('AutoModelFor')}"
    documents = documents_of([20] * 16, vocab=tokenizer().vocab_size)
    ours = load(place / "out" / "model").model
    with torch.no_grad():
        logits = ours(pack(documents))
        given = torch.tensor(documents)
        naive = theirs(given).logits.reshape(logits.shape)
        truth = theirs.double()(given).logits.reshape(logits.shape)
    assert_as_accurate(logits, naive, truth, slack=ALONE)
    bare = kind.from_pretrained(place / "start", config=keys, attn_implementation="eager")
    assert not torch.allclose(bare(given).logits.reshape(logits.shape), logits, rtol=0.01)
