"""Runs that start from weights: of a model, or of another run with its moments."""

import dataclasses
import json

import pytest
import torch

from modernbert.base.errors import CheckpointError, ConfigError
from modernbert.base.records import to_plain
from modernbert.cli.pretrain import pretrain
from modernbert.model import folder as model_folder
from modernbert.model.config import HeadConfig
from modernbert.model.init import with_head
from modernbert.optim.schedule import LengthWarmup, Schedule
from modernbert.train import checkpoint
from modernbert.train import run as runs
from modernbert.train.beginning import branched, checkpoint_of
from modernbert.train.config import RunConfig
from modernbert.train.description import config_of
from modernbert.train.loop import train
from tests.corpora import make_corpus
from tests.runs import phase, rows_of, shortened, small_run, trained, weights_of


@pytest.fixture
def told(finished):
    """The finished run's text and phases, to be started otherwise."""
    return config_of(finished.folder)


def begun(config: RunConfig, folder):
    run = runs.create(config, folder)
    run.close()
    return run


def same(run, weights):
    mine = weights_of(run)
    return all(torch.equal(mine[name], weight) for name, weight in weights.items())


def test_a_run_starts_from_a_model(finished, told, tmp_path):
    source = str(finished.folder / "model")
    run = begun(dataclasses.replace(told, init_from=source), tmp_path / "run")
    weights = dict(model_folder.read(finished.folder / "model").named_parameters())
    assert same(run, weights)
    assert not run.optimizer.state
    assert run.progress.step == 0
    assert run.config.model.attention_out_dropout == told.model.attention_out_dropout
    assert not same(begun(told, tmp_path / "other"), weights)


def test_a_model_without_a_decoder_gets_one(finished, told, tmp_path):
    model = model_folder.read(finished.folder / "model")
    head = HeadConfig(kind="sequence", labels=("a", "b"))
    model_folder.write(with_head(model, head, 3), tmp_path / "model")
    for path in (finished.folder / "model").glob("*token*"):
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    run = begun(dataclasses.replace(told, init_from=str(tmp_path / "model")), tmp_path / "run")
    embeddings = model.encoder.embeddings.tok_embeddings.weight
    assert torch.equal(run.model.head.decoder.weight, embeddings)
    assert run.model.head.decoder.weight is run.model.encoder.embeddings.tok_embeddings.weight


def test_thetas_of_zero_are_those_of_the_model(finished, told, tmp_path):
    first = dataclasses.replace(told.phases[0], global_rope_theta=0, local_rope_theta=0)
    config = dataclasses.replace(told, phases=(first,))
    model = str(finished.folder / "model")
    kept = begun(dataclasses.replace(config, init_from=model), tmp_path / "a").config.phases[0]
    assert (kept.global_rope_theta, kept.local_rope_theta) == (160_000.0, 10_000.0)
    with pytest.raises(ConfigError, match="keeps the thetas of the model that the run starts from"):
        begun(config, tmp_path / "b")


def test_a_branch_takes_weights_moments_and_the_count_of_steps(finished, told, tmp_path):
    (_, _, third, *_) = checkpoint.found(finished.folder / "checkpoints")
    fell = phase("fall", tokens=2000, schedule=Schedule(decay_tokens=2000))
    branch = dataclasses.replace(told, phases=(fell,), branch=str(third))
    run = runs.create(branch, tmp_path / "run")
    steps = checkpoint.read_state(third).optimizer_steps
    assert steps > 0
    assert {group["step"] for group in run.optimizer.param_groups} == {steps}
    assert same(run, dict(model_folder.read(third).named_parameters()))
    moments = checkpoint.moments_of(run.model, run.optimizer)
    assert len(moments) == 2 * len(list(run.model.named_parameters()))
    assert all(each.abs().max() > 0 for each in moments.values())
    assert train(run)
    run.finish()
    run.close()
    (*_, last) = checkpoint.found(run.folder / "checkpoints")
    assert checkpoint.read_state(last).optimizer_steps == steps + run.progress.step
    assert rows_of(run.folder / "metrics.jsonl")[0]["step"] == 1


def test_a_branch_keeps_the_optimizer_and_what_it_remembers(told, tmp_path):
    whole = trained(shortened(dataclasses.replace(told, optimizer="muon"), 2600), tmp_path / "run")
    fallen = branched(config_of(whole.folder), checkpoint.found(whole.folder / "checkpoints")[-1])
    run = begun(fallen, tmp_path / "fallen")
    mine, theirs = (checkpoint.moments_of(x.model, x.optimizer) for x in (run, whole))
    assert {name.rpartition(".")[2] for name in mine} == {"momentum", "exp_avg", "exp_avg_sq"}
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    other = dataclasses.replace(fallen, optimizer="stable_adamw")
    with pytest.raises(ConfigError, match=r"stable_adamw cannot go on from .*, whose optimizer r"):
        begun(other, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_stopped_branch_goes_on_exactly(finished, told, tmp_path):
    (_, _, third, *_) = checkpoint.found(finished.folder / "checkpoints")
    fell = phase("fall", tokens=3000, schedule=Schedule(decay_tokens=3000))
    branch = dataclasses.replace(
        told, phases=(fell,), branch=str(third), save_every_tokens=1000, keep_checkpoints=9
    )
    whole = runs.create(branch, tmp_path / "whole")
    assert train(whole)
    whole.close()
    (_, second, *rest) = checkpoint.found(whole.folder / "checkpoints")
    for place in rest:
        place.rename(tmp_path / place.name)
    assert checkpoint.read_state(second).progress.step > 0
    again = runs.resume(whole.folder)
    assert train(again)
    again.close()
    assert same(again, weights_of(whole))


def test_the_command_branches_into_the_decay_of_the_other_run(finished, tmp_path):
    place = checkpoint.found(finished.folder / "checkpoints")[2]
    words = ["--branch", str(place), "--out", str(tmp_path / "run"), "--phases.0.peak-lr", "1e-3"]
    assert pretrain(words) == 0
    written = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    (only,) = written["phases"]
    assert (only["name"], only["peak_lr"]) == ("decay", 1e-3)
    assert only["schedule"] == dataclasses.asdict(config_of(finished.folder).phases[-1].schedule)
    repeated = config_of(tmp_path / "run")
    assert repeated.branch == str(place)


def test_the_command_begins_with_next_tokens(told, tmp_path):
    file, out = tmp_path / "told.json", tmp_path / "run"
    short = dataclasses.replace(told, phases=told.phases[:1], evaluate_tokens=0)
    file.write_text(json.dumps({"format": 1, "config": to_plain(short)}), encoding="utf-8")
    assert pretrain([str(file), "--out", str(out), "--causal-share", "0.5"]) == 0
    phases = config_of(out).phases
    assert [(each.name, each.objective) for each in phases] == [
        ("causal", "causal"),
        ("pretrain", "masked"),
    ]
    rows = rows_of(out / "metrics.jsonl")
    assert [row["phase"] for row in rows] == ["causal"] * 6 + ["pretrain"] * 6
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "none: next tokens guessed" in card
    assert "30%" in card


def test_a_run_without_a_decay_is_left_for_a_tenth_of_its_phase(finished, told):
    growth = LengthWarmup(first_length=8, warmup_tokens=3000)
    first = dataclasses.replace(told.phases[0], length_warmup=growth)
    open_ended = dataclasses.replace(told, phases=(first,))
    saved = checkpoint.found(finished.folder / "checkpoints")[1]
    (fell,) = branched(open_ended, saved).phases
    assert (fell.name, fell.tokens) == ("pretrain-decay", told.phases[0].tokens // 10)
    assert fell.length_warmup == LengthWarmup()
    assert fell.schedule.at(fell.tokens, fell.tokens) == 0
    assert fell.schedule.at(0, fell.tokens) == 1


def test_a_run_is_its_newest_checkpoint(finished):
    assert checkpoint_of(finished.folder) == checkpoint.found(finished.folder / "checkpoints")[-1]
    with pytest.raises(CheckpointError, match="has no trainer state"):
        checkpoint_of(finished.folder / "model")


def test_another_tokenizer_is_refused(finished, tmp_path):
    corpus = make_corpus(tmp_path, {"books": 20})
    model = finished.folder / "model"
    other = tmp_path / "model"
    other.mkdir()
    for path in model.iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    content = json.loads((other / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Lowercase"}
    (other / "tokenizer.json").write_text(json.dumps(content))
    config = small_run(corpus.folder, init_from=str(other))
    with pytest.raises(ConfigError) as caught:
        runs.create(config, tmp_path / "run")
    assert str(caught.value) == (
        f"{other} has another tokenizer than {corpus.folder}: prepare the text with "
        f"`--tokenizer {other}`, or give the model this one by `modernbert swap-vocabulary`"
    )


def test_two_starts_and_shapes_beside_one_are_refused(finished, tmp_path):
    with pytest.raises(ConfigError, match="--init-from and --branch both say"):
        small_run(tmp_path, init_from="a", branch="b")
    corpus = config_of(finished.folder).corpus
    words = ["tiny", "--init-from", "model", "--corpus", corpus, "--out", str(tmp_path / "run")]
    with pytest.raises(
        ConfigError, match=r"^--model\.dim follows from the model that the run starts"
    ):
        pretrain([*words, "--model.dim", "64"])
