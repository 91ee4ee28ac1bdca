"""The locks pin everything that is declared, and install from any index; CI runs the tests."""

import os
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import modernbert
from tests.architecture.source import ROOT

PIN = re.compile(r"[A-Za-z0-9][\w.-]*==\d[\w.]*")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Each lock, the make target that writes it, and the groups of pyproject.toml that are in it.
LOCKS = {
    "requirements.lock": ("make lock", ["dev"]),
    "requirements-transformers4.lock": ("make lock-transformers4", ["transformers4", "pylate"]),
}

# Extras that `all` leaves out, each with the pin that it does not go with.
UNLOCKED = {"trackio": "pillow"}


def lines_of(lock: str) -> list[str]:
    return (ROOT / lock).read_text(encoding="utf-8").splitlines()


def declared(lock: str) -> list[Requirement]:
    """Return what a lock must pin; the second environment runs the package from its folder."""
    wanted = [line for group in LOCKS[lock][1] for line in SETTINGS["dependency-groups"][group]]
    if lock == "requirements.lock":
        wanted += SETTINGS["build-system"]["requires"]
        wanted += SETTINGS["project"]["dependencies"]
        wanted += [
            line
            for extra in SETTINGS["project"]["optional-dependencies"].values()
            for line in extra
        ]
        wanted = [line for line in wanted if Requirement(line).name not in UNLOCKED]
    else:
        wanted += SETTINGS["project"]["dependencies"]
    requirements = [Requirement(line) for line in wanted]
    return [each for each in requirements if each.name != "modernbert"]


def unmet(wanted: list[Requirement], pins: list[str]) -> list[str]:
    versions = {canonicalize_name(pin.split("==")[0]): pin.split("==")[1] for pin in pins}
    return [
        str(requirement)
        for requirement in wanted
        if (version := versions.get(canonicalize_name(requirement.name))) is None
        or version not in requirement.specifier
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_says_how_it_was_made(lock):
    first = lines_of(lock)[0]
    assert first.startswith("#")
    assert f"`{LOCKS[lock][0]}`" in first


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_one_version_of_one_package(lock):
    pins = lines_of(lock)[1:]
    assert [line for line in pins if not PIN.fullmatch(line)] == []
    assert sorted(pins, key=str.upper) == pins  # as `sort -f` does, which has _ behind letters
    assert len({canonicalize_name(line.split("==")[0]) for line in pins}) == len(pins)


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_declared_is_pinned_within_its_bounds(lock):
    assert unmet(declared(lock), lines_of(lock)[1:]) == []


def test_only_extras_outside_of_all_are_not_locked():
    extras = SETTINGS["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert {*extras} - {"all", *Requirement(everything).extras} == {*UNLOCKED}
    pinned = {pin.split("==")[0] for pin in lines_of("requirements.lock")}
    assert pinned >= {*UNLOCKED.values()}
    assert pinned.isdisjoint(UNLOCKED)


def test_every_group_is_in_a_lock():
    locked = {group for _, groups in LOCKS.values() for group in groups}
    assert locked == set(SETTINGS["dependency-groups"])


def test_both_lines_of_transformers_are_tested():
    majors = {
        pin.split("==")[1].split(".")[0]
        for lock in LOCKS
        for pin in lines_of(lock)
        if pin.startswith("transformers==")
    }
    assert majors == {"4", "5"}


def test_a_forgotten_or_stale_pin_is_noticed():
    wanted = [Requirement("torch>=2.6"), Requirement("Typing_Extensions>=4"), Requirement("tyro")]
    assert unmet(wanted, ["torch==2.5.1", "typing-extensions==4.16.0"]) == ["torch>=2.6", "tyro"]


def test_make_lock_keeps_the_torch_that_is_locked():
    (kept,) = re.findall(r"^TORCH \?= (.+)$", MAKEFILE, flags=re.MULTILINE)
    assert all(f"torch=={kept}" in lines_of(lock) for lock in LOCKS)


def test_the_version_is_said_once_and_the_same():
    assert modernbert.__version__ == SETTINGS["project"]["version"]


def test_ci_runs_the_test_commands():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert {"make test", "make test-transformers4"} <= set(lines)
