"""How soon a server that is started answers, over HTTP, by the command that people give."""

import os
import subprocess
import sys
import time

import pytest

from tests.served import ask

pytestmark = pytest.mark.slow

_TRIES = 3
_MOST_S = 8.0
"""Twice and more of what it takes (docs/guides/serve.md), for a machine that does other things."""


def seconds_to_the_first_answer(log):
    start = time.monotonic()
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "modernbert", "serve", "mini", "--port", "0"],
            stderr=said,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
    try:
        while b"listening at " not in (text := log.read_bytes()):
            assert process.poll() is None, text.decode()
            assert time.monotonic() < start + 60, text.decode()
            time.sleep(0.01)
        address = text.partition(b"listening at ")[2].split()[0].decode()
        assert ask(address + "/embed", {"inputs": "A text."}).status == 200
        return time.monotonic() - start
    finally:
        process.terminate()
        process.wait()


def test_the_first_answer_comes_soon(tmp_path):
    found = [seconds_to_the_first_answer(tmp_path / f"{number}.log") for number in range(_TRIES)]
    print(f"first answer after {' / '.join(f'{each:.2f}' for each in found)} s")
    assert min(found) < _MOST_S
