"""Planted faults are found, good texts are kept, and a stopped work goes on."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("datatrove", reason="datatrove is not installed")

from modernbert.base.errors import DataError, MachineError
from modernbert.data.clean import clean as module
from modernbert.data.clean.clean import clean
from modernbert.data.clean.options import CleanOptions, RunOptions
from modernbert.data.clean.report import read_report
from modernbert.data.documents import read
from modernbert.evals.clean_report import page
from tests.unit.data.clean.planted import prose, read_lines, write_lines

pytestmark = pytest.mark.slow

GOOD = [prose(number) for number in range(40)]
NEAR = [prose(number).replace("Number", "Nummer") for number in range(5)]
POOR = [
    "This is too short a text to learn anything from it.",
    prose(700, 45),
    *(f"He said that house {n} on the hill was old.\n" * 60 for n in range(3)),
]
FOREIGN = [
    "Es ist eine allgemein anerkannte Wahrheit, dass ein Mann mit einem Vermögen eine Frau "
    f"sucht, und Haus {n} der Straße war schon lange leer. " * 3
    for n in range(3)
]
CODE = ["for (;;) { x += 1; }\n" * 5, "x = {}\n"]
HELD = prose(900, 200)


def planted(folder):
    """Two sources of prose, one of code, one evaluation set."""
    first = write_lines(folder / "first.jsonl.gz", GOOD[:20], license="CC0", id="given")
    second = [*GOOD[20:], *GOOD[:4], *NEAR, *POOR, *FOREIGN, f"Before it. {HELD} After it.", " "]
    sources = {
        "first": [first],
        "second": [write_lines(folder / "second.jsonl.gz", second)],
        "code": [write_lines(folder / "code.jsonl.gz", [*CODE, CODE[1]])],
    }
    (folder / "set.jsonl").write_text(json.dumps({"_id": "q7", "text": HELD}) + "\n")
    return sources, {"held": [folder / "set.jsonl"]}


OPTIONS = CleanOptions(code=("code",), language=("en",), language_threshold=0.3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    sources, sets = planted(folder)
    report = clean(
        sources, sets, folder / "out", OPTIONS, RunOptions(workers=1), say=lambda _: None
    )
    return folder, sources, sets, report


def dropped(report, source):
    steps = next(each.steps for each in report.sources if each.name == source)
    return {step.name: step.dropped_documents for step in steps if step.dropped_documents}


def test_planted_faults_are_found_and_nothing_else(made):
    *_, report = made
    assert dropped(report, "first") == {}
    assert dropped(report, "second") == {
        "read": 1,
        "language": 3,
        "gopher-repetition": 4,
        "gopher-quality": 1,
        "decontaminate": 1,
        "exact": 4,
        "minhash": 5,
    }
    assert dropped(report, "code") == {"exact": 1}


def test_what_is_kept_is_read_as_it_is(made):
    folder, *_, report = made
    out = folder / "out"
    assert [each.text for each in read([out / "second"])] == GOOD[20:]
    assert [each.text for each in read([out / "code"])] == CODE
    assert read_lines(out / "first")[0] == {"id": "given", "license": "CC0", "text": GOOD[0]}
    assert {path.name for path in out.iterdir()} == {
        *("first", "second", "code", "report.json", "contaminated.jsonl"),
    }
    kept = {source.name: source.kept_characters for source in report.sources}
    assert kept["second"] == sum(map(len, GOOD[20:]))


def test_samples_say_what_they_are_like(made):
    folder, *_, report = made
    reasons = {
        reason.reason: reason
        for source in report.sources
        for step in source.steps
        for reason in step.reasons
    }
    assert {each.note for each in reasons["a near copy"].samples} == {
        f"like first.jsonl.gz:{number}" for number in range(1, 6)
    }
    (sample,) = reasons["holds words of held"].samples
    assert sample.note.startswith("set.jsonl:1 (q7): number0 ")
    assert {each.note[:2] for each in reasons["in de"].samples} == {"de"}
    (found,) = map(json.loads, (folder / "out" / "contaminated.jsonl").read_text().splitlines())
    assert (found["evaluation"], found["example"]) == ("held", "set.jsonl:1 (q7)")
    (evaluation,) = report.evaluations
    assert (evaluation.texts, evaluation.found_examples, evaluation.too_short) == (2, 1, 1)


def test_report_is_read_as_it_was_written_and_becomes_a_page(made):
    folder, *_, report = made
    assert read_report(folder / "out") == report
    html = page(report)
    assert "minhash, a near copy: 5 documents" in html
    assert "http" not in html.replace("<!doctype html>", "")


def test_any_number_of_workers_writes_the_same(made, tmp_path):
    folder, sources, sets, _ = made
    clean(sources, sets, tmp_path / "out", OPTIONS, RunOptions(workers=3), say=lambda _: None)
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        other = tmp_path / "out" / path.relative_to(folder / "out")
        assert other.read_bytes() == path.read_bytes()


def test_a_finished_folder_is_left_alone_and_takes_no_other_options(made):
    folder, sources, sets, report = made
    before = (folder / "out" / "report.json").stat().st_mtime_ns
    assert clean(sources, sets, folder / "out", OPTIONS, RunOptions()) == report
    assert (folder / "out" / "report.json").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"made from other things \(the option .* changed\)"):
        clean(sources, sets, folder / "out", CleanOptions(), RunOptions())
    with pytest.raises(DataError, match="holds files that are no clean text: give a new or empty"):
        clean(sources, sets, folder, OPTIONS, RunOptions())


def test_without_any_step_all_is_kept(made, tmp_path):
    _, sources, *_ = made
    options = CleanOptions(filters=("none",), dedup=("none",))
    report = clean(sources, {}, tmp_path / "out", options, RunOptions(workers=1), say=print)
    assert [source.kept_documents for source in report.sources] == [20, 38, 3]


def test_every_filter_runs(made, tmp_path):
    _, sources, *_ = made
    filters = ("gopher-repetition", "gopher-quality", "c4", "fineweb")
    options = CleanOptions(filters=filters, code=("code",), dedup=("minhash",))
    report = clean(sources, {}, tmp_path / "out", options, RunOptions(workers=1), say=print)
    steps = report.sources[0].steps
    assert [step.name for step in steps] == ["read", *filters, "minhash"]
    assert report.sources[0].kept_documents == 20


def test_a_source_without_a_document_is_named(tmp_path):
    path = write_lines(tmp_path / "a.jsonl.gz", ["", " \n"])
    with pytest.raises(DataError, match="the source 'empty' holds no document with text: leave it"):
        clean({"empty": [path]}, {}, tmp_path / "out", CleanOptions(), RunOptions(workers=1))
    good = write_lines(tmp_path / "a.jsonl.gz", GOOD[:2])
    report = clean({"empty": [good]}, {}, tmp_path / "out", CleanOptions(), RunOptions(workers=1))
    assert report.sources[0].kept_documents == 2


def test_a_broken_line_is_named_and_mended_text_begins_anew(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    write_lines(path, GOOD[:2])
    whole = path.read_bytes()
    path.write_bytes(whole + gzip.compress(b'{"text": 3}\n'))
    run, said = RunOptions(workers=2), []
    with pytest.raises(DataError, match=r"a\.jsonl\.gz, line 3: 'text' is not a text"):
        clean({"a": [path]}, {}, tmp_path / "out", CleanOptions(), run, say=said.append)
    path.write_bytes(whole)
    report = clean({"a": [path]}, {}, tmp_path / "out", CleanOptions(), run, say=said.append)
    assert report.sources[0].kept_documents == 2
    assert said == ["unfinished work on other texts (the source 'a' changed) begins anew"]


def test_an_evaluation_set_without_text_is_refused(tmp_path):
    path = write_lines(tmp_path / "a.jsonl.gz", GOOD[:2])
    (tmp_path / "set.jsonl").write_text('{"number": 1}\n')
    sets = {"set": [tmp_path / "set.jsonl"]}
    with pytest.raises(DataError, match="the evaluation set 'set' holds no text"):
        clean({"a": [path]}, sets, tmp_path / "out", CleanOptions(), RunOptions(workers=1))


COMMAND = [sys.executable, "-m", "modernbert", "clean"]


def test_a_full_disk_is_told_and_work_goes_on(tmp_path):
    path = write_lines(tmp_path / "a.jsonl.gz", [prose(number) for number in range(400)])
    command = [*COMMAND, f"a={path}", "--out", str(tmp_path / "out"), "--workers", "2"]
    limited = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *command]
    ran = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 2, ran.stderr
    assert "there is no room" in ran.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "a").exists()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "a: 400 of 400 documents are kept" in ran.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_interrupted_work_leaves_nobody_behind_and_goes_on(tmp_path):
    # Many tasks, so that some are done and some are not.
    for number in range(12):
        texts = [prose(100 * number + each) for each in range(100)]
        write_lines(tmp_path / "in" / f"{number}.jsonl.gz", texts)
    command = [*COMMAND, f"a={tmp_path / 'in'}", "--out", str(tmp_path / "out")]
    command += ["--workers", "2", "--task-bytes", "1"]
    begun = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    done = tmp_path / "out" / ".work" / "logs" / "filter" / "completions"
    until = time.monotonic() + 60
    while len([*done.glob("*")]) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    begun.send_signal(signal.SIGINT)
    _, said = begun.communicate(timeout=60)
    assert (begun.returncode, said.splitlines()[-1]) == (130, "interrupted")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(tmp_path) not in listed.stdout
    finished = {path.name: path.stat().st_mtime_ns for path in done.glob("*")}
    assert finished
    kept = tmp_path / "out" / ".work" / "kept"
    first = (kept / f"{min(finished)}.jsonl.gz").read_bytes()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "a: 1,200 of 1,200 documents are kept" in ran.stderr
    assert gzip.decompress(first)


def test_a_process_that_dies_is_told(tmp_path, monkeypatch):
    path = write_lines(tmp_path / "a.jsonl.gz", GOOD[:2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif '-m' in sys.orig_argv: os._exit(9)"
    )
    with pytest.raises(MachineError, match=r"the work ended without a result: see .*log\.txt"):
        clean({"a": [path]}, {}, tmp_path / "out", CleanOptions(), RunOptions(workers=1))


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write_lines(tmp_path / "a.jsonl.gz", GOOD[:2])
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    for name in [name for name in sys.modules if name.startswith("modernbert.data.clean.blocks")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "py3langid", None)
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(MachineError, match=r"cleaning text needs py3langid.*'modernbert\[clean\]'"):
        module.clean({"a": [path]}, {}, tmp_path / "out", CleanOptions(), RunOptions())
