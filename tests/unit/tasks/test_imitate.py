import numpy as np
import torch

from modernbert.data.rows import ExampleSet, in_order
from modernbert.model.init import build
from modernbert.tasks.imitate import Imitate
from tests.nets import config_of

LENGTHS = (3, 9, 1, 6)


def task_and_batch(width=32):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(LENGTHS), width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    task = Imitate(vectors.astype(np.float16))
    ids = [rng.integers(4, 60, length) for length in LENGTHS]
    (micro,) = in_order(ExampleSet(ids, ["here"] * len(ids)), 100)
    return task, task.collate(micro), micro


def test_the_loss_is_one_less_the_cosine_of_each_text():
    task, batch, micro = task_and_batch()
    model = build(config_of(), 0, None)
    loss = task.loss(model, batch)
    x = model(batch.packed)
    lengths = batch.packed.layout.lengths()
    means = torch.stack([part.mean(0) for part in x.split(lengths)])
    cosines = torch.cosine_similarity(means, task.collate(micro).targets)
    torch.testing.assert_close(loss.total, (1 - cosines).sum(), rtol=1e-4, atol=1e-5)
    assert task.count(batch) == len(LENGTHS)
    loss.total.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_the_teacher_itself_is_measured_as_perfect():
    task, _, _ = task_and_batch()
    outputs = [torch.from_numpy(row).float() for row in task._vectors]
    measured = task.measure(outputs)
    assert measured["cosine"] > 0.999
    assert measured["spearman"] == 1
    assert task.measure([-each for each in outputs])["cosine"] < -0.999
