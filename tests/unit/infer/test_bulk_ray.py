import os
import signal
import sys
import time

import pytest

from modernbert.base.errors import CheckpointError, ConfigError, MachineError
from modernbert.infer import bulk_ray
from modernbert.infer.bulk import embed_corpus
from modernbert.infer.bulk_shard import Work
from modernbert.infer.embeddings import read_facts
from tests.corpora import texts
from tests.runs import called, started, struck
from tests.sentence_folders import made
from tests.unit.infer.test_bulk import contents, options, write

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
RAY = ("--engine", "ray", "--threads", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    made().save(folder)
    return str(folder)


def test_a_cluster_writes_the_same_bytes_and_says_nothing(model, tmp_path):
    documents = write(tmp_path / "d.jsonl", texts(90, longest=100))
    embed_corpus(model, [documents], tmp_path / "here", options(shard_documents=20))
    asked = ("embed", model, documents, "--shard-documents", "20", "--out", tmp_path / "there")
    ran = called(*asked, *RAY)
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("documents: ")]
    assert (ran.stdout, len(lines)) == ("", 2), ran.stderr
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_cluster_ends_and_the_command_goes_on(model, tmp_path, number):
    documents, out = write(tmp_path / "d.jsonl", texts(600, longest=200)), tmp_path / "out"
    asked = ("embed", model, documents, "--out", out, "--shard-documents", "20")
    running = started(*asked, *RAY)
    status, said = struck(running, number, (out / "00000.npy").exists)
    assert (status, "Traceback" in said) == (128 + number, False), said
    until = time.monotonic() + 30
    while left := workers_of(out):
        assert time.monotonic() < until, left
        time.sleep(0.1)
    assert not read_facts(out).is_finished
    there = len(list(out.glob("[0-9]*.npy")))
    again = called(*asked, "--threads", "1")
    assert again.returncode == 0, again.stderr
    assert f"{30 - there} of 30 shards to do" in again.stderr
    embed_corpus(model, [documents], tmp_path / "whole", options(shard_documents=20))
    assert contents(out) == contents(tmp_path / "whole")


def workers_of(out):
    """Return the processes that still have a file of this folder open."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            files = [os.readlink(f"/proc/{name}/fd/{n}") for n in os.listdir(f"/proc/{name}/fd")]
        except OSError:
            continue
        found += [name for file in files if file.startswith(str(out))]
    return found


@pytest.fixture(scope="module")
def ray():
    with bulk_ray._cluster() as cluster:
        yield cluster


def test_a_lost_worker_is_told_where_no_other_helps(ray):
    task = ray.remote(max_retries=0)(die)
    with pytest.raises(MachineError, match="a shard's worker was lost 4 times"):
        bulk_ray._waited(ray, [task.remote()], print)


def die():
    os._exit(1)


def test_a_lost_worker_is_followed_by_another(ray, tmp_path):
    heard, mark = [], tmp_path / "was here"
    task = ray.remote(max_retries=3)(die_once)
    assert bulk_ray._waited(ray, [task.remote(str(mark))], heard.append) == []
    assert heard == [7]


def die_once(mark):
    if not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(1)
    return 7


def test_a_refusal_of_a_worker_is_the_users(ray, model, tmp_path):
    documents = write(tmp_path / "d.jsonl", ["a"])
    embed_corpus(model, [documents], tmp_path / "out", options())
    made(num_layers=3).save(tmp_path / "other")
    work = Work(str(tmp_path / "other"), str(tmp_path / "out"), "cpu", 1)
    task = ray.remote(bulk_ray.embed_shard)
    with pytest.raises(CheckpointError, match="another model on one of the machines"):
        bulk_ray._waited(ray, [task.remote(work, 0, [])], print)


def test_room_is_what_the_cluster_has():
    work = Work("model", "out", "auto", 2)
    assert bulk_ray._room({"CPU": 8.0}, work) == ({"num_cpus": 2, "num_gpus": 0}, 4)
    needs = {"num_cpus": 2, "num_gpus": 1}
    assert bulk_ray._room({"CPU": 8.0, "GPU": 1.0}, work) == (needs, 1)
    with pytest.raises(ConfigError, match="--threads is 2: the cluster has 1 processors"):
        bulk_ray._room({"CPU": 1.0}, work)


def test_a_cluster_that_is_not_there_is_told(model, tmp_path):
    documents = write(tmp_path / "d.jsonl", ["a"])
    asked = ("embed", model, documents, "--out", tmp_path / "out", *RAY)
    ran = called(*asked, RAY_ADDRESS="nowhere")
    assert (ran.returncode, "there is no Ray cluster at nowhere" in ran.stderr) == (2, True)
    assert "Traceback" not in ran.stderr


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MachineError, match=r"--engine ray needs Ray: pip install 'modernbert\[ray"),
        bulk_ray._cluster(),
    ):
        pass
