import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from modernbert.base.errors import ConfigError, MachineError
from modernbert.bench import forward
from modernbert.bench.cases import ForwardCase
from modernbert.bench.encoding import answers
from modernbert.bench.runtimes import OURS, PRODUCTS, RUNTIMES
from modernbert.bench.sides import agreement, timed
from modernbert.bench.worker import Failure, Worker
from modernbert.cli.main import run
from modernbert.model import folder
from modernbert.model.init import build
from modernbert.model.presets import PRESETS

SMALL = ForwardCase(case="queries", model="tiny", documents=3, rounds=2)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_compares_runtimes_that_agree(precision, tmp_path):
    asked = ["--case", "queries", "--model", "tiny", "--documents", "3", "--rounds", "2"]
    given = [*asked, "--precision", precision, "--runtimes", "transformers"]
    assert run(["bench", "forward", *given, "--out", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "forward.jsonl").read_text())
    found = row["runtimes"]
    assert set(found) == {OURS, PRODUCTS, "transformers"}
    assert found[OURS]["ours_is_faster"] == 1
    assert 0 < found["transformers"]["largest_difference"] < 0.1
    assert all(each["tokens_per_second"] > 0 for each in found.values())
    assert row["share_of_products_rate"] > 0
    assert row["documents"] == 3


# Looked for, not imported: they belong into processes of their own.
@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("onnxruntime", "openvino"))), reason="needs the extra 'bench'"
)
def test_every_other_runtime_gives_the_same_vectors():
    case = ForwardCase(
        case="queries",
        model="tiny",
        documents=3,
        rounds=2,
        runtimes=("onnxruntime", "openvino f32"),
    )
    found = forward.measure(case)["runtimes"]
    assert [name for name, facts in found.items() if "failed" in facts] == []


@pytest.mark.slow
def test_a_runtime_that_dies_fails_alone(tmp_path):
    folder.write(build(PRESETS["tiny"], 0, None), tmp_path)
    with Worker(partial(answers, OURS, tmp_path, SMALL), threads=1) as worker:
        assert len(worker.ask("rows")) == 1
        worker._process.kill()
        worker._process.join()
        assert worker.ask("seconds") == Failure("its process ended with status -9")
        facts = {}
        assert timed(worker, "transformers", facts, is_needed=False) is None
        assert facts == {"failed": "while it was timed, its process ended with status -9"}
        with pytest.raises(MachineError, match="modernbert failed while it was timed"):
            timed(worker, OURS, {}, is_needed=True)


@pytest.mark.slow
def test_a_runtime_that_cannot_start_says_why(tmp_path):
    with Worker(partial(answers, OURS, tmp_path / "absent", SMALL), threads=1) as worker:
        found = worker.ask("rows")
    assert isinstance(found, Failure)
    assert "CheckpointError" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_measurement_leaves_nothing(number, status, tmp_path):
    asked = ["--case", "queries", "--model", "tiny", "--rounds", "1000000", "--runtimes"]
    command = "from modernbert.cli.main import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", command, "bench", "forward", *asked, "transformers"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    while not list(tmp_path.glob("*/model.safetensors")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.killpg(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == status
    assert b"Traceback" not in out + err
    assert not list(tmp_path.glob("*/model.safetensors"))


def test_vectors_that_differ_are_not_timed():
    ours = [np.zeros((2, 3), dtype=np.float32)]
    for wrong in (0.1, np.nan):
        found = agreement([ours[0] + np.float32(wrong)], ours, 1e-3)
        assert found["failed"].startswith("its vectors differ by")
    assert agreement(ours, ours, 1e-3) == {"largest_difference": 0.0}
    assert agreement(Failure("no memory"), ours, 1e-3) == {"failed": "no memory"}


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ConfigError, match="there is no preset 'tinny': did you mean tiny"):
        forward.measure(ForwardCase(model="tinny"))
    with pytest.raises(ConfigError, match="'onxruntime' for float32: did you mean onnxruntime"):
        forward.measure(ForwardCase(runtimes=("onxruntime",)))
    with pytest.raises(ConfigError, match="'onnxruntime' for bfloat16"):
        forward.measure(ForwardCase(precision="bfloat16", runtimes=("onnxruntime",)))


def test_our_rate_counts_attention():
    config = PRESETS["modernbert-base"]
    facts = {OURS: {"tokens_per_second": 500.0}, PRODUCTS: {"tokens_per_second": 600.0}}
    short, long = ([[24] * 8], [[8192]])
    assert 500 / 600 < forward._share(facts, config, short) < forward._share(facts, config, long)


def test_the_tables_of_the_readme_know_every_runtime():
    from benchmarks import tables

    assert set(tables.RUNTIMES) == set(RUNTIMES) - {OURS, PRODUCTS}
