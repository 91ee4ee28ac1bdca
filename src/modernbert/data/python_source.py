"""Python source in, its documented functions out: what each says it does, and how it does it.

As CodeSearchNet takes them (arXiv 1909.09436, section 2): the first paragraph of the docstring is
what is asked for, and the function without its docstring what answers.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FEWEST_LINES, _FEWEST_WORDS = 3, 3


@dataclass(frozen=True, slots=True)
class Documented:
    """A function that says what it does."""

    name: str
    """With the class that it is in."""
    docstring: str
    """Its first paragraph, on one line."""
    code: str
    """The rest of it."""
    path: str
    first_line: int
    last_line: int


def functions_of(path: Path) -> list[Documented]:
    """Return the documented functions of a file; none where it is no Python of this version.

    Functions of less than 3 lines, of docstrings of less than 3 words, dunder methods and tests are
    left out.
    """
    try:
        source = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own faults, such as "\d"
            tree = ast.parse(source)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    lines = source.splitlines(keepends=True)
    return [
        found
        for node, names in _defined(tree, ())
        if (found := _function(node, names, lines, path)) is not None
    ]


def _defined(
    tree: ast.AST, names: tuple[str, ...]
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, tuple[str, ...]]]:
    """Yield functions in order, those in classes too; not those within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, (*names, node.name)
        elif isinstance(node, ast.ClassDef):
            yield from _defined(node, (*names, node.name))
        elif isinstance(node, ast.If | ast.Try):
            yield from _defined(node, names)


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    names: Sequence[str],
    lines: Sequence[str],
    path: Path,
) -> Documented | None:
    said = (ast.get_docstring(node) or "").split("\n\n")[0].split()
    is_left_out = node.name.startswith(("__", "test")) or len(said) < _FEWEST_WORDS
    if is_left_out or node.end_lineno is None:
        return None
    docstring = node.body[0]
    assert docstring.end_lineno is not None, "what was parsed has its lines"
    head = lines[node.lineno - 1 : docstring.lineno - 1]
    body = lines[docstring.end_lineno : node.end_lineno]
    if len(body) + len(head) < _FEWEST_LINES or not body:
        return None
    return Documented(
        name=".".join(names),
        docstring=" ".join(said),
        code=_flush_left([*head, *body]),
        path=str(path),
        first_line=node.lineno,
        last_line=node.end_lineno,
    )


def _flush_left(lines: Sequence[str]) -> str:
    """Take away the blanks that all lines begin with, as far as the first line has them."""
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "".join(line[margin:] if not line[:margin].strip() else line for line in lines).rstrip()
