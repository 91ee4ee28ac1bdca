import os
import pty
import re
import subprocess
import sys

import pytest

from modernbert.base.log import count, duration, meter, say

BAR = """
from modernbert.base.log import meter
with meter("reading", 10, is_still=%s) as bar:
    bar.at(4)
    bar.at(10, "books")
"""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (18_720, "5 h 12 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (999, "999"),
        (999.9, "1k"),
        (1000, "1k"),
        (1234, "1.23k"),
        (999_400, "999k"),
        (999_999, "1M"),
        (3_400_000, "3.4M"),
        (999_700_000, "1B"),
        (1.719e12, "1.72T"),
        (5e15, "5000T"),
        (-5000, "-5k"),
    ],
)
def test_counts(number, text):
    assert count(number) == text


def test_lines_go_to_standard_error(capsys):
    say("one line with [brackets] and [/brackets]")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "one line with [brackets] and [/brackets]\n")


def test_a_meter_without_a_terminal_is_silent_for_short_jobs(capsys):
    with meter("reading", 10) as lines:
        lines.at(5)
    assert capsys.readouterr().err == ""


def test_a_meter_without_a_terminal_speaks_every_five_seconds(capsys, monkeypatch):
    clock = iter([0.0, 4.9, 5.1, 9.0, 10.2])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with meter("reading", 10) as lines:
        for done, note in ((1, ""), (2, ""), (3, ""), (4, "books")):
            lines.at(done, note)
    assert capsys.readouterr().err == "reading: 20%\nreading: 40% (books)\n"


@pytest.mark.parametrize("is_still", [False, True])
def test_a_meter_on_a_terminal_is_a_bar(is_still):
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
        done = subprocess.run(
            [sys.executable, "-c", BAR % is_still], stderr=theirs, env=environment
        )
        os.close(theirs)
        shown = b""
        try:
            while part := terminal.read(65536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
    assert done.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "reading" in plain
    assert "books" in plain
    assert "100%" in plain
