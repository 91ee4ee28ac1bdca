import json
import shutil
import threading
import time

import pytest

from modernbert.cli import report as verb
from modernbert.cli.main import run


@pytest.fixture
def runs(finished, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for file in ("run.json", "metrics.jsonl", "evaluations.jsonl", "events.jsonl"):
            shutil.copy(finished.folder / file, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments):
    from modernbert.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_the_page_of_one_run_lies_in_its_folder(runs, capsys):
    assert run(["report", "a"]) == 0
    assert "A pretraining run on" in (runs / "a" / "report.html").read_text()
    assert "the report is in a/report.html" in capsys.readouterr().err
    assert run(["report", "b/run.json"]) == 0
    assert (runs / "b" / "report.html").exists()


def test_the_page_of_several_lies_here_or_where_it_is_told(runs, capsys):
    assert run(["report", "a", "b"]) == 0
    assert "2 pretraining runs" in (runs / "runs.html").read_text()
    assert run(["report", "a", "b", "--out", "other.html"]) == 0
    assert (runs / "other.html").read_text() == (runs / "runs.html").read_text()
    assert "the report is in other.html" in capsys.readouterr().err


def test_a_program_reads_the_summary_and_no_page_is_written(runs, capsys):
    assert run(["report", "a", "b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["runs"]] == ["a", "b"]
    assert told["runs"][0]["heldout_loss"]["all"] > 0
    assert (told["differences"], told["cautions"]) == ({}, [])
    assert not list(runs.rglob("*.html"))
    assert run(["report", "a", "--json", "--out", "page.html"]) == 0
    assert (runs / "page.html").exists()


def test_what_is_refused(runs, capsys):
    assert "no run was given: name its folder" in refused(capsys, "report")
    assert "watch is -1: give seconds" in refused(capsys, "report", "a", "--watch", "-1")
    said = refused(capsys, "report", "a", "--json", "--watch", "5")
    assert "--json prints once: leave --watch out" in said
    assert "nothing holds no run: it has no run.json" in refused(capsys, "report", "a", "nothing")
    assert not (runs / "runs.html").exists()


def test_a_page_is_written_again_until_the_runs_have_ended(runs, capsys):
    events = (runs / "a" / "events.jsonl").read_text().splitlines(keepends=True)
    # Other tests have the run that all share write its model again.
    before = [line for line in events if '"finish"' not in line]
    (runs / "a" / "events.jsonl").write_text("".join(before))
    page, seen = runs / "page.html", []

    def train_on():
        while not page.exists():
            time.sleep(0.01)
        seen.append(page.read_text())
        (runs / "a" / "events.jsonl").write_text("".join(events))

    other = threading.Thread(target=train_on)
    other.start()
    assert run(["report", "a", "b", "--out", "page.html", "--watch", "1"]) == 0
    other.join()
    assert '<meta http-equiv="refresh" content="1">' in seen[0]
    assert "refresh" not in page.read_text()
    assert "written anew every 1 s" in capsys.readouterr().err


def test_watching_ends_with_control_c(runs, capsys, monkeypatch):
    def pressed(_seconds):
        raise KeyboardInterrupt

    (runs / "a" / "events.jsonl").unlink()
    monkeypatch.setattr(verb.time, "sleep", pressed)
    assert run(["report", "a", "--watch", "5"]) == 0
    assert "refresh" not in (runs / "a" / "report.html").read_text()
    assert "no longer watching; the runs go on" in capsys.readouterr().err
