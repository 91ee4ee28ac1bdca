"""`modernbert plan`: pages, JSON, and sentences for what cannot be planned."""

import json
import subprocess
import sys

import pytest
from benchmarks.rows import HERE

from modernbert.cli.main import main
from modernbert.cli.plan_page import columns
from modernbert.data.corpus import Corpus
from modernbert.train.description import describe
from tests.runs import small_corpus, small_run


def told(capsys, *arguments) -> str:
    """Return what a command that succeeds prints."""
    with pytest.raises(SystemExit) as caught:
        main(["plan", *arguments])
    assert caught.value.code == 0
    return capsys.readouterr().out


def refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["plan", *arguments])
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def line(page: str, first: str) -> list[str]:
    (found,) = [each for each in page.splitlines() if each.strip().startswith(first)]
    return found.strip().removeprefix(first).split()


def test_a_page_says_what_base_takes(capsys):
    page = told(capsys, "modernbert-base", "--price", "2")
    assert page.startswith("modernbert-base on 8 x H100 SXM 80 GB, ddp, bfloat16\n149,655,232")
    assert line(page, "rows a step and device") == ["6", "6", "6"]
    assert line(page, "fits") == ["yes", "yes", "yes"]
    assert line(page, "MFLOP a token") == ["824.1", "1353.0", "1353.0"]
    hours = [float(each) for each in line(page, "hours")]
    assert hours == pytest.approx([191.1, 36.3, 7.5], rel=0.06)
    cost = float(line(page, "cost")[0].replace(",", ""))
    assert cost == pytest.approx(2 * 8 * sum(hours), rel=1e-3)
    assert "whole while in use" not in page
    assert "fitted on ModernBERT's published hours on H100s" in page


def test_options_change_the_page(capsys):
    page = told(
        capsys,
        *("modernbert-base", "--device", "l4", "--gpus", "4", "--parallel", "fsdp"),
        *("--checkpoint-activations", "--phases.0.row-tokens", "49152", "--mfu", "0.3"),
    )
    assert page.startswith("modernbert-base on 4 x L4 24 GB, fsdp, bfloat16, layers recomputed")
    assert line(page, "fits") == ["yes", "yes", "yes"]
    assert line(page, "row, tokens")[0] == "49,152"
    assert len(line(page, "whole while in use")) == 3
    assert line(page, "cost") == ["give", "--price"]
    assert "stated: 30% of the peak" in page


def test_a_row_that_does_not_fit_is_said(capsys):
    page = told(capsys, "modernbert-base", "--device", "l4")
    assert line(page, "fits") == ["NO", "NO", "NO"]
    assert "with --phases.0.row-tokens 32768 it does, and a step has as many tokens" in page
    page = told(capsys, "modernbert-base", "--device", "l4", "--phases.0.row-tokens", "32768")
    assert line(page, "fits") == ["yes", "NO", "NO"]


def test_total_scales_hours_and_steps(capsys):
    whole, tenth = (
        json.loads(told(capsys, "modernbert-base", "--json", *more))
        for more in ([], ["--total", "201.9B"])
    )
    assert whole["hours"] == pytest.approx(10 * tenth["hours"])
    assert whole["phases"][0]["steps"] == pytest.approx(10 * tenth["phases"][0]["steps"], abs=10)


def test_json_holds_the_page(capsys):
    found = json.loads(told(capsys, "ettin-17m", "--gpus", "4", "--json"))
    assert found["recipe"] == "ettin-17m"
    assert found["parameters"] == 16_913_600
    assert found["cost"] is found["here"] is None
    first = found["phases"][0]
    assert first["memory_bytes"] == sum(first["memory"].values())
    assert found["device_hours"] == pytest.approx(
        4 * sum(each["hours"] for each in found["phases"])
    )
    assert found["kilowatt_hours"] == pytest.approx(0.7 * found["device_hours"])
    assert first["efficiency"]["source"].startswith("fitted on")


def test_published_hours_stand_beside_planned_ones(capsys):
    page = told(capsys, "--check")
    assert line(page, "ettin-1b")[0] == "2170.0"
    assert line(page, "modernbert-base pretrain *")[:2] == ["191.1", "194.2"]
    plain = json.loads(told(capsys, "--check", "--json"))
    assert [each["is_fitted"] for each in plain] == [True] * 6 + [False] * 6
    assert all(abs(each["error"]) < 0.3 for each in plain)


def test_a_run_can_be_planned_again(capsys, tmp_path):
    corpus = small_corpus(tmp_path / "corpus")
    (tmp_path / "run").mkdir()
    run = small_run(corpus)
    text = json.dumps(describe(run, Corpus.open(corpus), tmp_path / "run"))
    (tmp_path / "run" / "run.json").write_text(text)
    page = told(capsys, str(tmp_path / "run" / "run.json"), "--gpus", "2", "--device", "cpu")
    assert line(page, "documents of") == ["32", "64", "64"]
    assert line(page, "rows a step and device") == ["1", "1", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "error: there is no recipe 'nope'"),
        (["--gpus", "4"], "error: a recipe comes first: write `modernbert plan modernbert-base"),
        (["tiny", "--device", "h10"], "error: there is no device 'h10': did you mean h100?"),
        (["tiny", "--gpus", "0"], "error: gpus is 0 and price 0.0: give 1 device or more"),
        (["modernbert-base", "--gpus", "7"], "cannot share evenly: give --gpus 6 or 8"),
        (["modernbert-base", "--mfu", "7"], "error: mfu is 7.0: give a share of the peak"),
        (
            ["modernbert-base", "--mfu", "0.5", "--measured", "x"],
            "error: both --mfu and --measured say how fast a device is: give one of them",
        ),
        (["modernbert-base", "--measured", "absent"], "error: absent cannot be read: give a file"),
        (["modernbert-base", "--device", "here"], "error: --device here measures one device, and"),
        (["modernbert-base", "--total", "x"], "error: 'x' is not a number of tokens"),
        (["absent.json"], "error: absent.json does not exist: give the run.json of a run"),
        (["tiny", "--phases.0.row-tokens", "9"], "phase pretrain: a chunk of context_length 512"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_a_precision_is_named_or_bfloat16(capsys):
    pages = [
        told(capsys, "modernbert-base", *more)
        for more in ([], ["--precision", "bfloat16"], ["--precision", "float32"])
    ]
    assert pages[0] == pages[1]
    assert "ddp, float32" in pages[2]
    assert "carried over: nothing is published of H100 SXM 80 GB in float32" in pages[2]


def test_rows_of_the_project_give_speeds(capsys):
    page = told(
        capsys,
        *("tiny", "--gpus", "1", "--device", "cpu", "--precision", "float32"),
        *("--measured", str(HERE / "training.jsonl")),
    )
    assert f"measured: {HERE / 'training.jsonl'}, line" in page


def test_a_plan_loads_no_torch():
    code = (
        "import sys\nfrom modernbert.cli.main import main\ntry:\n    main(['plan', 'tiny', "
        "'--gpus', '1'])\nexcept SystemExit:\n    assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_this_machine_is_measured(capsys):
    found = json.loads(
        told(capsys, "tiny", "--gpus", "1", "--device", "here", "--precision", "float32", "--json")
    )
    here = found["here"]
    assert here["measured_tokens_per_second"] > 0
    assert found["phases"][0]["efficiency"]["share"] == here["efficiency"]["share"]
    # At the share that was measured, a plan for the same rows is the measurement.
    assert 0.2 < found["phases"][0]["tokens_per_second"] / here["measured_tokens_per_second"] < 5
    assert here["device"]["watts"] == 0
    page = told(capsys, "tiny", "--gpus", "1", "--device", "here", "--precision", "float32")
    assert page.startswith("a few steps here")
    assert "energy" in page
    assert "nobody said what this machine draws" in page


def test_columns_are_aligned():
    assert columns([["a", "10", "x"], ["bcd", "1", "yy"]]) == ["a    10   x", "bcd   1  yy"]


def test_muon_remembers_less(capsys):
    command = ("modernbert-base", "--gpus", "8", "--json", "--optimizer")
    found = [json.loads(told(capsys, *command, each)) for each in ("stable_adamw", "muon")]
    sizes = [each["checkpoints"]["size_bytes"] for each in found]
    moments = [each["phases"][0]["memory"]["moments"] for each in found]
    assert sizes[0] - sizes[1] == moments[0] - moments[1] > 4e8
