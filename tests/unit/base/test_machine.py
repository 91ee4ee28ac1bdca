import json
import os
import platform
import re
import subprocess
import sys

import torch

from modernbert.base import machine

COMMIT = "from modernbert.base.machine import commit; print(commit())"


def test_versions_name_what_decides_the_numbers():
    found = machine.versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert {"modernbert", "numpy", "tokenizers", "safetensors"} <= found.keys()


def test_the_machine_is_described_in_json():
    found = json.loads(json.dumps(machine.machine()))
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 1e8
    assert found["processor"]
    assert platform.machine() in found["system"]


def test_the_command_names_the_program_without_its_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/modernbert", "fill", "x y"])
    assert machine.command() == ["modernbert", "fill", "x y"]


def test_a_module_that_was_run_is_named_as_one(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/lib/modernbert/__main__.py", "doctor"])
    assert machine.command() == ["python", "-m", "modernbert", "doctor"]


def test_the_commit_is_gits_or_none():
    found = machine.commit()
    assert found is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", found)


def test_a_machine_without_git_has_no_commit():
    environment = os.environ | {"PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", COMMIT], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
