import pytest

from modernbert.cli.main import run
from modernbert.retrieval.loss import loss_of
from modernbert.retrieval.options import IndexOptions
from tests.indexes import entries, make_index


@pytest.mark.parametrize(
    ("kind", "compress", "least", "most"),
    [
        ("dense", ("int8",), 0.9, 1.0),
        ("late", ("int8",), 0.9, 1.0),
        ("late", ("pool:8",), 0.2, 0.9),
    ],
)
def test_the_share_of_the_best_that_is_kept_is_told(tmp_path, kind, compress, least, most):
    index = make_index(tmp_path, kind, entries(60), compress=compress)
    loss = loss_of(index, str(tmp_path / "model"), IndexOptions(compress=compress))
    assert (loss.documents, loss.queries) == (60, 60)
    assert least <= loss.kept <= most


def test_whole_vectors_lose_nothing_and_few_documents_tell_nothing(tmp_path):
    index = make_index(tmp_path, "dense", entries(20))
    assert loss_of(index, str(tmp_path / "model"), IndexOptions()).kept == 1.0
    index.delete([f"d{number}" for number in range(10)])
    assert [entry.id for entry in index.first(2)] == ["d10", "d11"]
    assert loss_of(index, str(tmp_path / "model"), IndexOptions()) is None


def test_the_command_says_it(tmp_path, capsys):
    make_index(tmp_path, "dense", entries(20))
    folder = tmp_path / "docs"
    folder.mkdir()
    for entry in entries(20):
        (folder / f"{entry.id}.txt").write_text(entry.whole)
    asked = ["index", str(tmp_path / "model"), str(folder), "--out", str(tmp_path / "small")]
    assert run([*asked, "--compress", "int8"]) == 0
    assert "% are found by those that are kept (20 beginnings" in capsys.readouterr().err
