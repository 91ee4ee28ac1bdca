"""The lock pins everything that is declared, and installs from any index; CI runs the tests."""

import os
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import modernbert
from tests.architecture.source import ROOT

FIRST, *PINS = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
PIN = re.compile(r"[A-Za-z0-9][\w.-]*==\d[\w.]*")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def declared() -> list[Requirement]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    groups = [
        settings["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *settings["dependency-groups"].values(),
    ]
    wanted = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in wanted if requirement.name != "modernbert"]


def unmet(wanted: list[Requirement], pins: list[str]) -> list[str]:
    versions = {canonicalize_name(pin.split("==")[0]): pin.split("==")[1] for pin in pins}
    return [
        str(requirement)
        for requirement in wanted
        if (version := versions.get(canonicalize_name(requirement.name))) is None
        or version not in requirement.specifier
    ]


def test_lock_says_how_it_was_made():
    assert FIRST.startswith("#")
    assert "make lock" in FIRST


def test_every_line_is_one_version_of_one_package():
    assert [line for line in PINS if not PIN.fullmatch(line)] == []
    assert sorted(PINS, key=str.lower) == PINS
    assert len({canonicalize_name(line.split("==")[0]) for line in PINS}) == len(PINS)


def test_everything_declared_is_pinned_within_its_bounds():
    assert unmet(declared(), PINS) == []


def test_a_forgotten_or_stale_pin_is_noticed():
    wanted = [Requirement("torch>=2.6"), Requirement("Typing_Extensions>=4"), Requirement("tyro")]
    assert unmet(wanted, ["torch==2.5.1", "typing-extensions==4.16.0"]) == ["torch>=2.6", "tyro"]


def test_make_lock_keeps_the_torch_that_is_locked():
    (kept,) = re.findall(r"^TORCH \?= (.+)$", MAKEFILE, flags=re.MULTILINE)
    assert f"torch=={kept}" in PINS


def test_the_version_is_said_once_and_the_same():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert modernbert.__version__ == settings["project"]["version"]


def test_ci_runs_the_test_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8").splitlines()
