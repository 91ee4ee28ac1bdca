"""Small tasks in GLUE's own files: words say the label, so that a small model learns them."""

from pathlib import Path

import numpy as np

from tests.corpora import WORDS

HALVES = (WORDS[:4], WORDS[4:])


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    """Sentences whose words are of one half of the vocabulary, and which."""
    rng = np.random.default_rng(seed)
    sides = rng.integers(0, 2, count).tolist()
    return [(" ".join(rng.choice(HALVES[side], 6)), side) for side in sides]


def write_table(path: Path, rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def write_rte(folder: Path, rows: int = 24) -> None:
    for part, seed in (("train", 0), ("dev", 1)):
        lines = [
            [str(n), one, one, ("entailment", "not_entailment")[side]]
            for n, (one, side) in enumerate(sentences(rows, seed))
        ]
        write_table(folder / f"{part}.tsv", [["index", "sentence1", "sentence2", "label"], *lines])


def write_mnli(folder: Path, rows: int = 24) -> None:
    names = ("entailment", "contradiction")
    head = ["index", "genre", "sentence1", "sentence2", "label1", "gold_label"]
    parts = {"train": 0, "dev_matched": 1, "dev_mismatched": 2}
    for part, seed in parts.items():
        lines = [
            [str(n), "x", one, one, names[side], names[side]]
            for n, (one, side) in enumerate(sentences(rows, seed))
        ]
        lines += [["99", "x", "every place", "a place", "neutral", "-"]]
        write_table(folder / f"{part}.tsv", [head, *lines])


def write_cola(folder: Path, rows: int = 24) -> None:
    for part, seed in (("train", 0), ("dev", 1)):
        lines = [["gj04", str(side), "", one] for one, side in sentences(rows, seed)]
        write_table(folder / f"{part}.tsv", lines)
