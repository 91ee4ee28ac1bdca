import json
import re
import shutil

import pytest

from modernbert.base.errors import CheckpointError, MachineError
from modernbert.evals.chart import Series, chart
from modernbert.evals.chart_marks import LANE, Mark, look
from modernbert.evals.report import write_page
from modernbert.evals.run_curves import smoothed
from modernbert.evals.run_summary import compared, has_ended, summary_of
from modernbert.evals.seen_run import names, see, see_all
from tests.runs import rows_of
from tests.unit.evals.test_report import read


@pytest.fixture
def copies(finished, tmp_path):
    """Three runs that are the same, to be made different."""

    def copied(name):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        for file in ("run.json", "metrics.jsonl", "evaluations.jsonl", "events.jsonl"):
            shutil.copy(finished.folder / file, folder)
        place = folder / "checkpoints" / "step-00000000"
        place.mkdir()
        kept = finished.folder / "checkpoints" / "step-00000000"
        first = kept if kept.exists() else next((finished.folder / "checkpoints").iterdir())
        shutil.copy(first / "tokenizer.json", place)
        return folder

    return [copied(name) for name in ("first", "second", "third")]


def changed(folder, **values):
    """Write other values into the configuration of a run, a dotted name each."""
    told = json.loads((folder / "run.json").read_text())
    for name, value in values.items():
        place = told
        *way, last = name.split("__")
        for part in way:
            place = place[int(part)] if part.isdigit() else place[part]
        place[last] = value
    (folder / "run.json").write_text(json.dumps(told))


def shifted(folder, by):
    """Add something to the losses on held-out text."""
    rows = rows_of(folder / "evaluations.jsonl")
    moved = [json.dumps({**row, "loss": row["loss"] + by}) + "\n" for row in rows]
    (folder / "evaluations.jsonl").write_text("".join(moved))


def page_of(folders):
    target = folders[0].parent / "page.html"
    write_page(see_all(folders), target)
    text = target.read_text(encoding="utf-8")
    return text, read(text)


def test_a_summary_is_what_the_rows_say(finished):
    rows = rows_of(finished.folder / "metrics.jsonl")
    found = summary_of(see(finished.folder))
    assert (found.state, found.steps, found.tokens) == ("finished", len(rows), rows[-1]["tokens"])
    assert (found.ranks, found.resumes) == (1, 0)
    assert found.planned_tokens == finished.config.tokens
    assert found.seconds == pytest.approx(sum(row["seconds"] for row in rows))
    assert found.tokens_per_second == pytest.approx(found.tokens / found.seconds)
    assert found.loss == pytest.approx(sum(row["loss"] for row in rows[-20:]) / 20)
    measured = rows_of(finished.folder / "evaluations.jsonl")
    means = [row for row in measured if row["source"] == "all"]
    assert found.heldout_loss.keys() == {"books", "code", "all"}
    assert found.heldout_loss["all"] == means[-1]["loss"]
    best = min(means, key=lambda row: row["loss"])
    assert (found.best_loss, found.best_tokens) == (best["loss"], best["tokens"])


def test_runs_of_the_same_may_be_compared_and_the_best_stands_out(copies):
    shifted(copies[1], -0.5)
    text, page = page_of(copies)
    comparison = compared(see_all(copies))
    assert (comparison.cautions, comparison.heldout_is_comparable) == ([], True)
    assert comparison.differences == {}
    best = f"<strong>{comparison.runs[1].heldout_loss['all']:.3f}</strong>"
    assert text.count(best) == 1
    assert page.tags.count("figure") == 10
    legend = {text.strip("\N{NO-BREAK SPACE}") for text in page.text}
    assert legend >= {"first", "second", "third"}
    assert "None: the runs were asked for the same." in page.text


def test_settings_that_differ_are_a_table(copies):
    changed(copies[0], config__phases__0__peak_lr=1e-4, config__seed=3, machine__cores=64)
    found = compared(see_all(copies)).differences
    assert found == {
        "phases.0.peak_lr": [1e-4, 3e-3, 3e-3],
        "seed": [3, 17, 17],
        "machine.cores": [64, found["machine.cores"][1], found["machine.cores"][1]],
    }
    _, page = page_of(copies)
    assert {"phases.0.peak_lr", "0.0001", "0.003"} <= {*page.text}


def test_what_a_later_version_decides_by_default_is_no_difference(copies):
    told = json.loads((copies[0] / "run.json").read_text())
    del told["config"]["track"]
    (copies[0] / "run.json").write_text(json.dumps(told))
    assert compared(see_all(copies)).differences == {}


def test_a_configuration_of_an_unknown_version_is_shown_as_it_is(copies):
    changed(copies[0], config__of_the_future=1)
    assert compared(see_all(copies)).differences == {"of_the_future": [1, None, None]}
    page_of(copies)


def test_losses_of_other_tokenizers_are_not_compared(copies):
    place = copies[2] / "checkpoints" / "step-00000000" / "tokenizer.json"
    place.write_text(place.read_text() + " ")
    changed(copies[2], corpus_fingerprint="another")
    (tokenizers, corpora) = compared(see_all(copies)).cautions
    assert "different tokenizers" in tokenizers
    assert "different corpora" in corpora
    text, page = page_of(copies)
    assert tokenizers in page.text
    assert "<strong>" not in text.split("held-out loss, all")[1].split("lowest")[0]


def test_other_shares_of_hidden_tokens_are_named(copies):
    changed(copies[1], config__phases__0__mask_rate=0.15)
    found = compared(see_all(copies))
    assert ["hide different shares" in each for each in found.cautions] == [True]
    assert found.heldout_is_comparable


def test_a_branch_that_hides_as_much_in_fewer_phases_is_no_other(copies):
    path = copies[1] / "run.json"
    description = json.loads(path.read_text())
    del description["config"]["phases"][1:]
    path.write_text(json.dumps(description))
    assert not compared(see_all(copies)).cautions


def test_runs_without_a_step_or_events_stand_beside_others(copies):
    for name in ("metrics.jsonl", "evaluations.jsonl", "events.jsonl"):
        (copies[0] / name).unlink()
    (copies[1] / "events.jsonl").unlink()
    (copies[1] / "model").mkdir()
    _, page = page_of(copies)
    said = " ".join(page.text)
    assert "No step was taken yet: first." in said
    assert "as an older version made it: first, second." in said
    states = [run.state for run in compared(see_all(copies)).runs]
    assert states == ["not finished", "finished", "finished"]
    assert [has_ended(run) for run in see_all(copies)] == [False, True, True]
    assert "No step was taken yet." in page_of(copies[:1])[1].text


def test_rows_of_older_versions_lack_numbers(copies):
    rows = rows_of(copies[0] / "metrics.jsonl")
    for row in rows:
        del row["mfu"]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (copies[0] / "metrics.jsonl").write_text(text + '{"step": 99}\n{"step": 100, "tok')
    assert see(copies[0]).rows == rows
    assert summary_of(see(copies[0])).mfu is None
    page_of(copies)
    page_of(copies[:1])


def test_events_are_marked_in_the_lane_of_their_run(copies):
    last = rows_of(copies[1] / "events.jsonl")[-1]
    middle = rows_of(copies[1] / "metrics.jsonl")[20]
    resume = {**last, "kind": "resume", "step": middle["step"], "tokens": middle["tokens"]}
    with (copies[1] / "events.jsonl").open("a") as file:
        file.write(json.dumps(resume) + "\n")
    text, page = page_of(copies)
    assert f"second: resumed, step {middle['step']}, " in text
    assert text.count('<path class="through s1 d1"') == 2  # against tokens and against time
    assert "first: checkpoint, step 0, 0 tokens" in page.text
    assert summary_of(see(copies[1])).state == "not finished"


def test_phases_of_other_plans_are_marked_by_run(copies):
    changed(copies[0], config__phases__0__name="another")
    text, _ = page_of(copies)
    assert "third: phase context begins" in text
    assert '<rect class="b0"' not in text
    assert '<rect class="b0"' in page_of(copies[1:])[0]


def test_names_are_as_long_as_it_takes(tmp_path):
    assert names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert names([tmp_path / "x" / "run", tmp_path / "y" / "run"]) == ["x/run", "y/run"]
    assert names([tmp_path / "a", tmp_path / "a"]) == ["a", "a"]


def test_names_of_runs_are_escaped(copies):
    odd = copies[0].rename(copies[0].with_name("<i>&run"))
    text, page = page_of([odd, copies[1]])
    assert "i" not in page.tags
    assert "&lt;i&gt;&amp;run" in text


def test_runs_of_other_commands_are_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1, "config": {"seed": 1}}')
    with pytest.raises(CheckpointError, match="holds a run of another command"):
        see(tmp_path)
    with pytest.raises(CheckpointError, match="holds no run"):
        see_all([tmp_path / "nothing"])


def test_what_cannot_be_read_is_named(copies):
    (copies[0] / "metrics.jsonl").unlink()
    (copies[0] / "metrics.jsonl").mkdir()
    with pytest.raises(MachineError, match=r"first cannot be read: Is a directory"):
        see(copies[0])


def test_means_leave_out_what_is_no_number():
    nan = float("nan")
    assert smoothed([1.0, nan, 3.0]) == [1.0, 1.0, 3.0]
    assert str(smoothed([nan])) == "[nan]"


def test_twenty_four_lines_look_different():
    assert len({look(number) for number in range(24)}) == 24


def test_signs_stand_below_the_plot_in_lanes():
    marks = [Mark("checkpoint", x, lane, "said") for x in (0, 5, 10) for lane in (0, 1)]
    drawn = chart("t", [Series("s", [0, 10], [1.0, 2.0])], marks=[*marks, *marks])
    places = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", drawn)
    assert len(places) == 6  # the second of each pair lies on the first
    heights = sorted({float(y) for _, y in places})
    assert heights[1] - heights[0] == LANE
    assert heights[0] > 240 - 26
    assert 'viewBox="0 0 720 266"' in drawn
    assert "checkpoint</span>" in drawn
