"""Training's options: ten steps, a stop and ten more are twenty, bit for bit."""

import dataclasses
import shutil

import pytest

from modernbert.optim.schedule import LengthWarmup
from modernbert.train import run as runs
from modernbert.train.checkpoint import found
from modernbert.train.loop import train
from tests.runs import outcome, rows_of, shortened, small_run, trained

OPTIONS = {
    "lengths that grow": {"length_warmup": LengthWarmup(first_length=4, warmup_tokens=8000)},
    "next tokens": {"objective": "causal"},
    "muon": {"optimizer": "muon"},
}


@pytest.mark.parametrize("fields", OPTIONS.values(), ids=OPTIONS)
def test_a_run_goes_on_exactly(corpus_folder, tmp_path, fields):
    config = shortened(small_run(corpus_folder, save_every_tokens=5000, keep_checkpoints=9), 10_000)
    names = {field.name for field in dataclasses.fields(config.phases[0])}
    phase = dataclasses.replace(
        config.phases[0], **{name: fields[name] for name in fields.keys() & names}
    )
    others = {name: fields[name] for name in fields.keys() - names}
    config = dataclasses.replace(config, phases=(phase,), **others)
    whole = trained(config, tmp_path / "whole").folder
    first, middle, *later = found(whole / "checkpoints")
    cut = shutil.copytree(whole, tmp_path / "cut")
    for place in (cut / "model", *(cut / "checkpoints" / each.name for each in later)):
        shutil.rmtree(place)
    run = runs.resume(cut)
    assert run.progress.step == 10
    assert train(run)
    run.finish()
    run.close()
    assert outcome(cut) == outcome(whole)
    assert len(rows_of(whole / "metrics.jsonl")) == 20
    assert first.name < middle.name
