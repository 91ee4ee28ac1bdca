import os
import subprocess
import sys
from pathlib import Path

import pytest

from modernbert.base import files
from modernbert.base.errors import MachineError

LIMITED = """
import resource, sys
import numpy
from pathlib import Path
from modernbert.base import files
from modernbert.base.errors import MachineError

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
target = Path(sys.argv[1])
try:
    if sys.argv[2] == "file":
        with files.whole_file(target) as aside:
            aside.write_bytes(bytes(2000))
    elif sys.argv[2] == "append":
        files.append(target, "x" * 2000)
    elif sys.argv[2] == "tensors":
        from safetensors.numpy import save_file
        with files.whole_file(target) as aside:
            save_file({"a": numpy.zeros(2000)}, aside)
    else:
        with files.whole_folder(target) as aside:
            (aside / "small").write_bytes(bytes(10))
            (aside / "large").write_bytes(bytes(2000))
except MachineError as error:
    print(error)
"""


def on_a_full_disk(target: Path, kind: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(target), kind], capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_after_writing(path: Path, error: type[BaseException]) -> None:
    path.write_text("new")
    raise error


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with files.whole_file(target) as aside:
        aside.write_text("new")
        assert target.read_text() == "old"
    assert (target.read_text(), names(tmp_path)) == ("new", ["a.txt"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_the_old_one(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), files.whole_file(target) as aside:
        fail_after_writing(aside, error)
    assert (target.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_a_folder_replaces_the_old_one_when_it_is_whole(tmp_path):
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").write_text("old")
    with files.whole_folder(target) as aside:
        (aside / "deep" / "er").mkdir(parents=True)
        (aside / "deep" / "er" / "new").write_text("new")
        assert names(target) == ["old"]
    assert (names(target), names(tmp_path)) == (["deep"], ["a"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path, error):
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(error), files.whole_folder(target) as aside:
        fail_after_writing(aside / "new", error)
    assert (names(target), names(tmp_path)) == (["old"], ["a"])


def test_a_folder_begins_empty_after_a_kill(tmp_path):
    (tmp_path / ".partial-a").mkdir()
    (tmp_path / ".partial-a" / "half").write_text("")
    with files.whole_folder(tmp_path / "a") as aside:
        assert names(aside) == []


@pytest.mark.parametrize("kind", ["file", "tensors", "folder"])
def test_a_full_disk_leaves_the_old_one_and_says_so(tmp_path, kind):
    target = tmp_path / "a"
    if kind == "folder":
        target.mkdir()
        (target / "old").write_text("old")
    else:
        target.write_text("old")
    said = on_a_full_disk(target, kind)
    assert said.startswith(f"there is no room: {target} was not written (")
    assert "see `ulimit -f`); make room and repeat the command" in said
    assert names(tmp_path) == ["a"]
    assert names(target) == ["old"] if kind == "folder" else target.read_text() == "old"


def test_who_may_read_new_files_may_read_what_libraries_keep_to_their_owner(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    for number, make in enumerate((files.whole_file, files.whole_folder, files.filled_folder)):
        with make(tmp_path / str(number)) as aside:
            inside = aside if make is files.whole_file else aside / "inside"
            inside.touch(mode=0o600)
        made = tmp_path / str(number)
        made = made if make is files.whole_file else made / "inside"
        assert made.stat().st_mode == plain.stat().st_mode


def test_appending_to_a_full_disk_says_so(tmp_path):
    assert on_a_full_disk(tmp_path / "log", "append").startswith("there is no room: ")


@pytest.mark.parametrize("make", [files.whole_file, files.whole_folder])
def test_a_place_that_cannot_be_written_is_named(tmp_path, make):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "a"
    with pytest.raises(MachineError) as caught, make(target) as aside:
        aside.write_text("")
    assert str(caught.value).startswith(f"{target} cannot be written: ")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        MachineError, match=r"file/a cannot be written: .*file is a file and no folder"
    ):
        files.make_folder(tmp_path / "file" / "a")
    files.make_folder(tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").is_dir()


def test_sweep_removes_what_was_left_half_written_and_nothing_else(tmp_path):
    (tmp_path / ".partial-a").mkdir()
    (tmp_path / ".partial-a" / "half").write_text("")
    (tmp_path / ".partial-b").write_text("")
    (tmp_path / "kept").write_text("")
    (tmp_path / ".hidden").write_text("")
    files.sweep(tmp_path)
    assert names(tmp_path) == [".hidden", "kept"]


def test_a_removed_folder_is_gone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("")
    files.remove_folder(tmp_path / "a")
    files.remove_folder(tmp_path / "a")
    assert names(tmp_path) == []


def test_a_folder_can_be_removed_where_another_removal_was_killed(tmp_path):
    for name in ("a", ".partial-doomed-a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "b").write_text("")
    files.remove_folder(tmp_path / "a")
    assert names(tmp_path) == []


def test_json_goes_round(tmp_path):
    value = {"a": [1, 2.5, None], "ü": "é"}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_text_is_appended(tmp_path):
    for line in ("a\n", "ü\n"):
        files.append(tmp_path / "log", line)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "a\nü\n"


def test_errors_that_are_not_the_systems_pass(tmp_path):
    for error in (ValueError("(os error)"), MachineError("a sentence (os error 28)")):
        with pytest.raises(type(error)) as caught, files.whole_file(tmp_path / "a"):
            raise error
        assert caught.value is error


def test_a_digest_names_bytes():
    assert files.digest(b"a") == files.digest(b"a") != files.digest(b"b")
    assert len(files.digest(b"")) == 32


def test_the_size_of_a_folder_counts_what_is_below(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(5))
    (tmp_path / "d").write_bytes(bytes(7))
    os.link(tmp_path / "d", tmp_path / "a" / "e")
    assert files.folder_size(tmp_path) == 19


def test_folders_inside_are_replaced_whole_and_others_stay(tmp_path):
    for name in ("steps/old.json", "mine/notes.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("old")
    with files.filled_folder(tmp_path) as aside:
        (aside / "steps").mkdir()
        (aside / "steps" / "new.json").write_text("new")
        (aside / "top.json").write_text("new")
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")]
    assert sorted(found) == ["mine/notes.txt", "steps/new.json", "top.json"]


def test_promised_rows_may_be_removed_by_another(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"

    def work():
        with files.promised_rows(path):
            path.unlink()
            raise ValueError("the work failed")

    with pytest.raises(ValueError, match="the work failed"):
        work()
    assert not path.parent.exists()


@pytest.mark.parametrize("before", ["", "one\n", "one"])
def test_a_line_never_goes_on_with_another(tmp_path, before):
    (tmp_path / "rows").write_text(before)
    files.append(tmp_path / "rows", "two\n")
    assert (tmp_path / "rows").read_text().split() == [*before.split(), "two"]
