"""What README and the guides tell a reader to type is typed here, on a few small texts."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.corpora import texts, write_texts

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for folder in ("guides", "concepts")
        for path in ROOT.glob(f"docs/{folder}/*.md")
    ),
]
BLOCK = re.compile(r"(?:^(<!--[^\n]*-->)\n)?^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
TOTAL = re.compile(r"--total \S+")
"""The one thing that is changed: how many tokens a run sees."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of code of a page."""

    language: str
    code: str
    is_run: bool


def blocks(page: str) -> list[Block]:
    """Return a page's shell and Python blocks, in order."""
    return [
        Block(language, TOTAL.sub("--total 20k", code), not NOT_RUN.fullmatch(mark))
        for mark, language, code in BLOCK.findall(page)
    ]


def command(block: Block) -> list[str]:
    if block.language == "python":
        return [sys.executable, "-c", block.code]
    return ["bash", "-euo", "pipefail", "-c", block.code]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_blocks_run_in_order(name, tmp_path):
    write_texts(tmp_path / "texts", texts(120, longest=600))
    (tmp_path / "more.jsonl").write_text('{"body": "one more text, of another kind"}\n' * 4)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    for block in blocks((ROOT / name).read_text(encoding="utf-8")):
        if block.is_run:
            ran = subprocess.run(
                command(block),
                cwd=tmp_path,
                env=surroundings,
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
            assert ran.returncode == 0, f"{name}:\n{block.code}\n{ran.stdout}\n{ran.stderr}"


def test_every_fence_names_a_known_language():
    known = {"sh", "python", "text", "json", "toml"}
    for name in PAGES:
        fences = re.findall(r"^```(.*)$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
        assert set(fences[::2]) <= known, name
        assert set(fences[1::2]) <= {""}, name


def test_blocks_are_found_and_left_out():
    page = "a\n```sh\nx --total 3M\n```\n<!-- not run: needs a GPU -->\n```sh\ny\n```\n"
    assert blocks(page) == [Block("sh", "x --total 20k\n", True), Block("sh", "y\n", False)]
    marked = "<!-- not run: a -->\n```sh\nv\n```\n"
    assert [block.is_run for block in blocks(marked * 2 + "```sh\nw\n```\n")] == [
        False,
        False,
        True,
    ]
    assert blocks("<!-- note -->\n```python\nz\n```\n") == [Block("python", "z\n", True)]
