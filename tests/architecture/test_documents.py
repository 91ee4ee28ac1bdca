"""What documents name exists: links, files, make targets, commands; and no machine is named."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.source import PACKAGE, ROOT, texts, tracked

FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^()\s]+)\)")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
SUFFIXES = {".py", ".md", ".toml", ".lock", ".cff"}
TARGET = re.compile(r"\bmake ([a-z][\w-]*)")
COMMAND = re.compile(r"(?:^|[\s/])modernbert ([a-z][\w-]*)", flags=re.MULTILINE)

MACHINE = re.compile(
    r"(?<![\w.:*)\]}~-])/(?:home/|root/|Users/|work(?:space)?/|farm/|mnt/|opt/|tmp/)\w|[A-Z]:\\\\?Users"
)
# Spelled apart, so that this file does not name what it forbids.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
    )
]


def documents() -> Iterator[tuple[Path, str]]:
    yield from ((ROOT / name, text) for name, text in texts().items() if name.endswith(".md"))


def code(text: str) -> str:
    """Return a document's code, blocks and spans, without its prose."""
    return "\n".join(FENCE.findall(text) + SPAN.findall(FENCE.sub("", text)))


def anchors(text: str) -> set[str]:
    """Return the names that a document's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def broken_links(path: Path, text: str) -> list[str]:
    found = []
    for link in LINK.findall(FENCE.sub("", text)):
        name, _, anchor = link.partition("#")
        target = path.parent / name
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        page = target.read_text("utf-8") if target.suffix == ".md" and target.is_file() else text
        if not target.exists() or (anchor and anchor not in anchors(page)):
            found.append(link)
    return found


def missing_files(path: Path, text: str) -> list[str]:
    """Find names in code spans that look like files of this repository and are not."""
    tops = {file.relative_to(ROOT).parts[0] for file in tracked()}
    places = (path.parent, ROOT, PACKAGE)
    return [
        span
        for span in SPAN.findall(FENCE.sub("", text))
        if FILE.fullmatch(span)
        and (Path(span).suffix in SUFFIXES or ("/" in span and span.split("/")[0] in tops))
        and not any((place / span).exists() for place in places)
    ]


@cache
def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", makefile, flags=re.MULTILINE))


@cache
def verbs() -> set[str]:
    """Return the verbs in the first line of the command line's help."""
    command = [sys.executable, "-c", "from modernbert.cli.main import main; main()", "--help"]
    surroundings = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
    offered = re.search(r"\{([\w,-]+)\}", ran.stdout)
    return set(offered[1].split(",")) if offered else set()


def test_links_lead_somewhere():
    assert [(path.name, broken_links(path, text)) for path, text in documents()] == [
        (path.name, []) for path, _ in documents()
    ]


def test_files_that_documents_name_exist():
    assert [(path.name, missing_files(path, text)) for path, text in documents()] == [
        (path.name, []) for path, _ in documents()
    ]


def test_make_targets_that_documents_name_exist():
    named = {target for _, text in documents() for target in TARGET.findall(code(text))}
    assert named <= targets()


def test_readme_gives_the_two_commands():
    assert set(TARGET.findall(code(texts()["README.md"]))) >= {"demo", "test"}


def test_verbs_that_documents_name_exist():
    named = {verb for _, text in documents() for verb in COMMAND.findall(code(text))}
    assert "demo" in verbs()
    assert named - verbs() == set()


def test_no_file_names_a_machine():
    found = [
        f"{name}: {path[0]}" for name, text in texts().items() for path in MACHINE.finditer(text)
    ]
    assert found == []


def test_no_file_names_a_registry():
    named = [(name, host) for name, text in texts().items() for host in REGISTRIES if host in text]
    assert named == []


def test_false_documents_are_noticed():
    page = ROOT / "README.md"
    text = (
        "# A title\n[a](#a-title) [b](#b) [c](docs/none.md)\n`src/none.py` `run.json` `batch.py`\n"
    )
    assert broken_links(page, text) == ["#b", "docs/none.md"]
    assert missing_files(page, text) == ["src/none.py"]
    assert TARGET.findall(code("make sure\n```\nmake demo\n```\n and `make it`")) == ["demo", "it"]
    assert COMMAND.findall(code("`.venv/bin/modernbert pretrain` of modernbert here")) == [
        "pretrain"
    ]


def test_paths_of_machines_are_noticed():
    assert MACHINE.search("open('/ho" + "me/ann/x')")
    assert MACHINE.search("cd /t" + "mp/x")
    assert not MACHINE.search(
        "../wo" + "rk/x, docs/t" + "mp/x, https://example.org/o" + "pt/x, /us" + "r/bin/env"
    )
