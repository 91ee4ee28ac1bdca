"""Compiled layers train like eager ones, alone, with recomputed activations and with adapters."""

import pytest
import torch

from modernbert.base.device import Autocast
from modernbert.batch import pack
from modernbert.data.corpus import Corpus
from modernbert.model.config import HeadConfig
from modernbert.model.init import build, with_head
from modernbert.optim.groups import decay_groups
from modernbert.optim.stable_adamw import StableAdamW
from modernbert.train import lora, parallel
from modernbert.train.feed import Progress, feed
from modernbert.train.step import accumulate, move
from modernbert.train.tune_config import TuneConfig
from tests.nets import documents_of
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


def gradients(prepare) -> dict[str, torch.Tensor]:
    """Return what two backward passes in float64 give adapters and the head."""
    model = with_head(build(MODEL, 0), HeadConfig(kind="sequence", labels=("a", "b")), 0)
    lora.add(model, TuneConfig(lora_rank=4), "start")
    prepare(model.double().train())
    torch.manual_seed(0)
    for length in (9, 17):  # the second one is traced with sizes that vary
        model(pack(documents_of([length, 30], vocab=MODEL.vocab_size))).square().sum().backward()
    return {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


def test_traced_adapters_get_the_same_gradients():
    traced = gradients(lambda model: through_the_compiler(model, recompute=False))
    eager = gradients(lambda model: None)
    assert traced.keys() == eager.keys()
    for name, grad in traced.items():
        torch.testing.assert_close(grad, eager[name])
