"""Parts of HTML in, a page that stands alone out; rows of cells in, a table out."""

from collections.abc import Sequence
from html import escape

from modernbert.evals.style import STYLE


def whole(title: str, body: Sequence[str], every_s: int = 0) -> str:
    """Return the page's HTML; nothing in it is fetched from elsewhere.

    A browser opens the page anew every so many seconds, if that is above zero.
    """
    again = f'<meta http-equiv="refresh" content="{every_s}">' if every_s else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"{again}<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def table(lines: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return a table of cells that are HTML already; numbers stand to the right."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = ("", *(' class="n"' for _ in cells[1:])) if len(cells) > 2 else ("", "")
        return "".join(
            f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )

    top = f"<tr>{row(head, 'th')}</tr>" if head else ""
    rest = "".join(f"<tr>{row(line, 'td')}</tr>" for line in lines)
    return f'<div class="wide"><table>{top}{rest}</table></div>'
