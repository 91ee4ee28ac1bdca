import pytest
import torch

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.batch import Layout, pack
from modernbert.model import folder
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.hf_head import head_from_hf, head_to_hf
from modernbert.model.pooling import pool
from tests.nets import config_of, documents_of, lively

LABELS = ("no", "yes")
TWO_ROWS = {"head.dense.weight": torch.zeros(4, 4), "classifier.weight": torch.zeros(2, 4)}
ONE_ROW = TWO_ROWS | {"classifier.weight": torch.zeros(1, 4)}


def keys_of(kind="SequenceClassification", **keys):
    return {"architectures": [f"ModernBertFor{kind}"], **keys}


@pytest.mark.parametrize("kind", ["sequence", "tokens"])
def test_a_classifier_needs_labels(kind):
    with pytest.raises(ConfigError, match=f"a head of kind {kind} needs labels: give at least one"):
        HeadConfig(kind=kind)


@pytest.mark.parametrize(
    "head",
    [
        None,
        MASKED_LM,
        HeadConfig(kind="sequence", labels=LABELS, problem="multi_label", dropout=0.1),
        HeadConfig(kind="tokens", labels=LABELS),
        HeadConfig(kind="spans"),
        HeadConfig(kind="choice", pooling="cls"),
    ],
    ids=lambda head: head.kind if head else "none",
)
def test_a_head_survives_the_trip(head):
    rows = max(1, head.num_scores) if head else 1
    found = TWO_ROWS | {"classifier.weight": torch.zeros(rows, 4)}
    assert head_from_hf(head_to_hf(head), found) == head


def test_what_a_file_leaves_out_is_what_transformers_assumes():
    named = head_from_hf(keys_of(), TWO_ROWS)
    assert named == HeadConfig(kind="sequence", labels=("LABEL_0", "LABEL_1"), pooling="cls")
    assert head_from_hf(keys_of(), ONE_ROW).problem == "regression"


def test_a_file_without_its_head_is_a_bare_encoder():
    assert head_from_hf(keys_of(), {}) is None
    assert head_from_hf(keys_of(), {"head.dense.weight": torch.zeros(4, 4)}) is None
    assert head_from_hf({"architectures": ["ModernBertModel"]}, TWO_ROWS) is None


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"id2label": {"0": "a"}}, "config.json names 1 labels, the classifier has 2 rows"),
        ({"problem_type": "ranking"}, "problem_type 'ranking': known are single_label_class"),
    ],
)
def test_keys_that_contradict_the_file_are_said(keys, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        head_from_hf(keys_of(**keys), TWO_ROWS)


def test_pooling_reads_each_document_alone():
    x, layout = torch.randn(9, 4), Layout.of([2, 1, 6])
    assert torch.equal(pool(x, layout, "cls"), x[[0, 2, 3]])
    means = torch.stack([part.mean(0) for part in x.split([2, 1, 6])])
    torch.testing.assert_close(pool(x, layout, "mean"), means)


@pytest.mark.parametrize("kind", ["sequence", "tokens", "spans", "choice"])
def test_a_row_a_document_or_a_token_and_a_gradient_for_every_weight(kind):
    labels = LABELS if kind in ("sequence", "tokens") else ()
    model = lively(config_of(), head=HeadConfig(kind=kind, labels=labels))
    scores = model(pack(documents_of([5, 9])))
    rows = 2 if kind in ("sequence", "choice") else 14
    assert scores.shape == (rows, 1 if kind == "choice" else 2)
    scores.square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_dropout_before_the_classifier_follows_the_config():
    model = lively(config_of(), head=HeadConfig(kind="tokens", labels=LABELS, dropout=0.5))
    batch = pack(documents_of([30]))
    assert not torch.equal(model.train()(batch), model.train()(batch))
    assert torch.equal(model.eval()(batch), model.eval()(batch))


def test_a_pretrained_head_can_be_read_as_a_classifiers(tmp_path):
    """Names of dense and norm are those of the masked-LM head, so fine-tuning keeps them."""
    masked = lively(config_of(norm_bias=True, head_bias=True))
    folder.write(masked, tmp_path)
    names = {name for name, _ in masked.named_parameters()}
    sequence = lively(masked.config, head=HeadConfig(kind="sequence", labels=LABELS))
    kept = {name for name, _ in sequence.named_parameters()} & names
    assert {"head.dense.weight", "head.dense.bias", "head.norm.weight"} <= kept
