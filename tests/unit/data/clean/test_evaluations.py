import json

import pytest

from modernbert.base.errors import DataError
from modernbert.data.clean.evaluations import Example, examples_of


def test_a_beir_folder_gives_queries_and_documents(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(
        json.dumps({"_id": "d1", "title": "a title", "text": "a text"}) + "\n"
    )
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "asked"}) + "\n")
    (tmp_path / "README.txt").write_text("no example")
    found = list(examples_of("set", [tmp_path], ()))
    assert Example("queries.jsonl:1 (q1)", "asked") in found
    assert Example("corpus.jsonl:1 (d1)", "a text") in found
    assert not any(example.text == "no example" for example in found)


def test_files_give_the_named_columns(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("code\tabout\nx = 1\tit sets x\n")
    assert [each.text for each in examples_of("a", [path], ("about",))] == ["it sets x"]
    assert len(list(examples_of("a", [path], ()))) == 2
    with pytest.raises(DataError, match=r"has no column 'abut': did you mean about\?; --columns"):
        list(examples_of("a", [path], ("abut",)))


def test_plain_text_gives_paragraphs(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\n\n\nthree\n")
    assert [each.where for each in examples_of("a", [path], ())] == [
        "a.txt, paragraph 1",
        "a.txt, paragraph 2",
    ]


def test_a_set_without_text_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "", "number": 3}\n')
    with pytest.raises(DataError, match="the evaluation set 'a' holds no text"):
        list(examples_of("a", [path], ()))
    with pytest.raises(DataError, match="b does not exist: give a file or a folder with text"):
        list(examples_of("b", [tmp_path / "b"], ()))
