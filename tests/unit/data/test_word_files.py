import gzip

import pytest

from modernbert.data.word_files import is_of_words, text_file

POEM = "every token keeps its place\nthe batch is packed\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a word a line", "every\ntoken\n\nkeeps\n"),
        ("a long word", "Donaudampfschifffahrt\nist\nlang\n"),
        ("with tags", "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter NNP I-PER\n"),
        ("parts of speech", "EU NNP\nrejects VBZ\n. .\n"),
        ("tags in small letters", "EU B-org\nrejects O\n"),
        ("tabs", "EU\tpropn\nrejects\tverb\n"),
        ("comments", "# a comment of five words\nEU\tB-ORG\n\n# another one\nrejects\tO\n"),
        ("a word with a blank", "New York\tB-LOC\n\nNew\tO\n\n"),
    ],
)
def test_words_in_columns_are_told(tmp_path, name, content):
    for end in ("txt", "tsv"):
        path = tmp_path / f"{name}.{end}"
        path.write_text(content)
        assert is_of_words(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sentences", POEM),
        ("one line", "the packed batch keeps every token\n"),
        ("lines of as many words", "the packed batch\nkeeps every token\n"),
        ("paragraphs", "the batch\n\nevery token\n"),
        ("tokens", "I like it .\nI hate it .\n"),
        ("loud", "THE BATCH KEEPS EVERY TOKEN APART\n"),
        ("table", "id\treview\n1\tgood batch\n2\tbad batch\n"),
        ("table with a gap", "\nid\treview\n1\tgood batch\n\n2\tbad batch\n"),
        ("table with gaps around it", "\nreview\tid\ngood batch\t1\n\n"),
        (
            "no blanks",
            "汉字之间没有空格一行就是一个句子\n他昨天在北京的图书馆里看了一整天的书。\n",
        ),
        ("nothing", "\n"),
    ],
)
def test_running_text_is_told(tmp_path, name, content):
    for end in ("txt", "tsv"):
        path = tmp_path / f"{name}.{end}"
        path.write_text(content)
        assert not is_of_words(path)


def test_each_line_of_running_text_is_a_row(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf one \r\n\n \ntwo"))
    table = text_file(tmp_path / "a.txt.gz")
    assert [row.values for row in table] == [{"text": " one "}, {"text": "two"}]
    assert [row.where[-6:] for row in table] == ["line 1", "line 4"]
    assert table.bytes_read == table.size_bytes > 0


def test_a_file_is_read_as_far_as_is_asked(tmp_path):
    (tmp_path / "a.txt").write_text(POEM * 20_000)
    table = text_file(tmp_path / "a.txt")
    assert next(iter(table)).values == {"text": "every token keeps its place"}
    assert table.bytes_read < table.size_bytes
    assert not is_of_words(tmp_path / "a.txt")
