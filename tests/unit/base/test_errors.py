from modernbert.base.errors import reason_of


def test_what_a_library_says_becomes_one_short_line():
    assert reason_of(ValueError("bad\n  header")) == "bad header"
    long = reason_of(ValueError("x" * 9000))
    assert long == "x" * 200 + " [...]"
