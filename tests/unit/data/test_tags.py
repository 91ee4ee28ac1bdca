import numpy as np
import pytest

from modernbert.data.tags import TagSpan, bio, bio_names, is_chunked, spans_of


def spans(tags):
    return [(span.start, span.stop, span.kind) for span in spans_of(tags.split())]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-X I-X O B-Y", [(0, 2, "X"), (3, 4, "Y")]),
        ("I-X I-X O I-Y", [(0, 2, "X"), (3, 4, "Y")]),
        ("I-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
        ("B-X B-X", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X I-Y", [(0, 1, "X"), (1, 2, "Y")]),
        ("S-X B-X E-X S-Y", [(0, 1, "X"), (1, 3, "X"), (3, 4, "Y")]),
        ("U-X B-X I-X L-X O", [(0, 1, "X"), (1, 4, "X")]),
        ("I-X E-X I-X", [(0, 2, "X"), (2, 3, "X")]),
        ("O I-X", [(1, 2, "X")]),
        ("B-a-b I-a-b", [(0, 2, "a-b")]),
        ("B I O B", [(0, 2, "_"), (3, 4, "_")]),
    ],
)
def test_every_scheme_is_read(tags, expected):
    assert spans(tags) == expected


def test_spans_survive_the_trip():
    rng = np.random.default_rng(0)
    for _ in range(200):
        cuts = sorted(rng.choice(20, 8, replace=False).tolist())
        found = [
            TagSpan(start, stop, str(rng.choice(["X", "Y"])))
            for start, stop in zip(cuts[::2], cuts[1::2], strict=True)
        ]
        assert spans_of(bio(found, 20)) == found


def test_names_come_in_a_fixed_order():
    assert bio_names(["Y", "X", "Y"]) == ("O", "B-X", "I-X", "B-Y", "I-Y")


def test_tags_of_single_words_are_told_apart():
    assert is_chunked(["O", "B-X", "I-X"])
    assert is_chunked(["S-X", "E-Y"])
    assert not is_chunked(["NOUN", "VERB", "B-X"])
    assert not is_chunked(["O", "O"])
