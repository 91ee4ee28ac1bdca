"""Numbers that transformers' own tests expect of published checkpoints, for who has them.

MODERNBERT_WEIGHTS names a folder with the checkpoints under their hub ids, as in
`hf download answerdotai/ModernBERT-base --local-dir WEIGHTS/answerdotai/ModernBERT-base`:

    WEIGHTS/answerdotai/ModernBERT-base
    WEIGHTS/hf-internal-testing/tiny-random-ModernBertForTokenClassification
    WEIGHTS/hf-internal-testing/tiny-random-ModernBertForSequenceClassification
    WEIGHTS/netique/ModernBertForMultipleChoice

Expectations and tolerance are those of tests/models/modernbert/test_modeling_modernbert.py there.
"""

import os
from pathlib import Path

import pytest
import torch

from modernbert.batch import pack
from modernbert.data.tokenizer import Tokenizer
from modernbert.infer.fill import fill
from modernbert.infer.pretrained import Pretrained
from modernbert.model import folder

VARIABLE = "MODERNBERT_WEIGHTS"
BASE = "answerdotai/ModernBERT-base"
TOKENS = "hf-internal-testing/tiny-random-ModernBertForTokenClassification"
SEQUENCE = "hf-internal-testing/tiny-random-ModernBertForSequenceClassification"
CHOICE = "netique/ModernBertForMultipleChoice"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get(VARIABLE),
        reason=f"{VARIABLE} does not name a folder with published weights: see this file's head",
    ),
]


def opened(hub_id: str, tokenizer: str = "") -> Pretrained:
    """Open a checkpoint, with the tokenizer of another where it has none of its own."""
    weights = Path(os.environ[VARIABLE])
    for name in (hub_id, tokenizer or hub_id):
        assert (weights / name).is_dir(), f"{VARIABLE} has no {name}: see this file's head"
    tokens = Tokenizer.load(weights / (tokenizer or hub_id))
    return Pretrained(folder.read(weights / hub_id).float(), tokens).eval()


def check(found, expected):
    right = torch.tensor(expected)
    assert torch.allclose(found, right, rtol=1e-4, atol=1e-4), f"{found.tolist()}, not {expected}"


def hello(model: Pretrained):
    return pack([model.tokenizer.encode("Hello World!").tolist()])


@torch.no_grad()
def test_masked_lm():
    model = opened(BASE)
    logits = model(hello(model))
    assert logits.shape == (5, 50368)
    expected = [[3.8387, -0.2017, 12.2839], [3.6300, 0.6869, 14.7123], [-5.1137, -3.8122, 11.9874]]
    check(logits[:3, :3], expected)


@torch.no_grad()
def test_no_head():
    model = opened(BASE)
    x = model.encoder(hello(model))
    assert x.shape == (5, 768)
    expected = [[0.3151, -0.6417, -0.7027], [-0.7834, -1.5810, 0.4576], [1.0614, -0.7268, -0.0871]]
    check(x[:3, :3], expected)


@torch.no_grad()
def test_token_classification():
    model = opened(TOKENS)
    expected = [
        [2.0159, 4.6569],
        [-0.9430, 3.1595],
        [-3.8770, 3.2653],
        [1.5752, 4.5167],
        [-1.6939, 1.2524],
    ]
    check(model(hello(model)), expected)


@torch.no_grad()
def test_sequence_classification():
    model = opened(SEQUENCE)
    check(model(hello(model)), [[1.6466, 4.5662]])


@torch.no_grad()
def test_fill_mask():
    model = opened(BASE)
    text, expected = (
        "the man worked as a [MASK].",
        ["lawyer", "mechanic", "teacher", "doctor", "waiter"],
    )
    (guesses,) = fill(model, text, top=5)
    assert [guess.token.strip() for guess in guesses] == expected
    ids = model.tokenizer.encode(text).tolist()
    assert ids[6] == model.tokenizer.mask_id
    # Theirs is padded to 512; ours stands behind other text instead.
    logits = model(pack([ids * 40, ids]))[40 * len(ids) + 6]
    best = logits.topk(5).indices.tolist()
    assert [model.tokenizer.decode([each]).strip() for each in best] == expected


@torch.no_grad()
def test_multiple_choice():
    model = opened(CHOICE, tokenizer=BASE)
    start = (
        "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    )
    choices = (
        "It is eaten with a fork and a knife.",
        "It is eaten while held in the hand.",
        "It also walks on the sidewalks.",
        "It is a common drink.",
    )
    first, *others = (model.tokenizer.encode(text).tolist() for text in (start, *choices))
    check(model(pack([[*first, *ids[1:]] for ids in others])).T, [[0.1973, 0.2041, 0.1835, 0.1896]])
