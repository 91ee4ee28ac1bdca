"""Values with any character in, pieces of Markdown and YAML that show them as they are, out."""

import json
import re
from collections.abc import Sequence

_TICKS = re.compile("`+")


def code(text: str) -> str:
    """Return a code span that may stand in a table; characters that cannot be seen are escaped."""
    shown = json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"')
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)
    # A column ends at a bar even inside a code span; a backslash before it is taken away again.
    shown = shown.replace("|", "\\|")
    fence = "`" * (1 + max(map(len, _TICKS.findall(shown)), default=0))
    space = " " if len(fence) > 1 or not shown.strip() else ""
    return f"{fence}{space}{shown}{space}{fence}"


def fenced(language: str, lines: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{lines.strip()}\n```"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; all columns but the first stand to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def front_matter(values: dict[str, str | list[str]]) -> str:
    """Return the YAML at the head of a page; JSON's strings and lists are YAML."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])
