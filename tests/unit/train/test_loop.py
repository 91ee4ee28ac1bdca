import dataclasses
import os
import signal

import pytest
import torch

from modernbert.base.device import Autocast
from modernbert.base.rng import key
from modernbert.data.heldout import heldout
from modernbert.tasks.mlm import MaskedLM
from modernbert.train import run as runs
from modernbert.train.checkpoint import found, read_state
from modernbert.train.description import config_of, read_description
from modernbert.train.evaluate import MASK_RATE, evaluate
from modernbert.train.feed import Progress, feed
from modernbert.train.loop import train
from modernbert.train.trial import tokens_per_second
from tests.corpora import make_corpus
from tests.runs import rows_of, shortened, trained

CPU = Autocast(torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def short(config):
    """Six steps of one phase."""
    return dataclasses.replace(shortened(config, 2600), evaluate_tokens=0, save_every_tokens=0)


@pytest.fixture(scope="module")
def plain(short, tmp_path_factory):
    return trained(short, tmp_path_factory.mktemp("plain") / "run")


def losses(run):
    return [row["loss"] for row in rows_of(run.folder / "metrics.jsonl")]


def test_recomputing_activations_changes_no_bit(short, plain, tmp_path):
    run = trained(dataclasses.replace(short, checkpoint_activations=True), tmp_path / "run")
    assert losses(run) == losses(plain)
    ours, theirs = run.model.state_dict(), plain.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_evaluating_and_saving_change_no_bit(short, plain, tmp_path):
    busy = dataclasses.replace(
        short, evaluate_tokens=500, evaluate_every_tokens=1, save_every_tokens=1
    )
    assert losses(trained(busy, tmp_path / "run")) == losses(plain)


def test_the_seed_decides(short, plain, tmp_path):
    assert losses(trained(dataclasses.replace(short, seed=18), tmp_path / "run")) != losses(plain)


def test_a_limit_on_gradients_shortens_those_above_it_alone(short, plain, tmp_path):
    wide = trained(dataclasses.replace(short, clip_norm=1e6), tmp_path / "wide")
    assert losses(wide) == losses(plain)
    tight = trained(dataclasses.replace(short, clip_norm=1e-3), tmp_path / "tight")
    norms = [
        [row["grad_norm"] for row in rows_of(run.folder / "metrics.jsonl")]
        for run in (tight, plain)
    ]
    assert norms[0][0] == norms[1][0]  # as it was before
    assert losses(tight)[:2] != losses(plain)[:2]


def test_adamw_takes_steps_that_are_not_shortened(short, plain, tmp_path):
    run = trained(dataclasses.replace(short, optimizer="adamw"), tmp_path / "run")
    assert losses(run)[0] == losses(plain)[0]
    assert losses(run)[1:] != losses(plain)[1:]
    told = (run.folder / "model" / "README.md").read_text(encoding="utf-8")
    assert "AdamW with betas" in told
    assert "StableAdamW" not in told


@pytest.mark.slow
def test_bfloat16_learns_nearly_the_same(short, plain, tmp_path):
    run = trained(dataclasses.replace(short, precision="bfloat16"), tmp_path / "run")
    assert {weight.dtype for weight in run.model.parameters()} == {torch.float32}
    assert losses(run) != losses(plain)
    # bfloat16 keeps 8 bits: a mean over hundreds of tokens strays by less than one part in 2^8.
    for ours, theirs in zip(losses(run), losses(plain), strict=True):
        assert abs(ours - theirs) < theirs / 2**8


def test_a_request_to_stop_is_followed_after_the_step(config, tmp_path, capsys):
    run = runs.create(config, tmp_path / "run")
    last_of_phase = next(w.step for w in feed(config, run.corpus, Progress()) if w.ends_phase)

    def ask(module, given, output):
        if run.progress.step == last_of_phase - 1:
            handle.remove()
            os.kill(os.getpid(), signal.SIGINT)

    handle = run.model.encoder.final_norm.register_forward_hook(ask)
    assert train(run) is False
    run.close()
    assert run.progress.step == last_of_phase
    last = found(run.folder / "checkpoints")[-1]
    assert read_state(last).progress == run.progress
    # Stopping at the end of a phase must not make its checkpoint a passing one.
    assert read_state(last).ends_phase
    expected = f"stopped after step {last_of_phase}; continue with: modernbert pretrain --resume"
    assert expected in capsys.readouterr().err


def test_what_was_left_open_is_decided_once(config, corpus, tmp_path):
    run = runs.create(dataclasses.replace(config, precision="auto", threads=0), tmp_path / "run")
    run.close()
    written = config_of(run.folder)
    assert written.precision in ("float32", "bfloat16")
    assert written.threads == torch.get_num_threads()
    assert written.model.vocab_size == corpus.vocab_size
    assert written.model.pad_id == corpus.tokenizer.pad_id
    description = read_description(run.folder)
    assert description.keys() >= {"versions", "machine", "command", "commit", "config"}


def test_a_trial_measures_a_speed_and_leaves_nothing(short, corpus_folder):
    before = sorted(corpus_folder.rglob("*"))
    assert 10 < tokens_per_second(short, seconds=0.2) < 1e9
    assert sorted(corpus_folder.rglob("*")) == before


def test_evaluation_is_repeatable_and_leaves_the_model_as_it_was(plain, corpus):
    plain.model.train()
    first = evaluate(plain.model, corpus, CPU, 32, 500)
    assert first == evaluate(plain.model, corpus, CPU, 32, 500)
    assert plain.model.training
    assert [each.source for each in first] == ["books", "code"]


def test_evaluation_reads_as_much_as_it_is_told(plain, corpus):
    few, many = (evaluate(plain.model, corpus, CPU, 32, tokens) for tokens in (100, 800))
    assert sum(e.hidden for e in few) < sum(e.hidden for e in many)


def test_evaluation_is_the_loss_of_the_plain_model(plain, corpus):
    """Every number again, from full logits of each chunk alone."""
    task = MaskedLM.of(corpus.tokenizer, MASK_RATE, key(0, "evaluation"))
    (measured, _) = evaluate(plain.model, corpus, CPU, 32, 500)
    usual, rows = int(corpus.unigram_counts().argmax()), []
    plain.model.eval()
    for row in heldout(
        corpus, "books", context_length=32, micro_batch_tokens=16_384, max_tokens=500
    ):
        batch = task.collate(row)
        with torch.no_grad():
            logits = plain.model(batch.packed)[batch.positions].double()
        picked = logits.log_softmax(1).gather(1, batch.targets[:, None])[:, 0]
        hits = logits.argmax(1) == batch.targets
        rows += zip(picked.tolist(), hits.tolist(), (batch.targets == usual).tolist(), strict=True)
    assert measured.hidden == len(rows)
    columns = list(zip(*rows, strict=True))
    assert measured.loss == pytest.approx(-sum(columns[0]) / len(rows), rel=1e-6)
    assert measured.masked_accuracy == sum(columns[1]) / len(rows)
    assert measured.most_frequent_token_accuracy == sum(columns[2]) / len(rows)


def test_a_corpus_without_held_out_text_is_not_evaluated(plain, tmp_path):
    corpus = make_corpus(tmp_path, {"books": 5}, heldout_fraction=0.0)
    assert evaluate(plain.model, corpus, CPU, 32, 500) == []


def test_a_phase_brings_its_own_decay_even_after_one_without(config, tmp_path):
    first, second, _ = config.phases
    bare = dataclasses.replace(first, weight_decay=0.0)
    decaying = dataclasses.replace(second, weight_decay=0.5)
    run = runs.create(dataclasses.replace(config, phases=(bare, decaying)), tmp_path / "run")
    run.enter(decaying)
    assert [group["weight_decay"] for group in run.optimizer.param_groups] == [0.5, 0.0]
    run.close()
