"""The same work by jobs of Slurm, whose programs are played here, and by a Ray cluster."""

import os
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("datatrove", reason="datatrove is not installed")

from modernbert.base.errors import MachineError
from modernbert.data.clean.blocks.executors import run_on_ray
from modernbert.data.clean.clean import clean
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.options import CleanOptions, RunOptions, Slurm
from tests.unit.data.clean.planted import prose, write_lines

pytestmark = pytest.mark.slow

SBATCH = """#!/bin/bash
# Runs each task of the script at once, as a cluster with one node would.
for script; do :; done
number=$(cat "$QUEUE" 2>/dev/null || echo 0)
echo $((number + 1)) > "$QUEUE"
for argument; do case $argument in --export=ALL,*) export "${argument#--export=ALL,}";; esac; done
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 "$last"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=$number SLURM_NODELIST=here bash "$script" >&2 || true
done
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/bash
shift 3
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo here
"""
SLURM = Slurm(partition="cpu", time="0:30:00", memory_gb=3)


def sources(folder):
    return {"a": [write_lines(folder / f"{n}.jsonl.gz", [prose(n), prose(9)]) for n in range(3)]}


def contents(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


OPTIONS = CleanOptions(task_bytes=1)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put programs of the names of Slurm's in the way."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("QUEUE", str(tmp_path / "queue"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


def here(folder):
    clean(sources(folder), {}, folder / "here", OPTIONS, RunOptions(workers=1), say=print)
    return contents(folder / "here")


def test_jobs_of_a_cluster_write_the_same(tmp_path, cluster):
    run, said = RunOptions(executor="slurm", slurm=SLURM), []
    out = tmp_path / "out"
    assert clean(sources(tmp_path), {}, out, OPTIONS, run, say=said.append) is None
    assert said == ["7 jobs are submitted: repeat the command when they have ended"]
    report = clean(sources(tmp_path), {}, out, OPTIONS, run, say=said.append)
    assert report.sources[0].kept_documents == 4
    assert contents(out) == here(tmp_path)


def test_jobs_that_have_not_ended_are_waited_for_or_submitted_again(tmp_path, cluster):
    run, said = RunOptions(executor="slurm", slurm=SLURM), []
    arguments = (sources(tmp_path), {}, tmp_path / "out", OPTIONS)
    clean(*arguments, run, say=said.append)
    done = tmp_path / "out" / ".work" / "logs"
    (done / "write" / "completions" / "00001").unlink()
    assert clean(*arguments, run, say=said.append) is None
    assert said[-1].startswith(
        "27 of 28 tasks are done: repeat the command when the jobs have ended"
    )
    again = RunOptions(executor="slurm", slurm=Slurm(partition="cpu", again=True))
    assert clean(*arguments, again, say=said.append) is None
    assert clean(*arguments, run, say=said.append) is not None


def test_a_dry_run_writes_the_scripts_of_the_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    run, said = (
        RunOptions(workers=2, executor="slurm", slurm=Slurm(partition="cpu", dry_run=True)),
        [],
    )
    out = tmp_path / "out"
    assert clean(sources(tmp_path), {}, out, OPTIONS, run, say=said.append) is None
    assert re.match(
        "7 scripts were written, and none was submitted: .*launch_script.slurm", said[0]
    )
    script = (out / ".work" / "logs" / "filter" / "launch_script.slurm").read_text()
    assert script.startswith("#!/bin/bash\n#SBATCH --cpus-per-task=1\n#SBATCH --mem-per-cpu=4G\n")
    for line in (
        "partition=cpu",
        "time=4:00:00",
        "array=0-2%2",
        "job-name=modernbert-clean-filter",
    ):
        assert f"#SBATCH --{line}\n" in script
    pickled = out / ".work" / "logs" / "filter" / "executor.pik"
    assert re.search(rf"srun .*launch_pickled_pipeline {re.escape(str(pickled))}\n", script)
    assert pickled.is_file()


def test_a_machine_without_sbatch_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    run = RunOptions(executor="slurm", slurm=SLURM)
    with pytest.raises(MachineError, match="there is no sbatch here: run the command where jobs"):
        clean(sources(tmp_path), {}, tmp_path / "out", OPTIONS, run, say=print)


def test_an_sbatch_that_refuses_is_told(tmp_path, cluster):
    (tmp_path / "programs" / "sbatch").write_text("#!/bin/bash\nexit 1\n")
    run = RunOptions(executor="slurm", slurm=SLURM)
    with pytest.raises(MachineError, match=r"sbatch refused a job \(.*exit status 1"):
        clean(sources(tmp_path), {}, tmp_path / "out", OPTIONS, run, say=print)


def test_a_ray_cluster_writes_the_same(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    run = RunOptions(workers=2, executor="ray")
    clean(sources(tmp_path), {}, tmp_path / "out", OPTIONS, run, say=print)
    assert contents(tmp_path / "out") == here(tmp_path)


def test_what_a_task_on_ray_refuses_is_told(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": 1}\n')
    run = RunOptions(workers=1, executor="ray")
    with pytest.raises(Exception, match=r"a\.jsonl, line 1: 'text' is not a text"):
        clean({"a": [path]}, {}, Path(tmp_path / "out"), OPTIONS, run, say=print)


def test_a_ray_cluster_that_is_not_there_is_told(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    run = RunOptions(workers=1, executor="ray")
    with pytest.raises(MachineError, match="there is no Ray cluster at nowhere"):
        clean(sources(tmp_path), {}, tmp_path / "out", OPTIONS, run, say=print)


def test_a_missing_ray_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MachineError, match=r"--executor ray needs Ray: pip install 'modernbert\[r"):
        run_on_ray([], Folders(tmp_path), 1)
