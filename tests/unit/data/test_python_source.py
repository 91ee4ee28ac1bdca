from modernbert.data.python_source import functions_of

SOURCE = '''\
"""A module."""
import os


def parse_date(text):
    """Parse an ISO date,
    such as 2024-05-06.

    More is said here.
    """
    parts = text.split("-")
    return parts


class Reader:
    """A class."""

    @property
    def size(self):
        "Return the size in bytes."
        here = os.stat(self.path)
        return here.st_size

    def __repr__(self):
        """Return what is printed of it."""
        x = 1
        return x

    def short(self):
        """Two words."""
        x = 1
        return x


if os.name == "posix":

    async def fetch(url):
        """Fetch what a server gives."""
        # \\d is no fault of ours
        found = "\\d"
        return found


def bare(x):
    y = x
    return y


def only_said(x):
    """Say what is done, and do nothing."""


def test_something():
    """Test that something is so."""
    x = 1
    assert x
'''


def test_documented_functions_are_found_with_their_places(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE)
    found = functions_of(tmp_path / "a.py")
    assert [each.name for each in found] == ["parse_date", "Reader.size", "fetch"]
    date, size, fetch = found
    assert date.docstring == "Parse an ISO date, such as 2024-05-06."
    assert date.code == 'def parse_date(text):\n    parts = text.split("-")\n    return parts'
    assert (date.first_line, date.last_line) == (5, 12)
    assert SOURCE.splitlines()[date.first_line - 1].startswith("def parse_date")
    assert size.code.splitlines()[0] == "def size(self):"
    assert size.code.splitlines()[1] == "    here = os.stat(self.path)"
    assert "server gives" not in fetch.code
    assert all(each.path == str(tmp_path / "a.py") for each in found)


def test_what_is_no_python_has_no_function(tmp_path):
    (tmp_path / "a.py").write_text("def f(:\n")
    (tmp_path / "b.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "c.py").write_bytes(b"x = '\x00'")
    assert not [each for name in "abcd" for each in functions_of(tmp_path / f"{name}.py")]
