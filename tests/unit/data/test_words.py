import pytest

from modernbert.data.words import words_of


def cut(text):
    return [text[begin:end] for begin, end in words_of(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mr. O'Neil, of the U.S.A.!", ["Mr", ".", "O'Neil", ",", "of", "the", "U.S.A", ".", "!"]),
        ("e-mail\tus\nat  (a-b)", ["e-mail", "us", "at", "(", "a-b", ")"]),
        ("$5,000 ...", ["$", "5,000", ".", ".", "."]),
        ("nai\u0308ve caf\u00e9", ["nai\u0308ve", "caf\u00e9"]),
        ("\u6771\u4eac\u306f\u9ad8\u3044\u3002", list("\u6771\u4eac\u306f\u9ad8\u3044\u3002")),
        ("GPT\u6a21\u578b 4", ["GPT", "\u6a21", "\u578b", "4"]),
        ("\u0e27\u0e31\u0e19", ["\u0e27\u0e31", "\u0e19"]),
        (
            "ok \N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}",
            ["ok", "\N{THUMBS UP SIGN}", "\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"],
        ),
        ("x" * 5000, ["x" * 5000]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_words_are_cut_at_blanks_and_punctuation_is_apart(text, words):
    assert cut(text) == words


def test_every_character_but_blanks_is_in_one_word():
    text = "Ein \u201eWort\u201c, (zwei)\u3000\u4e09\u00a0vier? \u200b\U0001f469\u200d\U0001f680 a"
    places = [at for begin, end in words_of(text) for at in range(begin, end)]
    assert places == [at for at, character in enumerate(text) if not character.isspace()]
