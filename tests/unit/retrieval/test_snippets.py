from modernbert.retrieval.lexical import words_of
from modernbert.retrieval.snippets import best_passage, passages, snippet_of
from tests.corpora import texts

TEXT = "Nothing here. " * 30 + "A date is parsed by parseDate. " + "Nothing there. " * 30


def test_passages_are_whole_sentences_and_lose_nothing():
    for text in (TEXT, *texts(5, 2, 300), "a" * 1000, "", "\n\n  one\ntwo  \n"):
        places = passages(text)
        assert "".join("".join(text[a:b] for a, b in places).split()) == "".join(text.split())
        assert all(0 < b - a <= 320 for a, b in places)
        assert [a for a, _ in places] == sorted({a for a, _ in places})
    assert TEXT[slice(*passages(TEXT)[0])].endswith("here.")


def test_passages_of_a_part_stay_in_it():
    places = passages(TEXT, 100, 500)
    assert min(a for a, _ in places) >= 100
    assert max(b for _, b in places) <= 500


def test_the_passage_with_most_words_is_shown_with_them_marked():
    query = words_of("parse the date")
    place = best_passage(TEXT, passages(TEXT), query)
    snippet = snippet_of(TEXT, place, query)
    assert TEXT[snippet.start : snippet.end] == snippet.text
    assert [snippet.text[a:b] for a, b in snippet.highlights] == ["date", "parseDate"]
    assert best_passage(TEXT, passages(TEXT), words_of("absent")) is None
    assert best_passage("", [], query) is None
