from modernbert.data.documents import Document
from modernbert.data.passages import passages, sample

TEXT = "\n\n".join(
    f"Sentence one of {n} is here. Sentence two of {n} follows! Is number {n} the third?"
    for n in range(40)
)


def documents(names=("a", "b")):
    return [Document(TEXT.replace("number", name), name) for name in names]


def test_passages_are_the_document_in_order():
    (document,) = documents("a")
    found = list(passages(document, 3))
    assert "".join("".join(found).split()) == "".join(document.text.split())
    counts = [sum(text.count(mark) for mark in ".!?") for text in found]
    assert min(counts) == 1
    assert max(counts) == 8


def test_passages_have_bounds():
    text = "Short. \n\n\n " + "x" * 9000 + ". A sentence that is long enough. "
    found = list(passages(Document(text, "a"), 0))
    assert all(12 <= len(each) <= 2000 for each in found)
    assert not list(passages(Document(" \n\n \n", "a"), 0))


def test_a_sample_is_decided_by_the_seed_alone():
    whole = sample(documents(), 10_000, 1)
    assert len(whole) == len(set(whole)) > 60
    some = sample(documents(), 30, 1)
    # A smaller sample is the beginning of a larger one, whatever the order of the documents.
    assert some == whole[:30] == sample(reversed(documents()), 30, 1)
    assert some != sample(documents(), 30, 2)


def test_what_is_there_twice_is_taken_once():
    assert sample(documents("aa"), 10_000, 1) == sample(documents("a"), 10_000, 1)
