"""A server and a browser of their own for tests of the page, and what they read from it."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modernbert.data.entries import Entry
from modernbert.retrieval.index import Index
from modernbert.retrieval.options import IndexOptions
from tests.indexes import make_index
from tests.served import ask, models

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Of Chromium, so that it asks nobody for anything by itself."""

TRICKY = [
    Entry("a", "\N{GRINNING FACE} the packed batch keeps documents apart", "<b>bold</b>", {"n": 1}),
    Entry("b", "every token, \N{PILE OF POO}, keeps its place in the batch", "", {}),
]
"""Documents with characters that take two units of JavaScript's texts, and with what looks like
HTML."""

_SAID = (
    (
        "Alternating attention",
        2024,
        "Every third layer of the encoder sees the whole text; the others see a window of 128 "
        "tokens. A long text of thousands of words is read at a cost that grows with its length, "
        "and not with the square of it.",
    ),
    (
        "Packing documents",
        2023,
        "Documents of different lengths are laid end to end in one row. No padding is computed, "
        "and no document sees its neighbours.",
    ),
    (
        "Reading habits",
        2019,
        "Readers skip through long reports: most look at the summary and the figures, and few "
        "read a long text to its end.",
    ),
    (
        "Sourdough at home",
        2021,
        "Feed the starter in the evening. Mix flour, water and salt, let the dough rest "
        "overnight, and bake it in a hot pot the next morning.",
    ),
    (
        "Keeping bees",
        2020,
        "A colony survives the winter on the honey that it stored. Leave it enough, and shield "
        "the hive from the wind.",
    ),
    (
        "Rotary embeddings",
        2021,
        "Positions are written into queries and keys as rotations, so that a score depends on how "
        "far two tokens are apart and on nothing else.",
    ),
)


def library(folder: Path) -> Path:
    """Write an index for pictures, made by the model named mini."""
    notes = [
        Entry(f"note-{number}", text, title, {"year": year})
        for number, (title, year, text) in enumerate(_SAID)
    ]
    return Index.create(folder / "library", "mini", notes, IndexOptions()).folder


def write_all(folder: Path) -> list[str]:
    """Write a model of each kind and two indexes, and return what has them served."""
    for name, model in models().items():
        model.save(folder / name)
    for kind in ("late", "dense"):
        make_index(folder / f"of-{kind}", kind, TRICKY)
        # An index goes by the name of its folder.
        (folder / f"of-{kind}" / "index").rename(folder / f"of-{kind}" / f"{kind}-index")
    long = {"choices": "choices-by-a-model-with-a-name-that-is-wider-than-any-phone-was-ever-made"}
    named = [
        f"{long.get(name, name)}={folder / name}"
        for name in models()
        if name not in ("late", "dense")
    ]
    named += [f"{kind}={folder / f'of-{kind}' / 'model'}" for kind in ("late", "dense")]
    indexes = [str(folder / f"of-{kind}" / f"{kind}-index") for kind in ("late", "dense")]
    return [*named, "--index", *indexes]


@contextlib.contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[str]:
    """Run `modernbert serve` on a free port, and give its address."""
    command = [sys.executable, "-m", "modernbert", "serve"]
    process = subprocess.Popen(
        [*command, *arguments, "--port", "0", "--log-level", "error", "--drain-s", "1"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | environment,
    )
    assert process.stderr is not None
    with process.stderr:
        said = []
        for line in process.stderr:
            said.append(line)
            if "listening at " in line:
                break
        try:
            assert process.poll() is None, "".join(said)
            yield said[-1].split()[-1]
        finally:
            process.terminate()
            process.wait()


def sent(command: str) -> tuple[str, Any]:
    """Read the address and the body out of a curl command."""
    words = shlex.split(command.replace("\\\n", ""))
    assert words[0] == "curl"
    return words[1], json.loads(words[words.index("-d") + 1])


def replied(command: str) -> Any:
    """Send what a curl command says, and return the answer."""
    return ask(*sent(command)).json


CONTRASTS = """
() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].map((each) => each / 255);
  };
  const over = (upper, lower) =>
    [0, 1, 2].map((each) => upper[each] * upper[3] + lower[each] * (1 - upper[3])).concat(1);
  const ground = (element) => {
    const below = element.parentElement ? ground(element.parentElement) : [1, 1, 1, 1];
    return over(channels(getComputedStyle(element).backgroundColor), below);
  };
  const light = (colour) => colour.slice(0, 3)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const contrast = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const isSeen = texts.currentNode.data.trim() && element.checkVisibility();
    if (!isSeen || ["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
    const below = ground(element);
    const ink = over(channels(getComputedStyle(element).color), below);
    found.push([texts.currentNode.data.trim().slice(0, 40), contrast(ink, below)]);
  }
  return { texts: found, ground: light(ground(document.body)) };
}
"""
"""JavaScript that measures, as WCAG 2 does, how each text that is seen stands out."""

MARKED = """
(element) => {
  const found = [];
  let place = 0, text = "";
  const walk = (node, mark) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.parentElement.closest(".label")) return;
      const size = Array.from(node.data).length;
      if (mark) mark.end = place + size;
      place += size;
      text += node.data;
      return;
    }
    const own = node.tagName === "MARK" ? { start: place, end: place } : mark;
    if (own !== mark) found.push(own);
    node.childNodes.forEach((child) => walk(child, own));
  };
  walk(element, null);
  return { text, marks: found.map(({ start, end }) => [start, end]) };
}
"""
"""JavaScript that returns an element's text, and the code points in it that are marked."""
