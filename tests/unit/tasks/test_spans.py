import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modernbert.data.questions import Question
from modernbert.data.rows import ExampleSet, ExampleStream
from modernbert.data.windows import question_windows
from modernbert.model.config import HeadConfig
from modernbert.tasks.spans import FindSpans, best_spans, quality, target_of
from tests.corpora import tokenizer
from tests.nets import config_of, lively

COUNTS = [40, 3, 90, 17]


def made(max_length=32):
    """Texts whose tokens are a character each; the answer of text n is [n, n + 2) but for one."""
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 96, count) for count in COUNTS]
    offsets = [np.stack([np.arange(n), np.arange(n) + 1], 1) for n in COUNTS]
    letters = "abcdefghij" * 9
    asked = [
        Question("?", letters[:count], ((n, n + 2),) if n != 2 else (), f"line {n}")
        for n, count in enumerate(COUNTS)
    ]
    found = [
        window
        for number, each in enumerate(ids)
        for window in question_windows(number, np.array([7, 8]), each, tokenizer(), max_length)
    ]
    task = FindSpans(asked, offsets, found)
    model = lively(config_of(), head=HeadConfig(kind="spans"))
    return task, model, ExampleSet([w.ids for w in found], [""] * len(found)), found


def micros(examples, batch_size=100, row_tokens=1000):
    stream = ExampleStream(examples, batch_size=batch_size, row_tokens=row_tokens, seed=0)
    return [m for step in range(stream.steps_per_epoch) for m in stream.take(step).micros]


def test_the_loss_is_torch_s_over_the_text_and_cls():
    task, model, examples, _ = made()
    (micro,) = micros(examples)
    batch = task.collate(micro)
    loss = task.loss(model, batch)
    scores = model(batch.packed)
    right = 0.0
    for places, target in zip(batch.places, batch.targets, strict=True):
        begins, ends = scores[places].T
        right += (F.cross_entropy(begins, target[0]) + F.cross_entropy(ends, target[1])) / 2
    torch.testing.assert_close(loss.total, right)
    assert task.count(batch) == len(examples)


def test_targets_are_the_tokens_of_the_answer_or_cls():
    task, _, examples, windows = made()
    found = {
        int(micro.numbers[0]): task.collate(micro).targets[0].tolist()
        for micro in micros(examples, batch_size=1)
    }
    for number, window in enumerate(windows):
        first = window.units[0]
        has_answer = window.text != 2 and first <= window.text
        right = [window.text - first + 1, window.text - first + 2] if has_answer else [0, 0]
        assert found[number] == right


def test_an_answer_is_of_every_token_that_holds_a_character_of_it():
    offsets = np.array([[0, 2], [2, 3], [4, 9], [9, 12]])
    (window,) = question_windows(0, np.array([7]), np.arange(4) + 5, tokenizer(), 32)
    assert target_of(window, offsets, [(5, 10)]) == (3, 4)
    assert target_of(window, offsets, [(3, 4), (0, 1)]) == (1, 1)
    assert target_of(window, offsets, []) == (0, 0)


def perfect(task, examples, windows):
    found = {}
    for micro in micros(examples, batch_size=1):
        number = int(micro.numbers[0])
        scores = torch.full((len(windows[number].places) + 1, 2), -9.0)
        for side, place in enumerate(task.collate(micro).targets[0].tolist()):
            scores[place, side] = 0.0
        found[number] = scores
    return [found[number] for number in range(len(examples))]


def test_perfect_scores_measure_as_such_over_all_windows():
    task, _, examples, windows = made()
    outputs = perfect(task, examples, windows)
    assert task.answers(outputs) == ["ab", "bc", "", "de"]
    assert task.measure(outputs) == {"f1": 1.0, "exact_match": 1.0}


@pytest.mark.parametrize(("length", "widest"), [(1, 3), (2, 1), (30, 1), (30, 7), (30, 100)])
def test_best_spans_are_those_of_a_search_through_all(length, widest):
    scores = torch.randn(length + 1, 2, generator=torch.manual_seed(length), dtype=torch.float64)
    all_spans = sorted(
        (
            (float(scores[first + 1, 0] + scores[last + 1, 1]), first, last)
            for first in range(length)
            for last in range(first, min(first + widest, length))
        ),
        reverse=True,
    )
    found = [(each.score, each.first, each.last) for each in best_spans(scores, widest, 5)]
    assert found == all_spans[:5]


def test_a_text_without_tokens_has_no_span():
    assert best_spans(torch.zeros(1, 2), 8, 1) == []


@pytest.mark.parametrize(
    ("said", "right", "f1", "exact"),
    [
        ("The Red boat.", ["red boat"], 1, 1),
        ("red", ["a red boat", "blue"], 2 / 3, 0),
        ("", [], 1, 1),
        ("boat", [], 0, 0),
        ("", ["boat"], 0, 0),
        ("the", ["the"], 1, 1),
    ],
)
def test_answers_are_compared_as_squad_compares_them(said, right, f1, exact):
    assert quality(said, right) == (pytest.approx(f1), exact)
