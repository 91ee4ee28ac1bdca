import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modernbert.data.rows import ExampleSet, ExampleStream
from modernbert.data.windows import windows
from modernbert.model.config import HeadConfig
from modernbert.tasks.tokens import TagTokens, quality
from tests.corpora import tokenizer
from tests.nets import config_of, lively

NAMES = ("O", "B-X", "I-X")
COUNTS = [40, 3, 90, 17]


def made(max_length=32):
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 96, count) for count in COUNTS]
    tags = [rng.choice(NAMES, -(-count // 2)).tolist() for count in COUNTS]
    found = [
        window
        for number, each in enumerate(ids)
        for window in windows(number, each, np.arange(0, len(each), 2), tokenizer(), max_length)
    ]
    task = TagTokens(NAMES, found, tags)
    model = lively(config_of(), head=HeadConfig(kind="tokens", labels=NAMES))
    return task, model, ExampleSet([window.ids for window in found], [""] * len(found)), tags


def micros(examples, batch_size=100, row_tokens=1000):
    stream = ExampleStream(examples, batch_size=batch_size, row_tokens=row_tokens, seed=0)
    return [m for step in range(stream.steps_per_epoch) for m in stream.take(step).micros]


def gradients(task, model, parts):
    model.zero_grad()
    batches = [task.collate(micro) for micro in parts]
    total = sum(task.loss(model, batch).total for batch in batches)
    total.backward()
    count = sum(task.count(batch) for batch in batches)
    return count, [total.detach(), *(weight.grad.clone() for weight in model.parameters())]


def test_rows_and_order_change_nothing():
    task, model, examples, tags = made()
    model.double()
    count, one = gradients(task, model, micros(examples))
    assert count == sum(map(len, tags))
    for shape in ({"row_tokens": 40}, {"batch_size": 1}, {"batch_size": 3, "row_tokens": 70}):
        number, found = gradients(task, model, micros(examples, **shape))
        assert number == count
        for mine, right in zip(found, one, strict=True):
            torch.testing.assert_close(mine, right)
    assert all(grad.abs().sum() > 0 for grad in one)


def test_the_loss_is_torch_s_on_the_words_alone():
    task, model, examples, _ = made(max_length=200)
    (micro,) = micros(examples)
    batch = task.collate(micro)
    scores = model(batch.packed)
    right = F.cross_entropy(scores[batch.places], batch.targets, reduction="sum")
    loss = task.loss(model, batch)
    torch.testing.assert_close(loss.total, right)
    assert loss.num_correct == (scores[batch.places].argmax(-1) == batch.targets).sum()
    outputs = task.outputs(model, batch)
    torch.testing.assert_close(torch.cat(outputs), scores[batch.places])
    assert [len(each) for each in outputs] == list(batch.counts)


def test_perfect_scores_measure_as_such_over_all_windows():
    task, _, examples, _ = made()
    perfect = {
        number: F.one_hot(targets, 3).float()
        for micro in micros(examples, batch_size=1)
        for number, targets in [(int(micro.numbers[0]), task.collate(micro).targets)]
    }
    measured = task.measure([perfect[number] for number in range(len(examples))])
    assert measured == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "accuracy": 1.0}


def test_quality_counts_spans_as_conlleval_does():
    right = [["B-X", "I-X", "O", "B-Y"], ["O", "O"]]
    found = [["B-X", "O", "O", "B-Y"], ["B-X", "O"]]
    f1, precision, recall, accuracy = quality(found, right)
    assert (precision, recall) == (pytest.approx(1 / 3), pytest.approx(1 / 2))
    assert f1 == pytest.approx(2 / 5)
    assert accuracy == pytest.approx(4 / 6)
    assert quality([["O"]], [["O"]]) == (0, 0, 0, 1)
