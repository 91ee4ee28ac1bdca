"""How many processes train, and how they share the weights, changes no number."""

import dataclasses
import json
import shutil

import pytest

from modernbert.base.records import to_plain
from modernbert.optim.schedule import LengthWarmup
from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from modernbert.train.loop import train
from tests.dist.launch import same_to_rounding, step_of, together
from tests.runs import outcome, rows_of, shortened, trained

pytestmark = pytest.mark.slow


def cut(folder, target, after=2):
    """Leave a run as it was after so many checkpoints, with the rows of later steps."""
    shutil.copytree(folder, target)
    shutil.rmtree(target / "model")
    for place in found(target / "checkpoints")[after + 1 :]:
        shutil.rmtree(place)
    return target


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_give_the_numbers_of_one(alone, shared, kind):
    same_to_rounding(shared[kind], alone)
    assert len({row["loss"] for row in rows_of(alone / "metrics.jsonl")}) > 30


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_four_processes_do_too(alone, recorded, tmp_path, kind):
    done = together(4, "pretrain", recorded[kind], "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert f"4 processes ({kind}), each cpu" in done.stderr
    assert done.stderr.count("the model is in") == 1
    same_to_rounding(tmp_path / "run", alone)


def test_another_optimizer_is_divided_too(config, recorded, tmp_path):
    told = dataclasses.replace(config, optimizer="adamw", clip_norm=0.5)
    alone = trained(shortened(told, 6000), tmp_path / "alone").folder
    described = json.loads((alone / "run.json").read_text(encoding="utf-8"))["config"]
    described |= {"parallel": "fsdp", "corpus": str(config.corpus)}
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"format": 1, "config": described}), encoding="utf-8")
    done = together(2, "pretrain", file, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    same_to_rounding(tmp_path / "run", alone)
    assert max(row["grad_norm"] for row in rows_of(alone / "metrics.jsonl")) > 0.5


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_options_of_training_are_divided_too(config, corpus_folder, tmp_path, kind):
    growth = LengthWarmup(first_length=8, warmup_tokens=4000)
    first = dataclasses.replace(
        config.phases[0], tokens=6000, objective="causal", length_warmup=growth
    )
    told = dataclasses.replace(
        config,
        phases=(first, dataclasses.replace(config.phases[1], tokens=2600)),
        optimizer="muon",
    )
    alone = trained(told, tmp_path / "alone").folder
    file, folder = tmp_path / "run.json", tmp_path / "run"
    plain = to_plain(dataclasses.replace(told, parallel=kind, corpus=str(corpus_folder)))
    file.write_text(json.dumps({"format": 1, "config": plain}), encoding="utf-8")
    done = together(2, "pretrain", file, "--out", folder)
    assert done.returncode == 0, done.stderr
    same_to_rounding(folder, alone)
    run = runs.resume(cut(folder, tmp_path / "cut", 1))
    assert 0 < run.progress.step < 10
    assert train(run)
    run.finish()
    run.close()
    same_to_rounding(run.folder, alone)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_checkpoint_does_not_say_how_many_wrote_it(alone, shared, kind):
    for mine, other in zip(
        *(found(folder / "checkpoints") for folder in (shared[kind], alone)), strict=True
    ):
        assert mine.name == other.name
        names = [
            {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
            for folder in (mine, other)
        ]
        assert names[0] == names[1]
        assert step_of(mine) == step_of(other)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_what_two_saved_one_goes_on_with(alone, shared, tmp_path, kind):
    run = runs.resume(cut(shared[kind], tmp_path / "run"))
    assert 0 < run.progress.step < 20
    assert train(run)
    run.finish()
    run.close()
    same_to_rounding(run.folder, alone)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize(("processes", "after"), [(2, 2), (2, 3), (4, 3)])
def test_what_two_saved_others_go_on_with(shared, alone, tmp_path, kind, processes, after):
    folder = cut(shared[kind], tmp_path / "run", after)  # the third is of a phase's end
    done = together(processes, "pretrain", "--resume", folder)
    assert done.returncode == 0, done.stderr
    same_to_rounding(folder, alone)
    if processes == 2:
        assert outcome(folder) == outcome(shared[kind])


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_what_one_saved_two_go_on_with(alone, recorded, tmp_path, kind):
    folder = cut(alone, tmp_path / "run")
    description = (folder / "run.json").read_text()
    (folder / "run.json").write_text(description.replace('"ddp"', f'"{kind}"'))
    done = together(2, "pretrain", "--resume", folder)
    assert done.returncode == 0, done.stderr
    same_to_rounding(folder, alone)


def test_recomputed_layers_and_probes_of_a_divided_model_change_no_number(
    recorded, alone, tmp_path
):
    rows = [{"text": f"{'abcde'[n % 5] * 3} {n}", "label": "xy"[n % 2]} for n in range(60)]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--checkpoint-activations", "--keep-checkpoints", "1")
    options += ("--probes", str(tmp_path / "labels.jsonl"))
    done = together(2, "pretrain", recorded["fsdp"], "--out", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    same_to_rounding(tmp_path / "run", alone)
    assert len(rows_of(tmp_path / "run" / "probes.jsonl")) == 3
    ends = [step_of(place) for place in found(tmp_path / "run" / "checkpoints")]
    assert len(ends) == 4  # the newest, which ends a phase, the ends before it, and the one before


@pytest.mark.filterwarnings("ignore:only this package opens the folder:UserWarning")
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_options_of_the_shape_are_shared_too(config, tmp_path, kind):
    options = {"gated_mlp": False, "position": "learned", "norm": "rms", "qk_norm": True}
    model = dataclasses.replace(config.model, **options)
    config = dataclasses.replace(config, model=model, parallel=kind)
    recorded = tmp_path / "run.json"
    recorded.write_text(json.dumps({"format": 1, "config": to_plain(config)}))
    done = together(2, "pretrain", recorded, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    same_to_rounding(tmp_path / "two", trained(config, tmp_path / "one").folder)
