"""From text to a model that fills masks and opens in transformers, by commands alone."""

import json
import signal
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

import modernbert
from modernbert.evals.report import steps_of
from modernbert.train.checkpoint import found
from tests.runs import called, has_rows, outcome, started, struck

SOURCE = Path(modernbert.__file__).parent
OPTIONS = {
    "model.dim": 64,
    "model.mlp-dim": 96,
    "model.num-layers": 3,
    "model.num-heads": 2,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
    "total": "30k",
    "evaluate-tokens": 500,
    "save-every-tokens": 5000,
    **{f"phases.{n}.context-length": length for n, length in enumerate((64, 128, 128))},
    **{f"phases.{n}.row-tokens": 512 for n in range(3)},
    **{f"phases.{n}.batch-tokens": 1024 for n in range(3)},
}
SMALL = [f"--{name}={value}" for name, value in OPTIONS.items()]

pytestmark = pytest.mark.slow


def done(*arguments: str | Path, **more) -> str:
    finished = called(*arguments, **more)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every verb in its turn, the training interrupted once."""
    place = tmp_path_factory.mktemp("story")
    done("train-tokenizer", SOURCE / "base", "--vocab-size", "512", "--out", place / "tokenizer")
    done(
        *("prepare", f"code={SOURCE / 'data'}", SOURCE / "train", "--heldout-fraction", "0.1"),
        *("--tokenizer", place / "tokenizer", "--out", place / "corpus"),
    )
    run = place / "run"
    begun = started("pretrain", "tiny", "--corpus", place / "corpus", "--out", run, *SMALL)
    status, said = struck(begun, signal.SIGINT, has_rows(run, 3))
    assert status == 130, said
    done("pretrain", "--resume", run)
    return place


def test_masks_are_filled(folder):
    model = folder / "run" / "model"
    shown = done("fill", model, "import [MASK] as [MASK]", "--top", "2")
    assert [line.split(":")[0] for line in shown.splitlines()] == ["[MASK] 1", "[MASK] 2"]
    listed = json.loads(done("fill", model, "def [MASK]:", "--as-json"))
    assert len(listed[0]) == 5
    assert listed[0][0].keys() == {"token", "probability", "id"}


def test_transformers_opens_it_and_guesses_the_same(folder):
    place = folder / "run" / "model"
    tokens, theirs = (
        AutoTokenizer.from_pretrained(place),
        AutoModelForMaskedLM.from_pretrained(place),
    )
    ours = modernbert.load(place)
    text = "from pathlib import [MASK]"
    given = tokens(text, return_tensors="pt")
    assert given["input_ids"][0].tolist() == ours.tokenizer.encode(text).tolist()
    at = given["input_ids"][0].tolist().index(tokens.mask_token_id)
    with torch.no_grad():
        best = theirs.eval()(**given).logits[0, at].topk(5).indices.tolist()
    (candidates,) = modernbert.fill(ours, text)
    assert [tokens.decode([token]) for token in best] == [each.token for each in candidates]


def test_every_checkpoint_is_a_model(folder):
    for place in found(folder / "run" / "checkpoints"):
        assert modernbert.load(place).head is not None


def test_a_description_repeats_the_run_bit_for_bit(folder):
    done("pretrain", folder / "run" / "run.json", "--out", folder / "again")
    assert outcome(folder / "again") == outcome(folder / "run")


def test_the_run_describes_itself(folder):
    described = json.loads((folder / "run" / "run.json").read_text())
    assert described["command"][:3] == ["python", "-m", "modernbert"]
    assert described["versions"].keys() >= {"python", "torch", "modernbert"}
    assert abs(sum(phase["tokens"] for phase in described["config"]["phases"]) - 30_000) <= 3
    done("report", folder / "run")
    assert "Hidden tokens in held-out text" in (folder / "run" / "report.html").read_text()
    assert len(steps_of(folder / "run")) >= 29


KEYS = {
    *("seconds", "tokens", "tokens_per_second", "heldout_loss", "heldout_masked_accuracy"),
    *("most_frequent_token_accuracy", "packing_fill", "model", "search"),
}


def test_the_demo_goes_on_after_ctrl_c(tmp_path):
    place = tmp_path / "demo"
    arguments = ("demo", "--minutes", "0.3", "--out", place)
    status, said = struck(started(*arguments), signal.SIGINT, has_rows(place / "run", 2))
    assert status == 130, said
    assert f"go on with the demo: modernbert demo --out {place}" in said
    steps = len(steps_of(place / "run"))
    done(*arguments)
    summary = json.loads((place / "summary.json").read_text())
    assert summary.keys() == KEYS
    assert len(steps_of(place / "run")) > steps
    assert summary["tokens"] == steps_of(place / "run")[-1]["tokens"]
    assert summary["packing_fill"] > 0.95
    assert 0 < summary["most_frequent_token_accuracy"] < 0.5
    assert modernbert.load(summary["model"]).head is not None
    page = (place / "report.html").read_text(encoding="utf-8")
    assert "<mark>" in page
    assert page.count('role="img"') == 10
    assert done(*arguments) == ""
    assert json.loads((place / "summary.json").read_text()) == summary
