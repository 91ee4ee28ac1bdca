import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modernbert.base.errors import DataError
from modernbert.data.labels import LabelSet, Said
from modernbert.data.rows import ExampleSet, ExampleStream
from modernbert.model.config import HeadConfig
from modernbert.tasks.classify import Classify, balanced
from tests.nets import config_of, documents_of, lively

SIZES = [40, 3, 130, 70, 9, 64]
PROBLEMS = {
    "single_label": (("a", "b", "c"), ["c", "a", "b", "a", "a", "c"]),
    "multi_label": (("a", "b"), [["a"], [], ["a", "b"], ["b"], ["a"], []]),
    "regression": (("score",), [0.5, 1.0, -2.0, 3.5, 0.0, 1.5]),
}


def said(values):
    return [Said(value, f"line {line}") for line, value in enumerate(values, start=2)]


def made(problem, **options):
    names, values = PROBLEMS[problem]
    task = Classify(LabelSet(problem, names), said(values), **options)
    head = HeadConfig(kind="sequence", labels=names, problem=problem)
    documents = documents_of(SIZES)
    examples = ExampleSet([np.array(ids) for ids in documents], [""] * len(SIZES))
    return task, lively(config_of(), head=head), examples


def micros(examples, batch_size=6, row_tokens=200):
    stream = ExampleStream(examples, batch_size=batch_size, row_tokens=row_tokens, seed=0)
    return [m for step in range(stream.steps_per_epoch) for m in stream.take(step).micros]


def gradients(task, model, parts):
    model.zero_grad()
    total = sum(task.loss(model, task.collate(micro)).total for micro in parts)
    total.backward()
    return [total.detach(), *(weight.grad.clone() for weight in model.parameters())]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_rows_and_order_change_nothing(problem):
    task, model, examples = made(problem)
    model.double()
    one = gradients(task, model, micros(examples))
    for shape in ({"row_tokens": 1000}, {"batch_size": 1}, {"batch_size": 2, "row_tokens": 90}):
        for mine, right in zip(gradients(task, model, micros(examples, **shape)), one, strict=True):
            torch.testing.assert_close(mine, right)
    assert all(grad.abs().sum() > 0 for grad in one)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_loss_is_torch_s(problem):
    task, model, examples = made(problem)
    (micro,) = micros(examples, row_tokens=1000)
    batch = task.collate(micro)
    scores = model(batch.packed)
    right = {
        "single_label": lambda: F.cross_entropy(scores, batch.targets),
        "multi_label": lambda: F.binary_cross_entropy_with_logits(scores, batch.targets),
        "regression": lambda: F.mse_loss(scores[:, 0], batch.targets),
    }[problem]()
    loss = task.loss(model, batch)
    assert task.count(batch) == 6
    torch.testing.assert_close(loss.total / 6, right)


def test_balanced_weights_count_every_label_alike():
    names, values = PROBLEMS["single_label"]
    weights = balanced(LabelSet("single_label", names), said(values))
    assert weights == [pytest.approx(x) for x in (6 / 9, 6 / 3, 6 / 6)]
    task, model, examples = made("single_label", weights=weights)
    (micro,) = micros(examples, row_tokens=1000)
    batch = task.collate(micro)
    right = F.cross_entropy(model(batch.packed), batch.targets, torch.tensor(weights))
    torch.testing.assert_close(task.loss(model, batch).total / 6, right)


def test_correct_rows_are_counted_and_measured():
    task, model, examples = made("single_label")
    (micro,) = micros(examples, row_tokens=1000)
    batch = task.collate(micro)
    found = model(batch.packed).argmax(-1)
    assert task.loss(model, batch).num_correct == (found == batch.targets).sum()
    perfect = F.one_hot(task.targets).float()
    assert task.measure(list(perfect)) == {"accuracy": 1.0, "f1": 1.0, "matthews": 1.0}
    several, _, _ = made("multi_label")
    assert several.measure(list(several.targets - 0.5)) == {"f1_micro": 1.0, "accuracy": 1.0}
    values, _, _ = made("regression")
    assert values.measure(list(values.targets[:, None])) == pytest.approx(
        {"spearman": 1.0, "pearson": 1}
    )


def test_a_label_that_training_has_not_is_named():
    with pytest.raises(DataError, match="line 2 has the label 'z', which training has not"):
        Classify(LabelSet("single_label", ("a", "b")), said(["z"]))
