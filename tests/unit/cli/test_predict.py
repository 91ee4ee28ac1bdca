import json

import pytest

from modernbert.cli.main import main
from modernbert.infer.tag import tag
from modernbert.model.config import HeadConfig
from tests.sentence_folders import made

LABELS = HeadConfig(kind="sequence", labels=("a", "b"))
TAGS = HeadConfig(kind="tokens", labels=("O", "B-X", "I-X"))
TEXTS = ["the packed batch", "every token keeps its place"]


@pytest.fixture
def run(tmp_path, capsys):
    """Save a model with this head, predict of a file, return the exit code and what was printed."""

    def predict(head, path, *options):
        made(head).save(tmp_path / "model")
        with pytest.raises(SystemExit) as caught:
            main(["predict", str(tmp_path / "model"), str(path), *map(str, options)])
        out, said = capsys.readouterr()
        return caught.value.code or 0, out, said

    return predict


def written(path, text):
    path.write_text(text)
    return path


def rows_in(printed):
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize("head", [LABELS, TAGS], ids=["classify", "tokens"])
def test_running_text_is_read_a_text_a_line(tmp_path, run, head):
    path = written(tmp_path / "t.txt", "\n".join(TEXTS) + "\n")
    code, printed, said = run(head, path)
    assert code == 0
    assert [row["text"] for row in rows_in(printed)] == TEXTS
    assert f"{path}: running text, a text a line" in said
    if head is TAGS:
        starts = [[each["start"] for each in row["prediction"]] for row in rows_in(printed)]
        assert starts == [[each.start for each in found] for found in tag(made(TAGS), TEXTS)]


def test_words_in_columns_are_still_words(tmp_path, run):
    _, printed, _ = run(TAGS, written(tmp_path / "t.txt", "every\ntoken\n\nkeeps\n"))
    assert [row["tokens"] for row in rows_in(printed)] == [["every", "token"], ["keeps"]]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("id\treview\n1\tgood batch\n", []),
        ("id\treview\n1\tbatch\n", ["--text", "review"]),
    ],
)
def test_a_table_is_a_table(tmp_path, run, content, options):
    _, printed, said = run(TAGS, written(tmp_path / "t.tsv", content), *options)
    assert [row["id"] for row in rows_in(printed)] == ["1"]
    assert "texts from review" in said


def test_what_is_neither_is_refused_with_the_way_out(tmp_path, run):
    code, _, said = run(TAGS, written(tmp_path / "t.conll", "the batch\nevery token keeps\n"))
    assert code == 2
    assert "running text goes into a .jsonl with a column text" in " ".join(said.split())
    code, _, said = run(TAGS, written(tmp_path / "t.txt", "the batch\n"), "--text", "review")
    assert code == 2
    assert "has no column 'review' (it has text)" in " ".join(said.split())


def test_the_file_that_is_read_is_not_written(tmp_path, run):
    path = written(tmp_path / "t.csv", "text\nthe batch\n")
    (tmp_path / "link.csv").symlink_to(path)
    for out in (path, tmp_path / "link.csv"):
        code, _, said = run(LABELS, path, "--out", out)
        assert code == 2
        assert "is the file that is read: name another one" in " ".join(said.split())
    assert path.read_text() == "text\nthe batch\n"
    assert run(LABELS, path, "--out", tmp_path / "out.csv")[0] == 0
