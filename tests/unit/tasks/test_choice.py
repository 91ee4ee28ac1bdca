import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modernbert.data.rows import ExampleSet, in_order
from modernbert.model.config import HeadConfig
from modernbert.tasks.choice import Choose
from tests.nets import config_of, documents_of, lively

COUNTS, RIGHT = [2, 4, 3], [1, 0, 2]
SIZES = [9, 3, 40, 12, 12, 1, 7, 70, 5]


def made():
    documents = [np.array(ids) for ids in documents_of(SIZES)]
    task = Choose(COUNTS, RIGHT)
    (micro,) = in_order(ExampleSet(documents, [""] * 3, COUNTS), 1000)
    return task, lively(config_of(), head=HeadConfig(kind="choice")), micro


def test_the_loss_is_torch_s_of_each_question_alone():
    task, model, micro = made()
    batch = task.collate(micro)
    scores = model(batch.packed)[:, 0].split([COUNTS[number] for number in micro.numbers])
    right = [torch.tensor(RIGHT[number]) for number in micro.numbers]
    each = [F.cross_entropy(*pair) for pair in zip(scores, right, strict=True)]
    loss = task.loss(model, batch)
    torch.testing.assert_close(loss.total, torch.stack(each).sum())
    hits = [int(one.argmax()) == int(two) for one, two in zip(scores, right, strict=True)]
    assert int(loss.num_correct) == sum(hits)
    assert task.count(batch) == 3


def test_the_share_of_right_choices_is_measured():
    task, _, _ = made()
    scores = [torch.tensor([0.0, 1.0]), torch.tensor([3.0, 1, 2, 0]), torch.tensor([1.0, 0, -1])]
    assert task.measure(scores) == {"accuracy": pytest.approx(2 / 3)}
