"""Runs of shapes with options: trained, stopped, gone on with, and begun from one another."""

import dataclasses

import pytest

from modernbert.base.errors import ConfigError
from modernbert.data.corpus import Corpus
from modernbert.infer.pretrained import load
from modernbert.model.count import parameters
from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from modernbert.train.fit import decided
from modernbert.train.loop import train
from tests.runs import MODEL, outcome, rows_of, small_corpus, small_run, trained

ALL = {"gated_mlp": False, "position": "learned", "norm": "rms", "qk_norm": True}
pytestmark = pytest.mark.filterwarnings("ignore:only this package opens the folder:UserWarning")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def run_of(corpus, **fields):
    config = small_run(corpus, keep_checkpoints=100)
    return dataclasses.replace(config, model=dataclasses.replace(MODEL, **fields))


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    return trained(run_of(corpus, **ALL), tmp_path_factory.mktemp("whole") / "run")


def test_a_shape_with_all_options_learns(whole):
    losses = [row["loss"] for row in rows_of(whole.folder / "metrics.jsonl")]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_the_table_of_positions_is_as_long_as_the_longest_phase_needs(whole, corpus):
    assert whole.config.phases[0].context_length == 32
    assert whole.model.config.max_length == 64
    assert len(whole.model.encoder.embeddings.position_embeddings.weight) == 64
    turned = decided(run_of(corpus, **ALL | {"position": "rotary"}), Corpus.open(corpus)).model
    assert turned.max_length == 32
    assert parameters(whole.config.model) == parameters(turned) + 64 * turned.dim


@pytest.mark.slow
def test_a_stopped_run_goes_on_exactly(whole, corpus, tmp_path):
    run = runs.create(run_of(corpus, **ALL), tmp_path / "run")
    run.close()
    (first,) = found(tmp_path / "run" / "checkpoints")
    assert first.name == "step-00000000"
    run = runs.resume(tmp_path / "run")
    assert train(run)
    run.finish()
    run.close()
    assert outcome(tmp_path / "run") == outcome(whole.folder)


def test_a_finished_run_is_opened_and_reads_as_far_as_it_learned(whole):
    model = load(whole.folder / "model")
    assert dict(model.config.options) == ALL
    vectors = model.embed(["word " * 500, "a"])
    assert vectors.shape == (2, MODEL.dim)


def test_phases_longer_than_the_positions_of_the_first_model_are_refused(whole, corpus):
    start = run_of(corpus, attention_out_dropout=0.0)
    start = dataclasses.replace(start, init_from=str(whole.folder / "model"))
    assert dict(decided(start, Corpus.open(corpus)).model.options) == ALL
    *rest, last = start.phases
    longer = dataclasses.replace(last, context_length=65, row_tokens=256)
    with pytest.raises(ConfigError) as caught:
        decided(dataclasses.replace(start, phases=(*rest, longer)), Corpus.open(corpus))
    assert str(caught.value) == (
        f"phase decay: context_length 65 is more than the 64 positions that {start.init_from} "
        "has learned: lower it, or start from new weights"
    )
