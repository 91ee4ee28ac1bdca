"""Suites as they are typed: learned, gone on with, missing parts named, the hub asked."""

import json
import signal

import pytest

from modernbert.evals.options import SEEDS
from modernbert.infer.pretrained import load
from tests.glue import sentences, write_cola, write_mnli, write_rte
from tests.loopback import Hub, Repository, commit_of, running
from tests.runs import called, has_rows, rows_of, started, struck, untrained
from tests.unit.evals.test_report import read

pytestmark = pytest.mark.slow

FAST = ("--device", "cpu", "--sweep", "precision=float32", "epochs=2", "peak-lr=3e-3")


@pytest.fixture
def place(tmp_path):
    untrained(tmp_path / "model")
    return tmp_path


def asked(place, suite, *more):
    return ["evaluate", suite, place / "model", "--out", place / "out", *more, *FAST]


def test_glue_is_learned_once_and_its_scorecard_stands_alone(place):
    for name, write in (("MNLI", write_mnli), ("RTE", write_rte), ("CoLA", write_cola)):
        write(place / "glue" / name)
    given = asked(place, "glue", "--data", place / "glue", "--quick", "--baselines", "--jobs", "2")
    done = called(*given)
    assert done.returncode == 0, done.stderr
    out = place / "out"
    record = json.loads((out / "results.json").read_text())
    tasks = {task["task"]: task for task in record["tasks"]}
    assert next(iter(tasks)) == "CoLA"
    assert tasks["RTE"]["started_from"] == "MNLI"
    assert json.loads((next((out / "runs" / "rte-after-mnli").glob("*.json"))).read_text())[
        "start"
    ]["model"].startswith(str(out / "runs" / "mnli"))
    assert tasks["MNLI"]["started_from"] == "the model"
    assert set(tasks["MNLI"]["score"]["measures"]) == {"accuracy (dev)", "accuracy (test)"}
    assert "holds no folder SST-2" in tasks["SST-2"]["missing"]
    assert record["averaged"] == "average of CoLA, MNLI, RTE (3 of 8 tasks)"
    assert "SST-2 is missing" in done.stdout
    assert record["averaged"] in done.stdout
    by = [score["by"] for score in tasks["RTE"]["others"]]
    assert by[1:] == ["TF-IDF and a linear model", "the same shape from random weights"]
    assert tasks["RTE"]["settings"]["peak_lr"] == 3e-3
    page = read((out / "scorecard.html").read_text())
    text = " ".join(page.text)
    assert "published [2]" in text
    assert "[1] Warner et al., arXiv 2412.13663, table 5." in text
    assert "holds no folder QQP" in text
    rte = f"RTE ({tasks['RTE']['rows']['dev']} examples here, 277 there)"
    assert rte in text
    assert "Not the dev parts that published scores are of" in done.stderr
    # The same again repeats nothing; one seed more is one run more of each task.
    before = {path: path.stat().st_mtime_ns for path in out.glob("r*/*/*/metrics.jsonl")}
    again = called(*given, "--seeds", "2", "--as-json")
    assert again.returncode == 0, again.stderr
    after = {path: path.stat().st_mtime_ns for path in out.glob("r*/*/*/metrics.jsonl")}
    assert before.items() <= after.items()
    assert (len(before), len(after)) == (6, 12)
    told = {task["task"]: task for task in json.loads(again.stdout)["tasks"]}
    assert [run["seed"] for run in told["CoLA"]["score"]["runs"]] == [19, 8364]
    assert told["CoLA"]["score"]["half_width"] is not None


def test_a_grid_is_searched_and_only_its_best_models_stay(place):
    write_cola(place / "glue" / "CoLA")
    given = asked(place, "glue", "--data", place / "glue", "--tasks", "cola", "--seeds", "2")
    done = called(*given, "weight-decay=0,1e-5")
    assert done.returncode == 0, done.stderr
    task = json.loads((place / "out" / "results.json").read_text())["tasks"][0]
    assert (task["num_tried"], len(task["score"]["runs"])) == (2, 2)
    models = list(place.glob("out/runs/cola/*/model"))
    assert len(models) == 2
    assert all(load(model).head.config.labels == ("0", "1") for model in models)
    assert len(list(place.glob("out/runs/cola/*/summary.json"))) == 3


def test_an_evaluation_that_is_stopped_goes_on_with_the_same_command(place):
    write_cola(place / "glue" / "CoLA")
    given = [*asked(place, "glue", "--data", place / "glue", "--quick", "--tasks", "CoLA")]
    given[-2:] = ["epochs=60", "peak-lr=3e-3"]
    name = f"peak-lr=0.003,weight-decay=1e-06,epochs=60,precision=float32,seed={SEEDS[0]}"
    run = place / "out" / "runs" / "cola" / name
    status, said = struck(started(*given), signal.SIGINT, has_rows(run, 9))
    assert status == 130
    assert "go on with the same command" in said
    steps = rows_of(run / "metrics.jsonl")
    assert called(*given).returncode == 0
    assert rows_of(run / "metrics.jsonl")[: len(steps)] == steps


def test_other_sets_are_measured_on_their_test_parts(place):
    rows = [
        {"text": t, "label": side, "fold": n % 10} for n, (t, side) in enumerate(sentences(40, 0))
    ]
    (place / "sets" / "movie_reviews").mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (place / "sets" / "movie_reviews" / "all.jsonl").write_text(lines)
    (place / "sets" / "GUM").mkdir()
    for part in ("train", "test"):
        (place / "sets" / "GUM" / f"{part}.conll").write_text("every\tO\nplace\tB-x\n\n" * 12)
    given = asked(place, "labels", "--data", place / "sets", "--quick", "--baselines")
    done = called(*given)
    assert done.returncode == 0, done.stderr
    tasks = json.loads((place / "out" / "results.json").read_text())["tasks"]
    found = {task["task"]: task["score"] for task in tasks if task["score"]}
    assert set(found) == {"movie reviews", "GUM"}
    assert found["GUM"]["mean"] == 100.0
    assert "average of movie reviews, GUM (2 of 6 tasks)" in done.stdout
    read((place / "out" / "scorecard.html").read_text())


def test_glue_comes_from_the_hub(place):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for part, seed in (("train", 0), ("validation", 1), ("test", 2)):
        rows = [{"sentence": t, "label": side, "idx": 0} for t, side in sentences(24, seed)]
        path = place / "repository" / "cola" / f"{part}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(rows), path)
    (place / "repository" / "README.md").write_text("rows")
    names = {"main": commit_of(0)}
    repository = Repository({commit_of(0): place / "repository"}, names)
    given = asked(place, "glue", "--quick", "--tasks", "CoLA", "MNLI")
    with running(Hub({"nyu-mll/glue": repository})) as hub:
        more = {"HF_HOME": str(place / "cache"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        done = called(*given, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0", NO_PROXY="127.0.0.1", **more)
    assert done.returncode == 0, done.stderr
    assert hub.fetched() == {
        f"cola/{part}-00000-of-00001.parquet" for part in ("train", "validation")
    }
    assert "MNLI is missing" in done.stdout
    with running(Hub()) as hub:
        more["HF_HOME"] = str(place / "empty")
        done = called(*given, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0", NO_PROXY="127.0.0.1", **more)
    assert "the hub has no data set nyu-mll/glue, or it is private" in done.stderr


@pytest.mark.parametrize(
    ("suite", "more", "sentence"),
    [
        ("glue", ["--data", "none"], "none is no folder: give the one that holds"),
        ("labels", [], "the sets of labels are in no one place: name theirs with --data"),
        ("glue", ["--data", ".", "--tasks", "mlni"], "there is no task 'mlni' in glue"),
        ("glue", ["--data", ".", "--seeds", "10"], "--seeds is 10: give 1 to 9"),
        ("glue", ["--data", ".", "--jobs", "-1"], "--jobs and --max-train-rows cannot be"),
        ("glue", ["--data", "empty"], "nothing of glue can be measured: empty holds no folder"),
    ],
)
def test_what_is_missing_is_a_sentence(place, suite, more, sentence, monkeypatch):
    monkeypatch.chdir(place)
    (place / "empty").mkdir()
    done = called(*asked(place, suite, *more))
    assert done.returncode == 2
    assert sentence in done.stderr


def test_seeds_are_counted_and_not_swept(place):
    given = asked(place, "glue", "--data", place)
    done = called(*given, "seed=1,2")
    assert "--sweep names seeds: say how many with --seeds" in done.stderr
