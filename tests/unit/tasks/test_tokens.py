import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modernbert.data.rows import ExampleSet, in_order
from modernbert.data.windows import windows
from modernbert.model.config import HeadConfig
from modernbert.tasks.tokens import TagTokens, quality
from tests.corpora import tokenizer
from tests.nets import config_of, lively

NAMES = ("O", "B-X", "I-X")
COUNTS = [40, 3, 90, 17]


def made(max_length, names=NAMES):
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 96, count) for count in COUNTS]
    tags = [rng.choice(names, -(-count // 2)).tolist() for count in COUNTS]
    found = [
        window
        for number, each in enumerate(ids)
        for window in windows(number, each, np.arange(0, len(each), 2), tokenizer(), max_length)
    ]
    task = TagTokens(names, found, tags)
    model = lively(config_of(), head=HeadConfig(kind="tokens", labels=names))
    return task, model, ExampleSet([window.ids for window in found], [""] * len(found)), tags


def test_the_loss_is_torch_s_on_the_words_alone():
    task, model, examples, _ = made(max_length=200)
    (micro,) = in_order(examples, 1000)
    batch = task.collate(micro)
    scores = model(batch.packed)
    right = F.cross_entropy(scores[batch.places], batch.targets, reduction="sum")
    loss = task.loss(model, batch)
    torch.testing.assert_close(loss.total, right)
    assert loss.num_correct == (scores[batch.places].argmax(-1) == batch.targets).sum()
    outputs = task.outputs(model, batch)
    torch.testing.assert_close(torch.cat(outputs), scores[batch.places])
    assert [len(each) for each in outputs] == list(batch.counts)


def test_each_word_is_asked_for_in_one_window():
    task, _, examples, tags = made(max_length=32)
    (micro,) = in_order(examples, 1000)
    assert len(examples) > len(tags)
    assert task.count(task.collate(micro)) == sum(map(len, tags))


def test_quality_counts_spans_as_conlleval_does():
    right = [["B-X", "I-X", "O", "B-Y"], ["O", "O"]]
    found = [["B-X", "O", "O", "B-Y"], ["B-X", "O"]]
    f1, precision, recall, accuracy = quality(found, right)
    assert (precision, recall) == (pytest.approx(1 / 3), pytest.approx(1 / 2))
    assert f1 == pytest.approx(2 / 5)
    assert accuracy == pytest.approx(4 / 6)
    assert quality([["O"]], [["O"]]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("names", "measures"),
    [
        (NAMES, ("f1", "precision", "recall", "accuracy")),
        (("ADJ", "NOUN", "O"), ("accuracy",)),
        (("0", "1", "2"), ("accuracy",)),
    ],
)
def test_only_tags_that_begin_spans_are_measured_by_spans(names, measures):
    task, model, examples, _ = made(200, names)
    (micro,) = in_order(examples, 1000)
    outputs = task.outputs(model, task.collate(micro))
    measured = task.measure([outputs[n] for n in np.argsort(micro.numbers)])
    assert (task.measures, tuple(measured)) == (measures, measures)
    assert 0 < measured["accuracy"] < 1
