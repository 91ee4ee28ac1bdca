import pytest

from modernbert.base.errors import ConfigError, DataError
from modernbert.data.clean.options import CleanOptions
from modernbert.data.clean.plan import planned, read_job, refuse_other, write_job


def test_files_are_handed_out_in_groups(tmp_path):
    for name, size in (("a", 6), ("b", 4), ("c", 3), ("d", 30), ("e", 1)):
        (tmp_path / f"{name}.txt").write_text("x" * size)
    job = planned({"s": [tmp_path]}, {}, CleanOptions(task_bytes=10))
    names = [[name for _, name in task.files] for task in job.tasks]
    assert names == [["a.txt", "b.txt"], ["c.txt"], ["d.txt"], ["e.txt"]]


def test_a_job_is_read_as_it_was_written(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    options = CleanOptions(code=("s",), language=("en",), filters=("none",))
    job = planned({"s": [tmp_path / "a.txt"]}, {"e": [tmp_path / "a.txt"]}, options)
    write_job(tmp_path, job)
    assert read_job(tmp_path) == job
    assert job.tasks[0].is_code


def test_what_changed_is_named(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    a, b, c = (tmp_path / name for name in "abc")
    plan = planned({"s": [a], "t": [b]}, {"e": [c]}, CleanOptions()).plan
    others = {
        "the option ngram": planned({"s": [a], "t": [b]}, {"e": [c]}, CleanOptions(ngram=9)),
        "the source 't'": planned({"s": [a], "t": [c]}, {"e": [c]}, CleanOptions()),
        "the evaluation set 'e'": planned({"s": [a], "t": [b]}, {}, CleanOptions()),
        "the order of the sources": planned({"t": [b], "s": [a]}, {"e": [c]}, CleanOptions()),
    }
    for what, other in others.items():
        with pytest.raises(DataError, match=rf"made from other things \({what} changed\)"):
            refuse_other(tmp_path, plan, other.plan)
    refuse_other(tmp_path, plan, plan)


def test_names_are_names_of_folders(tmp_path):
    with pytest.raises(ConfigError, match=r"a source cannot be called '\.\.'"):
        planned({"..": [tmp_path]}, {}, CleanOptions())
