"""Texts with faults planted among good ones: each kind of fault under the name of its source."""

import gzip
import json
from pathlib import Path

import numpy as np

WORDS = (
    *("the", "of", "and", "to", "that", "have", "with", "be", "river", "stone", "garden", "letter"),
    *("winter", "morning", "house", "teacher", "song", "ship", "market", "island", "forest"),
    *("bridge", "window", "paper", "mountain", "village", "summer", "history", "question"),
    *("road", "table", "music", "engine", "harbour", "captain", "field", "weather", "valley"),
)


def prose(number: int, words: int = 160) -> str:
    """English words in sentences, no two texts alike."""
    rng = np.random.default_rng([7, number])
    drawn = list(rng.choice(WORDS, words))
    drawn[0] = f"Number{number}"
    return ". ".join(" ".join(drawn[at : at + 12]) for at in range(0, words, 12)) + "."


def write_lines(path: Path, texts: list[str], **more: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, **more}, ensure_ascii=False) + "\n" for text in texts]
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return path


def read_lines(folder: Path) -> list[dict[str, str]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
