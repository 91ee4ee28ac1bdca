"""A run whose corpus lies in a store: the numbers of the folder's, also when it was away."""

import shutil

import fsspec
import pytest

from modernbert.base.errors import ConfigError, MachineError
from modernbert.data import store as stores
from modernbert.train import run as runs
from modernbert.train.description import config_of
from modernbert.train.loop import train
from tests.dist.launch import same_to_rounding, together
from tests.runs import called, outcome, rows_of, small_corpus, small_run, trained
from tests.s3 import Bucket, serving

NOTHING_GB = 1e-9


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def local(corpus, tmp_path_factory):
    return trained(small_run(corpus), tmp_path_factory.mktemp("local") / "run").folder


@pytest.fixture
def there(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("MODERNBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "_WAITS_S", (0.0, 0.0, 0.0))
    files = fsspec.filesystem("memory")
    files.put(str(corpus), "/store/corpus", recursive=True)
    yield files
    files.rm("/store", recursive=True)


@pytest.mark.parametrize("room", [NOTHING_GB, 1.0])
def test_numbers_are_those_of_the_folder(local, there, tmp_path, room):
    config = small_run("memory://store/corpus", cache_gb=room)
    trained(config, tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(local)
    assert config_of(tmp_path / "run").corpus == "memory://store/corpus"


def test_a_store_that_goes_away_leaves_a_run_that_goes_on(
    local, there, corpus, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    run = runs.create(small_run("memory://store/corpus", cache_gb=NOTHING_GB), folder)
    monkeypatch.setattr(there, "cat_file", Away(there.cat_file, 120))
    with pytest.raises(MachineError, match=r"cannot be reached: memory://store/corpus/.*\(gone\)"):
        train(run)
    run.close()
    assert 0 < len(rows_of(folder / "metrics.jsonl")) < len(rows_of(local / "metrics.jsonl"))
    with pytest.raises(MachineError, match="cannot be reached"):
        runs.resume(folder)
    monkeypatch.undo()
    monkeypatch.setenv("MODERNBERT_CACHE", str(tmp_path / "cache"))
    run = runs.resume(folder)
    assert train(run)
    run.finish()
    run.close()
    assert outcome(folder) == outcome(local)


class Away:
    """Reads until it was asked so many times, then never again."""

    def __init__(self, read, times: int) -> None:
        self.read, self.left = read, times

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("gone")
        return self.read(*args, **kwargs)


def test_a_run_in_a_store_may_move_to_a_folder(local, there, corpus, tmp_path):
    folder = tmp_path / "run"
    runs.create(small_run("memory://store/corpus"), folder).close()
    run = runs.resume(folder, str(corpus))
    assert train(run)
    run.finish()
    run.close()
    assert outcome(folder) == outcome(local)


def test_a_negative_cache_is_refused(corpus):
    with pytest.raises(ConfigError, match="cache_gb is -1: give GB, 0 or more"):
        small_run(corpus, cache_gb=-1.0)


@pytest.mark.slow
def test_the_command_line_trains_from_s3_alone_and_together(corpus, tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="the extra s3fs is not installed")
    monkeypatch.setenv("MODERNBERT_CACHE", str(tmp_path / "cache"))
    usual = ("pretrain", "tiny", "--total", "100k", "--device", "cpu", "--precision", "float32")
    usual += ("--threads", "1", "--evaluate-tokens", "2000")
    for phase in ("0", "1", "2"):
        sizes = {"row-tokens": 2048, "context-length": 256, "batch-tokens": 4096}
        usual += tuple(x for k, v in sizes.items() for x in (f"--phases.{phase}.{k}", str(v)))
    ids = sum(path.stat().st_size for path in corpus.rglob("*.ids"))
    rest = sum(path.stat().st_size for path in corpus.rglob("*") if path.is_file()) - ids
    bound = rest + ids // 2
    with serving(Bucket("bucket", corpus.parent)) as bucket:
        for name, value in bucket.environment().items():
            monkeypatch.setenv(name, value)
        for name, place in (("local", corpus), ("alone", "s3://bucket/corpus")):
            done = called(
                *usual, "--corpus", place, "--cache-gb", bound / 1e9, "--out", tmp_path / name
            )
            assert done.returncode == 0, done.stderr
        done = together(
            2,
            *usual,
            "--corpus",
            "s3://bucket/corpus",
            "--cache-gb",
            bound / 1e9,
            "--out",
            tmp_path / "both",
        )
        assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "alone") == outcome(tmp_path / "local")
    same_to_rounding(tmp_path / "both", tmp_path / "local")
    used = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert rest < used <= bound
    shutil.rmtree(tmp_path / "cache")
    done = called("pretrain", "--resume", tmp_path / "alone")
    assert done.returncode == 2
    assert "the store cannot be reached: s3://bucket/corpus/manifest.json" in done.stderr
