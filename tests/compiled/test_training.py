"""Compiled layers train like eager ones, alone and with recomputed activations."""

import pytest
import torch

from modernbert.base.device import Autocast
from modernbert.data.corpus import Corpus
from modernbert.model.init import build
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import parallel
from modernbert.train.feed import Progress, feed
from modernbert.train.step import accumulate, move
from tests.runs import MODEL, shortened, small_corpus, small_run

# The tracer itself looks at gradients of activations and makes instances of functions.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated"),
]
CPU = Autocast(torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def losses(corpus_folder, prepare) -> list[float]:
    """Take four steps."""
    config = shortened(small_run(corpus_folder), 2000)
    model = build(MODEL, config.seed).train()
    prepare(model)
    optimizer = StableAdamW(decay_groups(model.named_parameters(), 0.01), lr=3e-3)
    found = []
    for work in feed(config, Corpus.open(corpus_folder), Progress()):
        found.append(accumulate(model, work, CPU, config.seed).loss)
        move(optimizer, work.lr)
    return found


def through_the_compiler(model, *, recompute: bool) -> None:
    """Trace every layer as `compile` does, without a compiler behind: dropout stays eager's."""
    parallel.prepare(model, checkpoint_activations=recompute, compile_layers=False)
    for layer in model.encoder.layers:
        layer.compile(backend="eager", dynamic=True)


@pytest.mark.parametrize("recompute", [False, True])
def test_traced_layers_train_bit_for_bit(corpus_folder, recompute):
    traced = losses(corpus_folder, lambda model: through_the_compiler(model, recompute=recompute))
    assert traced == losses(corpus_folder, lambda model: None)
