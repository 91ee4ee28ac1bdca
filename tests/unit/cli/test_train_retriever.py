"""The command line of training retrievers and of mining."""

import signal
import sys

import pytest

from modernbert.base.errors import ConfigError, MachineError, TrainingError
from modernbert.cli.main import run
from tests.pairs import rows, write_rows
from tests.runs import called, has_rows, rows_of, started, struck, untrained
from tests.sentence_folders import made

SMALL = (
    *("--batch-size", "8", "--mini-batch", "4", "--epochs", "2", "--evaluations", "3"),
    *("--lr", "1e-3", "--threads", "1", "--precision", "float32", "--device", "cpu"),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", rows(52))


def test_what_a_training_needs_is_asked_for(plain):
    for words in ((), ("--pairs", "x"), ("--out", "x")):
        with pytest.raises(ConfigError, match="training a retriever needs a kind and a model, --p"):
            run(["train-retriever", "dense", str(plain), *words])
    with pytest.raises(ConfigError, match="--resume takes no other option"):
        run(["train-retriever", "--resume", "x", "--seed", "3"])


def test_a_missing_package_is_named(plain, pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MachineError, match=r"pip install 'modernbert\[train-retriever\]'"):
        run(["train-retriever", "dense", str(plain), "--pairs", str(pairs), "--out", str(tmp_path)])


@pytest.mark.slow
def test_nothing_but_this_package_speaks(plain, pairs, tmp_path):
    out = tmp_path / "out"
    ran = called("train-retriever", "sparse", plain, "--pairs", pairs, "--out", out, *SMALL)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    said = [line for line in ran.stderr.splitlines() if not line.startswith("training:")]
    assert [line.split(":")[0] for line in said] == [
        str(pairs),
        "47 pairs with 0 negatives; contrastive, 8 a step, rate 1.0e-03, temperature 1",
        "cpu with 1 threads, float32",
        "measured on 5 queries among 52 documents",
        "before training",
        "step 3",
        "step 7",
        "step 10",
        f"the best model is in {out / 'model'}",
    ]
    again = called("train-retriever", "--resume", out)
    assert (again.returncode, "is finished" in again.stderr) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_was_struck_goes_on(plain, pairs, tmp_path, number, status):
    whole, out = tmp_path / "whole", tmp_path / "out"
    asked = ("train-retriever", "dense", plain, "--pairs", pairs, *SMALL)
    assert called(*asked, "--out", whole).returncode == 0
    ended, said = struck(started(*asked, "--out", out), number, has_rows(out, 5))
    assert ended == status
    if number == signal.SIGINT:
        assert f"go on with: modernbert train-retriever --resume {out}" in said
    assert called("train-retriever", "--resume", out).returncode == 0
    files = [folder / "model" / "model.safetensors" for folder in (whole, out)]
    assert files[0].read_bytes() == files[1].read_bytes()
    steps = [[row["loss"] for row in rows_of(each / "metrics.jsonl")] for each in (whole, out)]
    assert steps[0] == steps[1]


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run(plain, pairs, tmp_path):
    words = [word if word != "1e-3" else "1e30" for word in SMALL]
    asked = ("train-retriever", "dense", str(plain), "--pairs", str(pairs))
    with pytest.raises(TrainingError, match=r"the loss of step \d is no number any more: lower"):
        run([*asked, "--out", str(tmp_path / "out"), *words])


def test_mining_says_what_it_passed_over(pairs, tmp_path, capsys):
    made().save(tmp_path / "model")
    out = tmp_path / "mined.jsonl"
    asked = ("mine", str(tmp_path / "model"), "--pairs", str(pairs), "--out", str(out))
    assert run([*asked, "--number", "2", "--relative-margin", "0.99"]) == 0
    said = capsys.readouterr().err
    assert f"pairs with 2 negatives each are in {out}" in said
    assert "passed over:" in said
    assert len(rows_of(out)) == 52 - said.count("left out") * int(
        said.partition("left out: ")[2].partition(" ")[0] or 0
    )
