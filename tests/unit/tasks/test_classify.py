import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modernbert.base.errors import DataError
from modernbert.data.labels import LabelSet
from modernbert.data.rows import ExampleSet, in_order
from modernbert.data.said import Said
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


def micro_of(examples):
    (micro,) = in_order(examples, 1000)
    return micro


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_loss_is_torch_s(problem):
    task, model, examples = made(problem)
    batch = task.collate(micro_of(examples))
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
    batch = task.collate(micro_of(examples))
    right = F.cross_entropy(model(batch.packed), batch.targets, torch.tensor(weights))
    torch.testing.assert_close(task.loss(model, batch).total / 6, right)


def test_correct_rows_are_counted():
    task, model, examples = made("single_label")
    batch = task.collate(micro_of(examples))
    found = model(batch.packed).argmax(-1)
    assert task.loss(model, batch).num_correct == (found == batch.targets).sum()


def test_a_label_that_training_has_not_is_named():
    with pytest.raises(DataError, match="line 2 has the label 'z', which training has not"):
        Classify(LabelSet("single_label", ("a", "b")), said(["z"]))
