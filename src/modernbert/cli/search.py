"""`modernbert search DIR QUERY`: an index and queries in, what fits them out."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import tyro

from modernbert.base.errors import ConfigError, DataError, reason_of
from modernbert.base.log import say
from modernbert.base.records import to_plain
from modernbert.cli.arguments import Folder, Query
from modernbert.retrieval.options import SearchOptions

if TYPE_CHECKING:
    from rich.text import Text

    from modernbert.retrieval.answers import Found

_AT_ONCE = 64
_SHOWN = 60
"""Characters of a value of metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Where queries come from, and how what is found is shown."""

    queries: str = ""
    """File of queries, a text a line or an object with the key text or query; - reads standard
    input."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON: an object a query."""
    model: str = ""
    """Where the index's model lies now, if it was moved."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""


def search(
    folder: Folder,
    query: Query = "",
    /,
    *,
    asking: Annotated[Asking, tyro.conf.arg(name="")],
    options: Annotated[SearchOptions, tyro.conf.arg(name="")],
) -> int:
    """Find the documents of an index that fit a query, with the passages that fit best.

    Args:
        folder: Folder that `modernbert index` or `modernbert demo` wrote.
        query: What to look for.
        asking: Where other queries come from, and how what is found is shown.
        options: How they are found.
    """
    from modernbert.retrieval.index import Index

    index = Index.open(_index_in(folder), model=asking.model, device=asking.device)
    if index.facts.source and not index.facts.source.is_done:
        say(f"{folder} is not finished: it has {len(index):,} documents so far")
    if query and asking.queries:
        raise ConfigError("there is a query and --queries: leave one of them out")
    rows = list(_rows_in(asking.queries)) if asking.queries else [{"query": query}]
    if not rows:
        raise DataError(f"{asking.queries} holds no query: give one a line")
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        found = index.search([row["query"] for row in some], options)
        for row, hits in zip(some, found, strict=True):
            if asking.as_json:
                content = {**row, "hits": [_plain(hit) for hit in hits]}
                print(json.dumps(content, ensure_ascii=False))
            else:
                _show(row["query"] if len(rows) > 1 else "", hits)
    return 0


def _index_in(folder: Path) -> Path:
    """Return the index that a folder is, or that a demo left in it."""
    inner = folder / "index"
    is_around = not (folder / "index.json").exists() and (inner / "index.json").exists()
    return inner if is_around else folder


def _rows_in(name: str) -> Iterator[dict[str, str]]:
    """Yield queries with the ids that they have."""
    if name == "-":
        yield from _rows_of(sys.stdin, "standard input")
        return
    try:
        with Path(name).open(encoding="utf-8-sig") as file:
            yield from _rows_of(file, name)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name} cannot be read ({reason_of(error)}): give a file of queries"
        ) from error


def _rows_of(file: IO[str], where: str) -> Iterator[dict[str, str]]:
    for number, line in enumerate(file, start=1):
        text = line.lstrip("\ufeff").strip()
        if not text.startswith("{"):
            if text:
                yield {"query": text}
            continue
        try:
            row = json.loads(text)
            query = row["query"] if "query" in row else row["text"]
        except (ValueError, KeyError):
            query = None
        if not isinstance(query, str):
            raise DataError(
                f"{where}, line {number} is no query: give an object with a text as text or query"
            )
        name = row.get("_id", row.get("id"))
        yield {**({} if name is None else {"id": str(name)}), "query": query}


def _plain(hit: "Found") -> dict[str, object]:
    content: dict[str, object] = to_plain(hit)
    return {key: value for key, value in content.items() if key != "text"}


def _show(query: str, hits: "list[Found]") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    if query:
        console.print(Text(query, style="bold"))
    if not hits:
        console.print("nothing fits")
    for rank, hit in enumerate(hits, start=1):
        line = Text(f"{rank:>2}. ")
        line.append(hit.title or hit.id, style="bold")
        known = {"id": hit.id} if hit.title else {}
        known |= {key: _short(value) for key, value in hit.metadata.items() if value is not None}
        about = "  ".join(f"{key} {value}" for key, value in known.items())
        line.append(f"  {hit.score:.4g}  ").append(about, style="dim")
        console.print(line)
        console.print(_marked(hit))


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _marked(hit: "Found") -> "Text":
    """Lay a passage out on one line, the query's words bold."""
    from rich.text import Text

    text = Text(hit.snippet.text)
    for start, end in hit.snippet.highlights:
        text.stylize("bold", start, end)
    shown = Text()
    for line in text.split("\n"):
        if line.plain.strip():
            shown.append("    ").append(line).append("\n")
    return shown
