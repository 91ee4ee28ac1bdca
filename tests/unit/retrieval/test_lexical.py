import pytest

from modernbert.retrieval.lexical import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Parse the date, twice", ["parse", "date", "twice"]),
        ("parseDate(parse_date)", ["parse", "date", "parse", "date"]),
        ("HTTPServer2Start", ["http", "server2", "start"]),
        ("__init__", ["init"]),
        ("Größe 3.5", ["größe", "3", "5"]),
        ("", []),
    ],
)
def test_words_of_text_and_of_names(text, words):
    assert words_of(text) == words
