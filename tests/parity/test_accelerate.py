"""A live model of transformers, accelerated, against itself before."""

import copy
import math
import statistics

import pytest
import torch

import modernbert
from modernbert.model import folder
from modernbert.model.config import MASKED_LM
from tests.nets import config_of, documents_of, lively
from tests.parity.test_heads import HEADS, LENGTHS, SHAPES, THEIRS, saved
from tests.parity.test_transformers import grid_of
from tests.parity.tolerance import assert_all_as_accurate, distance

pytestmark = pytest.mark.filterwarnings("ignore:transformers 4 cannot express")


KINDS = {"base": None, "masked": MASKED_LM, **HEADS}


def run(model, head, side="right"):
    """Return what a model gives at real positions, and the gradients of all its weights."""
    rows, mask = grid_of(documents_of(LENGTHS), side)
    if head is not None and head.kind == "choice":
        rows, mask = rows[None], mask[None]
    found = model(rows, attention_mask=mask)
    if head is None:
        scores = found.last_hidden_state[mask.bool()]
    elif head.kind == "spans":
        scores = torch.stack([found.start_logits, found.end_logits], -1)[mask.bool()]
    else:
        by_token = head.kind in ("tokens", "masked_lm")
        scores = found.logits[mask.bool()] if by_token else found.logits
    slopes = torch.randn(scores.shape, generator=torch.Generator().manual_seed(3))
    names, weights = zip(*model.named_parameters(), strict=True)
    grads = torch.autograd.grad((scores * slopes.to(scores.dtype)).sum(), weights)
    return {"scores": scores} | dict(zip(names, grads, strict=True))


def sides_of(head):
    """Name the sides of padding on which their own answer is right."""
    reads_first = head is not None and head.kind == "sequence" and head.pooling == "cls"
    return ["right"] if reads_first else ["right", "left"]


def opened(head, path, **options):
    return THEIRS[None if head is None else head.kind].from_pretrained(path, **options).eval()


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("head", KINDS.values(), ids=KINDS)
def test_scores_and_gradients_stay(head, fields, tmp_path):
    saved(head, tmp_path, **fields)
    theirs = opened(head, tmp_path)
    truth = run(copy.deepcopy(theirs).double(), head)
    naive = [run(theirs, head, side) for side in sides_of(head)]
    modernbert.accelerate(theirs)
    for side in sides_of(head):
        ours = run(theirs, head, side)
        # Either side is their plain computation: the worse one is what float32 may cost.
        worse = {
            name: max(
                (found[name] for found in naive), key=lambda x, right=right: distance(x, right)
            )
            for name, right in truth.items()
        }
        assert_all_as_accurate(ours, worse, truth)
        for name, right in truth.items():
            assert distance(ours[name], right) < 1e-5 * right.norm().item() + 1e-7, name


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("head", KINDS.values(), ids=KINDS)
def test_bfloat16_is_as_accurate_as_theirs(head, fields, tmp_path):
    # Rounding flips a unit of a relu, theirs or ours, and its gradient jumps.
    is_relu = head is not None and head.activation == "relu"
    saved(head, tmp_path, **fields)
    truth = run(opened(head, tmp_path).double(), head)
    theirs = opened(head, tmp_path, dtype=torch.bfloat16)
    for side in sides_of(head):
        naive = run(modernbert.restore(theirs), head, side)
        ours = run(modernbert.accelerate(theirs), head, side)
        assert ours["scores"].dtype == torch.bfloat16
        # A short vector is exact or not by luck; scores and all gradients together are not.
        errors = [
            sum(
                distance(found[name], right) / right.norm().item()
                for name, right in truth.items()
                if name == "scores" or not is_relu
            )
            for found in (ours, naive)
        ]
        assert errors[0] <= 2 * errors[1]


def test_the_error_of_bfloat16_is_not_larger_than_theirs(tmp_path):
    """Rounding makes either the better one by chance, so many models vote.

    The mean of the logarithms of the ratio may be above 0 by twice its own standard error.
    """
    ratios = []
    for seed in range(8):
        for name in ("base", "masked", "tokens"):
            head, path = KINDS[name], tmp_path / f"{name}{seed}"
            folder.write(lively(config_of(), seed=seed, head=head), path)
            truth = run(opened(head, path).double(), head)["scores"]
            theirs = opened(head, path, dtype=torch.bfloat16)
            naive = distance(run(theirs, head)["scores"], truth)
            ours = distance(run(modernbert.accelerate(theirs), head)["scores"], truth)
            ratios.append(math.log(ours / naive))
    chance = statistics.stdev(ratios) / len(ratios) ** 0.5
    assert statistics.mean(ratios) <= 2 * chance
    assert chance < 0.02  # an error that is 4% larger would be seen
