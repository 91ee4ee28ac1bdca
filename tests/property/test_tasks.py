"""Every task: any rows give a finite loss and gradients, and how they are packed changes nothing.

A new task is a row of CASES.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modernbert.base.device import Autocast
from modernbert.data.labels import LabelSet, Problem
from modernbert.data.masking import MaskingRule
from modernbert.data.questions import Question
from modernbert.data.rows import ExampleSet, Micro
from modernbert.data.said import Said
from modernbert.data.windows import question_windows, windows
from modernbert.model.config import MASKED_LM, HeadConfig
from modernbert.model.model import Model
from modernbert.tasks.choice import Choose
from modernbert.tasks.classify import Classify
from modernbert.tasks.clm import CausalLM
from modernbert.tasks.mlm import MaskedLM
from modernbert.tasks.spans import FindSpans
from modernbert.tasks.tokens import TagTokens
from modernbert.train.tune import outputs_of
from modernbert.train.tune_data import Labelled
from tests.corpora import tokenizer
from tests.nets import config_of, documents_of, lively

SIZES = [40, 3, 90, 17, 64, 9]
"""Rows that give every weight something to learn, and every measure something to find."""
LABELS = ("a", "b", "c")
TAGS = ("O", "B-X", "I-X")


SAID: dict[Problem, Callable[[int], Any]] = {
    "single_label": lambda size: LABELS[size % 3],
    "multi_label": lambda size: [
        name for name, step in zip(LABELS, (2, 3, 4), strict=True) if size % step
    ],
    "regression": lambda size: size / 7,
}


def labelled(problem: Problem, names: Sequence[str], sizes: Sequence[int]) -> Labelled:
    said = [Said(SAID[problem](size), "") for size in sizes]
    return Labelled(examples_of(documents_of(sizes)), Classify(LabelSet(problem, names), said))


def tagged(sizes: Sequence[int]) -> Labelled:
    rng = np.random.default_rng(sum(sizes))
    ids = [np.array(each) for each in documents_of(sizes)]
    tags = [rng.choice(TAGS, -(-size // 2)).tolist() for size in sizes]
    found = [
        window
        for number, each in enumerate(ids)
        for window in windows(number, each, np.arange(0, len(each), 2), tokenizer(), 32)
    ]
    return Labelled(examples_of([each.ids for each in found]), TagTokens(TAGS, found, tags))


def chosen(sizes: Sequence[int]) -> Labelled:
    counts = [2 + size % 3 for size in sizes]
    right = [size % count for size, count in zip(sizes, counts, strict=True)]
    places = [place for count in counts for place in range(count)]
    spread = np.repeat(sizes, counts) // (np.array(places) + 1)
    documents = documents_of(spread.tolist())
    # Each begins with another token: alike options would be as good as each other.
    begun = [[3 + place, *ids] for place, ids in zip(places, documents, strict=True)]
    return Labelled(examples_of(begun, counts), Choose(counts, right))


def asked(sizes: Sequence[int]) -> Labelled:
    """Texts whose tokens are a character each, all but every fifth with an answer."""
    texts = [np.array(ids) for ids in documents_of(sizes)]
    offsets = [np.stack([np.arange(size), np.arange(size) + 1], 1) for size in sizes]
    answers = [(size // 3, min(size // 3 + 2, size)) for size in sizes]
    questions = [
        Question(
            "?", "".join(chr(97 + at % 26) for at in range(size)), (answer,) * (size % 5 > 0), ""
        )
        for size, answer in zip(sizes, answers, strict=True)
    ]
    found = [
        window
        for number, ids in enumerate(texts)
        for window in question_windows(number, np.array([7, 8]), ids, tokenizer(), 32)
    ]
    task = FindSpans(questions, offsets, found)
    return Labelled(examples_of([each.ids for each in found]), task)


def told(batch: Any) -> Tensor:
    """Return scores of a batch of one window by which just its answer is found."""
    scores = torch.full((len(batch.places[0]), 2), -9.0)
    scores[batch.targets[0], [0, 1]] = 0.0
    return scores


def hidden(sizes: Sequence[int]) -> Labelled:
    """Pretraining reads rows, and the addresses of its masks with them."""
    ordinary = np.arange(5, 96)
    rule = MaskingRule(mask_id=4, special_ids=frozenset(range(5)), ordinary_ids=ordinary)
    return Labelled(examples_of(documents_of(sizes)), MaskedLM(rule, key=7))


def following(sizes: Sequence[int]) -> Labelled:
    """Next tokens: the label of each is the text itself."""
    return Labelled(examples_of(documents_of(sizes)), CausalLM())


def examples_of(documents: Sequence[Any], counts: Sequence[int] = ()) -> ExampleSet:
    where = [""] * len(counts or documents)
    return ExampleSet([np.array(ids) for ids in documents], where, counts)


@dataclass(frozen=True, slots=True)
class Case:
    """One task."""

    head: HeadConfig
    made: Callable[[Sequence[int]], Labelled]
    """Examples and their task, from sizes of any number."""
    perfect: Callable[[Any], Tensor] | None = None
    """The best output of a batch of one example; None for a task that measures nothing."""
    still: frozenset[str] = field(default=frozenset())
    """Weights that no loss moves."""


def classifying(problem: Problem, names: tuple[str, ...], perfect: Callable[[Any], Tensor]) -> Case:
    head = HeadConfig(kind="sequence", labels=names, problem=problem)
    return Case(head, functools.partial(labelled, problem, names), perfect)


CASES = {
    "masked_lm": Case(MASKED_LM, hidden),
    "causal_lm": Case(MASKED_LM, following),
    "single_label": classifying("single_label", LABELS, lambda b: F.one_hot(b.targets[0], 3)),
    "multi_label": classifying("multi_label", LABELS, lambda b: b.targets[0] - 0.5),
    "regression": classifying("regression", ("score",), lambda b: b.targets),
    "tokens": Case(
        HeadConfig(kind="tokens", labels=TAGS), tagged, lambda b: F.one_hot(b.targets, 3)
    ),
    # All tokens gain by the bias.
    "spans": Case(HeadConfig(kind="spans"), asked, told, still=frozenset({"head.classifier.bias"})),
    # All options of a question gain by the bias, so that it changes no choice.
    "choice": Case(
        HeadConfig(kind="choice"),
        chosen,
        lambda b: F.one_hot(b.targets[0], b.counts[0]),
        still=frozenset({"head.classifier.bias"}),
    ),
}
MEASURED = [name for name, case in CASES.items() if case.perfect]

sizes_of_examples = st.lists(st.integers(1, 70), min_size=1, max_size=6)
every_task = pytest.mark.parametrize("name", CASES)
measured_tasks = pytest.mark.parametrize("name", MEASURED)


@functools.cache
def model_of(name: str) -> Model:
    # In float64 rounding cannot hide a leak, however small.
    return lively(config_of(local_window=8), head=CASES[name].head).double().eval()


def collated(given: Labelled, numbers: Sequence[int]) -> Any:
    chosen = np.array(numbers, dtype=np.int64)
    micro = Micro(given.examples.rows(chosen, chosen), chosen)
    return given.task.collate(micro.rows if isinstance(given.task, MaskedLM | CausalLM) else micro)


def sums(name: str, given: Labelled, rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Return the loss, what is counted, and the gradients of all rows together."""
    model, task = model_of(name), given.task
    model.zero_grad(set_to_none=True)
    batches = [collated(given, row) for row in rows]
    losses = [task.loss(model, batch) for batch in batches]
    total = torch.stack([loss.total for loss in losses]).sum()
    total.backward()
    grads = {weight: x.grad for weight, x in model.named_parameters()}
    assert [weight for weight, grad in grads.items() if grad is None] == []
    counts = {
        "count": torch.tensor(sum(map(task.count, batches))),
        "correct": torch.stack([loss.num_correct for loss in losses]).sum(),
    }
    return {"loss": total.detach(), **counts, **grads}


@st.composite
def packings(draw, count: int) -> list[list[int]]:
    """Draw an order of some examples, cut into rows."""
    order = draw(st.permutations(range(count)))
    cuts = sorted(draw(st.sets(st.integers(1, count - 1)))) if count > 1 else []
    return [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]


@every_task
@given(sizes=sizes_of_examples, data=st.data())
@settings(max_examples=10, deadline=None)
def test_any_rows_give_a_finite_loss_whatever_their_packing(name, sizes, data):
    given = CASES[name].made(sizes)
    size = len(given.examples)
    together = sums(name, given, [range(size)])
    assert all(torch.isfinite(value).all() for value in together.values())
    apart = sums(name, given, data.draw(packings(size)))
    for what, right in together.items():
        torch.testing.assert_close(apart[what], right, rtol=1e-9, atol=1e-9, msg=what)


@every_task
def test_every_parameter_is_moved(name):
    found = sums(name, CASES[name].made(SIZES), [range(2), range(2, 6)])
    del found["count"], found["correct"]
    still = {what for what, value in found.items() if value.abs().max() < 1e-12}
    assert still == CASES[name].still


@measured_tasks
@given(sizes=sizes_of_examples, data=st.data())
@settings(max_examples=5, deadline=None)
def test_outputs_are_each_example_s_own_whatever_their_packing(name, sizes, data):
    given, model = CASES[name].made(sizes), model_of(name)
    size, task = len(given.examples), given.task
    alone = [task.outputs(model, collated(given, [number]))[0] for number in range(size)]
    in_order = outputs_of(model, given, Autocast(torch.device("cpu"), "float32"))
    for row in data.draw(packings(size)):
        found = task.outputs(model, collated(given, row))
        for number, mine in zip(row, found, strict=True):
            torch.testing.assert_close(mine, alone[number], rtol=1e-9, atol=1e-9)
    for mine, right in zip(in_order, alone, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-9, atol=1e-9)


@measured_tasks
def test_perfect_outputs_measure_as_such(name):
    given, perfect = CASES[name].made(SIZES), CASES[name].perfect
    outputs = [perfect(collated(given, [n])).double() for n in range(len(given.examples))]
    measured = given.task.measure(outputs)
    assert tuple(measured) == given.task.measures
    assert measured == pytest.approx(dict.fromkeys(given.task.measures, 1.0))
