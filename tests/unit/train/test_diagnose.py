import re

import pytest
import torch

from modernbert.base.errors import TrainingError
from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from modernbert.train.feed import Progress, feed
from modernbert.train.loop import train
from tests.runs import weights_of


@pytest.fixture
def run(config, tmp_path):
    begun = runs.create(config, tmp_path / "run")
    yield begun
    begun.close()


def stopped(run) -> str:
    """Train until the numbers break; the weights must be those from before."""
    before = weights_of(run)
    with pytest.raises(TrainingError) as caught:
        train(run)
    for name, weight in weights_of(run).items():
        assert torch.equal(weight.nan_to_num(), before[name].nan_to_num()), name
    return str(caught.value)


def check_document(run, sentence: str, row: int) -> None:
    """The first document named stands in the row that is named."""
    (named,) = re.findall(r"documents: (.*?);", sentence)
    work = next(feed(run.config, run.corpus, Progress()))
    source, shard, rest = named.split("/")
    number, first, last = map(int, re.findall(r"\d+", rest))
    shards = {run.corpus.name_of("train", i): i for i in range(len(run.corpus.lengths("train")))}
    document = shards[f"{source}/{shard}/document {number}"]
    ids = run.corpus.read("train", document, first, last + 1)
    length = work.rows[row].lengths[0]
    assert work.rows[row].ids[1 : length - 1].tolist() == ids[: length - 2].tolist()


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize(
    "name", ["encoder.layers.1.mlp.Wo", "encoder.layers.2.attn.Wqkv", "head.dense"]
)
def test_the_layer_that_broke_is_named(run, name, bad):
    with torch.no_grad():
        run.model.get_submodule(name).weight[0, 0] = bad
    sentence = stopped(run)
    assert sentence.startswith(
        f"step 1: NaN or Inf in the output of {name}, row 1 of 2, documents: "
    )
    assert "The weights were not moved: start a new run with a lower peak_lr" in sentence
    check_document(run, sentence, 0)


def test_the_row_that_broke_is_named(run):
    works = feed(run.config, run.corpus, Progress())
    first, second = next(works).batches
    only_second = set(second.packed.ids.tolist()) - set(first.packed.ids.tolist())
    with torch.no_grad():
        run.model.encoder.embeddings.tok_embeddings.weight[only_second.pop()] = torch.nan
    # The decoder is the same table, so the first row's loss would break too.
    run.model.head.decoder.weight = torch.nn.Parameter(torch.zeros(512, 64))
    with pytest.raises(TrainingError) as caught:
        train(run)
    sentence = str(caught.value)
    assert "output of encoder.embeddings.tok_embeddings, row 2 of 2, documents: " in sentence
    check_document(run, sentence, 1)


def test_a_gradient_that_broke_is_named(run):
    weight = run.model.get_parameter("encoder.layers.1.attn.Wo.weight")
    weight.register_hook(lambda grad: grad * torch.nan)
    sentence = stopped(run)
    assert sentence.startswith(
        "step 1: NaN or Inf in the gradient of encoder.layers.1.attn.Wo.weight, row 1 of 2, "
    )
    check_document(run, sentence, 0)


class Broken(torch.autograd.Function):
    """Passes forward; breaks backward."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.nan


def test_a_gradient_is_traced_to_where_it_broke_first(run):
    layer = run.model.encoder.layers[1]
    layer.register_forward_hook(lambda module, given, output: Broken.apply(output))
    assert "in the gradient of encoder.layers.1.mlp.Wo.weight, row 1 of 2" in stopped(run)


def test_a_run_that_broke_can_go_on_from_its_last_checkpoint(run):
    with torch.no_grad():
        run.model.head.norm.weight[0] = torch.inf
    stopped(run)
    run.close()
    assert [place.name for place in found(run.folder / "checkpoints")] == ["step-00000000"]
    again = runs.resume(run.folder)
    assert again.progress == Progress()
    assert all(torch.isfinite(weight).all() for weight in again.model.parameters())
    again.close()


def test_rows_that_are_finite_alone_blame_their_sum(run):
    weight = run.model.get_parameter("encoder.final_norm.weight")
    weight.register_hook(lambda grad: torch.full_like(grad, 3e38))
    sentence = stopped(run)
    assert sentence.startswith("step 1: NaN or Inf in the sum of the rows' gradients, documents: ")
