import dataclasses

import pytest

from modernbert.evals.evaluate import SUITES
from modernbert.evals.glue import GLUE
from modernbert.evals.published import PUBLISHED
from modernbert.evals.ranking import Outcome, ranked
from modernbert.evals.results import Score, TaskResult, average_of, score_of
from modernbert.train.tune_config import TuneConfig
from modernbert.train.variants import axes_of, variants_of
from tests.unit.evals.test_ranking import summary

TASKS = {task.name: task for task in GLUE.tasks}


def result(name, mean):
    return TaskResult(name, score=Score("the model", mean, None, {}))


def test_an_average_has_the_suite_s_name_only_when_it_is_whole():
    everything = [result(task.name, 80.0) for task in GLUE.tasks]
    assert average_of(GLUE, everything) == (80.0, "GLUE average")
    some = [TaskResult("MNLI", missing="no file"), result("CoLA", 40.0), result("RTE", 60.0)]
    assert average_of(GLUE, some) == (50.0, "average of CoLA, RTE (2 of 8 tasks)")
    failed = [result("CoLA", None)]
    assert average_of(GLUE, failed) == (None, "no task has a score")


def test_scores_are_means_of_measures_and_seeds():
    variants = variants_of(TuneConfig(), axes_of(["seed=1,2,3"]))
    found = [
        Outcome(variant, dataclasses.replace(summary(value), dev={"accuracy": value, "f1": 0.5}))
        for variant, value in zip(variants, (0.5, 0.7, 0.9), strict=True)
    ]
    (group,) = ranked(found)
    score = score_of("the model", TASKS["MRPC"], group)
    assert [run.score for run in score.runs] == pytest.approx([50, 60, 70])
    assert score.mean == pytest.approx(60)
    assert score.measures == pytest.approx({"accuracy": 0.7, "f1": 0.5})
    assert score.spelled == "60.0 ± 24.8"
    (broken,) = ranked([Outcome(variants[0], None, "NaN")])
    score = score_of("the model", TASKS["MRPC"], broken)
    assert (score.spelled, score.failures) == ("failed", ("NaN",))


def test_rates_are_raised_for_narrow_models_and_large_ones_have_their_own():
    task = TASKS["CoLA"]
    assert [axis.values for axis in task.axes(768, is_quick=True)] == [(8e-5,), (1e-6,), (5,)]
    assert task.axes(128, is_quick=True)[0].values == pytest.approx([2.88e-3])
    assert task.axes(1024, is_quick=True)[0].values == (3e-5,)
    grid = task.axes(768, is_quick=False)
    assert [len(axis.values) for axis in grid] == [4, 4, 3]


def test_published_rows_fit_their_suite():
    for name, rows in PUBLISHED.items():
        assert {len(row.scores) for row in rows} == {len(SUITES[name].tasks)}
    base = next(row for row in PUBLISHED["glue"] if row.model == "ModernBERT base")
    assert sum(base.scores) / 8 == pytest.approx(88.45)
