"""Rows of cells in, a table of text in columns out."""

from collections.abc import Sequence


def text_table(lines: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Align all cells of a column; columns without any cell are left out."""
    kept = [n for n in range(len(head)) if any(line[n] for line in lines)]
    rows = [[line[n] for n in kept] for line in (head, *lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
