import json
import re

import pytest

from modernbert.base.errors import ConfigError, DataError, MachineError
from modernbert.base.rng import key
from modernbert.cli import demo


@pytest.fixture
def python(tmp_path, monkeypatch):
    """An installation of Python with a few files."""
    paths = {}
    for name, place in (("stdlib", "lib"), ("purelib", "lib/site-packages")):
        paths[name] = str(tmp_path / place)
        (tmp_path / place / "tests").mkdir(parents=True)
        (tmp_path / place / "tests" / "left_out.py").write_text("x = 1\n")
    paths["platlib"] = paths["purelib"]
    monkeypatch.setattr("sysconfig.get_paths", lambda: paths)
    return tmp_path / "lib"


def test_a_python_without_source_is_said(python, tmp_path):
    (tmp_path / "demo").mkdir()
    with pytest.raises(DataError) as caught:
        demo._choose_files(tmp_path / "demo", 1.0)
    assert str(caught.value) == f"no Python source below {python}, {python / 'site-packages'}"


def test_files_are_chosen_once(python, tmp_path):
    (python / "a.py").write_text("a = 1\n")
    (python / "site-packages" / "b.py").write_text("b = 1\n")
    (tmp_path / "demo").mkdir()
    demo._choose_files(tmp_path / "demo", 1.0)
    first = demo._sources(tmp_path / "demo")
    assert first == {
        "standard-library": [python / "a.py"],
        "site-packages": [python / "site-packages" / "b.py"],
    }
    (python / "c.py").write_text("c = 1\n")
    demo._choose_files(tmp_path / "demo", 1.0)
    assert demo._sources(tmp_path / "demo") == first
    assert json.loads((tmp_path / "demo" / "files.json").read_text()).keys() == first.keys()


def test_files_are_taken_up_to_a_size_in_an_order_that_is_always_the_same(tmp_path):
    for name in "abcdefgh":
        (tmp_path / f"{name}.py").write_text("#" * 100)
    taken = demo._chosen([tmp_path], 350)
    order = sorted("abcdefgh", key=lambda name: key(0, "demo", f"{name}.py"))
    assert [path.stem for path in taken] == sorted(order[:3])


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        MachineError, match=r"file/demo cannot be written: .*file is a file and no folder"
    ):
        demo.run_demo(tmp_path / "file" / "demo", 1.0)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_impossible_minutes_are_refused(tmp_path, minutes):
    with pytest.raises(ConfigError, match=re.escape(f"minutes is {minutes}: give a number")):
        demo.run_demo(tmp_path / "demo", minutes)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine"},
        {"files.json": "[]", "spent.json": '{"seconds": 1.0}'},
        {"spent.json": ""},
    ],
)
def test_a_folder_of_other_things_is_left_alone(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="holds files that are no demo: give a new or empty"):
        demo.run_demo(tmp_path, 1.0)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files
