"""Small files of queries and what answers them."""

import json
from pathlib import Path

from modernbert.retrieval.training.config import RetrieverConfig

WORDS = ("packed", "batch", "documents", "apart", "token", "place")


def rows(count: int, negatives: int = 0, scores: str = "") -> list[dict]:
    """Pairs that share words, with so many negatives and scores of a teacher or of the pair."""
    made = []
    for n in range(count):
        word = WORDS[n % len(WORDS)]
        row = {"query": f"the {word} {n}", "positive": f"{word} number {n} keeps every {word}"}
        others = [f"{WORDS[(n + i) % len(WORDS)]} of {n + i}" for i in range(1, negatives + 1)]
        row |= {f"negative_{i}": text for i, text in enumerate(others, start=1)}
        if scores == "teacher":
            row["scores"] = [3.0, *(1.0 / (i + 1) for i in range(negatives))]
        if scores == "labels":
            row["label"] = float(n % 2)
        made.append(row)
    return made


def write_rows(path: Path, many: list[dict]) -> Path:
    """Write a row a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in many), encoding="utf-8")
    return path


def small_training(pairs: Path, **fields) -> RetrieverConfig:
    """Six steps on one thread."""
    usual = {
        "batch_size": 8,
        "mini_batch": 4,
        "epochs": 2,
        "evaluations": 2,
        "lr": 1e-3,
        "threads": 1,
        "precision": "float32",
        "device": "cpu",
    }
    return RetrieverConfig(pairs=str(pairs), **(usual | fields))
