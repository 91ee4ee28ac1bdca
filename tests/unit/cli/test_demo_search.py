import pytest

from modernbert.cli import demo_search
from modernbert.retrieval.index import Index
from modernbert.retrieval.options import SearchOptions
from tests.runs import rows_of, untrained

BODY = '''
def {name}_{n}(value):
    """{said} number {n} of {package}."""
    first = {name}(value, "{package}", {n})
    return first + {n}
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Some packages with documented functions, and an encoder that learned nothing."""
    root = tmp_path / "lib"
    monkeypatch.setattr(demo_search, "_roots", lambda: [str(root)])
    files = []
    for number in range(40):
        package = root / f"package{number}"
        package.mkdir(parents=True)
        functions = [
            BODY.format(name=name, said=said, n=n, package=package.name)
            for name, said in (("load", "Load the file"), ("count", "Count the words"))
            for n in range(4)
        ]
        (package / "code.py").write_text("\n".join(functions))
        files.append(package / "code.py")
    untrained(tmp_path / "demo" / "run" / "model")
    return tmp_path / "demo", files


def test_whole_packages_are_held_out(installed):
    folder, files = installed
    demo_search._functions(folder / "functions", files)
    rows = {part: rows_of(folder / "functions" / f"{part}.jsonl") for part in ("train", "test")}
    assert len(rows["train"]) + len(rows["test"]) == 40 * 8
    packages = {part: {row["path"].split("/")[-2] for row in rows[part]} for part in rows}
    assert not packages["train"] & packages["test"]
    assert 1 <= len(packages["test"]) < 20
    assert all(demo_search.is_held_out(name) for name in packages["test"])


@pytest.mark.slow
def test_functions_are_learned_measured_and_indexed(installed, monkeypatch, capsys):
    folder, files = installed
    monkeypatch.setattr(demo_search, "_MAX_LENGTH", 64)
    found = demo_search.search_functions(folder, files, 1000.0, 10.0)
    assert found.functions % 8 == 0
    assert found.learned_pairs >= 256
    assert set(found.mrr) == {"model", "bm25", "hybrid"}
    assert all(0 < value <= 1 for value in found.mrr.values())
    (hits,) = Index.open(folder / "index").search(
        ["load the file number 3 of package7"], SearchOptions(number=3, mode="words")
    )
    assert hits[0].title == "load_3"
    assert hits[0].id == f"{files[7]}:20"
    assert hits[0].metadata == {"lines": "20-23"}
    demo_search.say_found(found, folder)
    assert "modernbert search" in capsys.readouterr().err
    # What is done is not done again.
    assert demo_search.search_functions(folder, files, 1000.0, 10.0) == found


def test_the_length_of_training_follows_the_minutes(installed):
    folder, files = installed
    demo_search._functions(folder / "functions", files)
    pairs, epochs = demo_search._size(folder / "functions", 1e9, 100.0)
    whole = len(rows_of(folder / "functions" / "train.jsonl"))
    assert (pairs, epochs) == (whole, 8)
    assert demo_search._size(folder / "functions", 1.0, 1.0) == (256, 1)
