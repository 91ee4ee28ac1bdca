from hypothesis import given
from hypothesis import strategies as st

from modernbert.data.clean.tally import Sample, Tally, chosen

NAMES = st.lists(st.text(max_size=5), unique=True, max_size=30)


@given(NAMES, st.integers(0, 8), st.randoms(use_true_random=False))
def test_samples_do_not_depend_on_their_order(names, most, random):
    samples = [Sample(name, "x") for name in names]
    mixed = random.sample(samples, len(samples))
    assert chosen(samples, most) == chosen(mixed, most)
    halves = [*chosen(mixed[::2], most), *chosen(mixed[1::2], most)]
    assert chosen(halves, most) == chosen(samples, most)


def test_dropped_documents_are_counted_and_their_samples_shortened():
    tally = Tally(1)
    for number in range(3):
        tally.drop("a", "too long", Sample(str(number), "x" * 1000))
    loss = tally.step("a").losses["too long"]
    assert (loss.documents, loss.characters, len(loss.samples)) == (3, 3000, 1)
    assert loss.samples[0].text == "x" * 400 + " [...]"
    tally.clear()
    assert tally == Tally(1)
