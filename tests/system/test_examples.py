"""The scripts in examples/ are short and do what they say."""

import json
import os
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT
from tests.runs import untrained

FOLDER = ROOT / "examples"
_MOST_LINES = 40
MESSAGES = "text,label\n" + "the packed batch,sea\ndocuments apart,land\n" * 6
MARKED = [{"text": "every token", "spans": [{"start": 6, "end": 11, "label": "PART"}]}] * 8
PARAGRAPH = {
    "context": "the packed batch keeps every token",
    "qas": [{"question": "which", "answers": [{"text": "packed batch", "answer_start": 4}]}] * 8,
}
SQUAD = {"version": "1.1", "data": [{"title": "t", "paragraphs": [PARAGRAPH]}]}


@pytest.fixture
def place(tmp_path):
    untrained(tmp_path / "model")
    (tmp_path / "messages.csv").write_text(MESSAGES)
    (tmp_path / "spans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in MARKED))
    (tmp_path / "squad.json").write_text(json.dumps(SQUAD))
    (tmp_path / "document.txt").write_text("every packed token stays in its place " * 200)
    return tmp_path


GIVEN = {
    "classify_csv.py": ["messages.csv", "out"],
    "tag_text.py": ["spans.jsonl", "out", "every token of the packed batch"],
    "answer_questions.py": ["squad.json", "out", "document.txt", "what stays"],
}


def test_every_script_is_short_and_known():
    lengths = {path.name: len(path.read_text().splitlines()) for path in FOLDER.glob("*.py")}
    assert lengths.keys() == GIVEN.keys()
    assert max(lengths.values()) < _MOST_LINES


@pytest.mark.slow
@pytest.mark.parametrize("name", GIVEN)
def test_scripts_run_and_print_what_was_found(place, name):
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / name), "model", *GIVEN[name]],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    assert (place / "out" / "model" / "config.json").is_file()
    printed = ran.stdout.splitlines()
    if name == "classify_csv.py":
        assert [line.split(":")[0] for line in printed] == [
            "the batch is packed",
            "documents stay apart",
        ]
    elif name == "answer_questions.py":
        assert len(printed) == 3
    else:
        assert all("PART" in line for line in printed)
