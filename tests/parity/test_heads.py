"""Our classifiers against transformers': scores and gradients, folders both ways, its faults."""

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from modernbert.batch import pack
from modernbert.infer.choose import choice_scores
from modernbert.model import folder
from modernbert.model.config import HeadConfig
from tests.nets import config_of, documents_of, lively
from tests.parity.lines import sayable
from tests.parity.test_transformers import grid_of
from tests.parity.tolerance import assert_all_as_accurate, assert_as_accurate, distance
from tests.sentence_folders import made

LABELS = ("no", "maybe", "yes")
HEADS = {
    "sequence, mean": HeadConfig(kind="sequence", labels=LABELS),
    "sequence, cls": HeadConfig(kind="sequence", labels=LABELS, pooling="cls"),
    "several labels": HeadConfig(kind="sequence", labels=LABELS, problem="multi_label"),
    "its own activation": HeadConfig(kind="sequence", labels=LABELS, activation="relu"),
    "a number": HeadConfig(kind="sequence", labels=("score",), problem="regression"),
    "tokens": HeadConfig(kind="tokens", labels=("O", "B-PER", "I-PER", "B-LOC")),
    "spans": HeadConfig(kind="spans"),
    "choice, mean": HeadConfig(kind="choice"),
    "choice, cls": HeadConfig(kind="choice", pooling="cls"),
}
THEIRS = {
    None: AutoModel,
    "masked_lm": AutoModelForMaskedLM,
    "sequence": AutoModelForSequenceClassification,
    "tokens": AutoModelForTokenClassification,
    "spans": AutoModelForQuestionAnswering,
    "choice": AutoModelForMultipleChoice,
}
SHAPES = {
    "plain": {},
    "biases": {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "head_bias": True},
    "a list": {"layer_kinds": ("local", "global", "local"), "activation": "silu"},
}
LENGTHS = [200, 1, 66, 130, 90, 41, 12, 250]
pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


def saved(head, path, seed=0, **fields):
    model = lively(config_of(**fields), seed, head=head).eval()
    folder.write(model, path)
    return model


def their_scores(theirs, kind, documents, side):
    """Return their scores, laid out as ours are: no padding, a row a document or token."""
    rows, mask = grid_of(documents, side)
    if kind == "choice":
        return theirs(rows[None], attention_mask=mask[None]).logits[0][:, None]
    found = theirs(rows, attention_mask=mask)
    if kind == "spans":
        return torch.stack([found.start_logits, found.end_logits], -1)[mask.bool()]
    return found.logits[mask.bool()] if kind == "tokens" else found.logits


def with_gradients(model, scores):
    slopes = torch.randn(scores.shape, generator=torch.Generator().manual_seed(3))
    names, weights = zip(*model.named_parameters(), strict=True)
    grads = torch.autograd.grad((scores * slopes).sum(), weights, allow_unused=True)
    pairs = zip(names, grads, strict=True)
    # Nobody trains by the keys and queries of a document of one token.
    return {"scores": scores} | {name: grad for name, grad in pairs if grad is not None}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_scores_and_gradients_are_theirs(head, fields, tmp_path):
    model, documents = saved(head, tmp_path, **sayable(fields)), documents_of(LENGTHS)
    their_class = THEIRS[head.kind]
    exact = their_class.from_pretrained(tmp_path).eval().double()
    truth = with_gradients(exact, their_scores(exact, head.kind, documents, "right"))
    theirs = their_class.from_pretrained(tmp_path).eval()
    naive = with_gradients(theirs, their_scores(theirs, head.kind, documents, "right"))
    ours = with_gradients(model, model(pack(documents)))
    ours = {folder.hf_name(name) if "." in name else name: x for name, x in ours.items()}
    assert_all_as_accurate(ours, naive, truth)
    for name, right in truth.items():
        assert distance(ours[name], right) < 1e-5 * right.norm().item() + 1e-7, name


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_bfloat16_is_as_accurate_as_theirs(head, tmp_path):
    kind, documents = head.kind, documents_of(LENGTHS)
    found: list[list[torch.Tensor]] = []
    for seed in range(5):  # a head gives few numbers, which are exact or not by luck
        model = saved(head, tmp_path, seed)
        exact = THEIRS[kind].from_pretrained(tmp_path).eval().double()
        theirs = THEIRS[kind].from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
        with torch.no_grad():
            truth, naive = (
                their_scores(each, kind, documents, "right") for each in (exact, theirs)
            )
            found.append([model.to(torch.bfloat16)(pack(documents)), naive, truth])
    assert_as_accurate(*map(torch.cat, zip(*found, strict=True)), slack=1.5)


def test_choices_are_theirs_from_the_texts_on(tmp_path):
    """The same pairs, cut alike, get the same scores from both."""
    model = made(HeadConfig(kind="choice"), max_length=32)
    model.save(tmp_path)
    theirs = AutoModelForMultipleChoice.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    question, options = "the packed batch " * 9, ["every token", "documents apart " * 12, "place"]
    pairs = ([question] * 3, options)
    how = {"truncation": "longest_first", "max_length": 32, "padding": True}
    grid = tokenizer(*pairs, return_tensors="pt", **how)
    with torch.no_grad():
        right = theirs(**{name: x[None] for name, x in grid.items()}).logits[0]
    (ours,) = choice_scores(model, [question], [options])
    torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)


def test_a_long_mean_keeps_its_last_tokens_in_bfloat16(tmp_path):
    """A running sum in bfloat16 stops growing; theirs adds in the model's dtype."""
    from modernbert.batch import Layout
    from modernbert.model.pooling import pool

    x = torch.ones(8192, 4, dtype=torch.bfloat16)
    assert torch.equal(pool(x, Layout.of([8192]), "mean"), torch.ones(1, 4, dtype=torch.bfloat16))
