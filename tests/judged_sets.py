"""Small sets in BEIR's layout."""

import json
from pathlib import Path

DOCUMENTS = {
    "d1": ("", "the packed batch keeps every token"),
    "d2": ("places", "documents stand apart"),
    "d3": ("", "a token of the batch"),
    "d4": ("", "nothing of it"),
}
QUERIES = {"q1": "packed batch", "q2": "documents apart", "q3": "nobody judged this"}
JUDGEMENTS = [("q1", "d1", "2"), ("q1", "d3", "1"), ("q2", "d2", "1"), ("q2", "d4", "0")]


def write_set(folder: Path, documents=None, queries=None, judgements=None) -> Path:
    """Write a folder with judgements of the split test."""
    (folder / "qrels").mkdir(parents=True)
    rows = [
        {"_id": name, "title": title, "text": text}
        for name, (title, text) in (DOCUMENTS if documents is None else documents).items()
    ]
    asked = [
        {"_id": name, "text": text}
        for name, text in (QUERIES if queries is None else queries).items()
    ]
    for name, many in (("corpus.jsonl", rows), ("queries.jsonl", asked)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in many))
    lines = [
        ("query-id", "corpus-id", "score"),
        *(JUDGEMENTS if judgements is None else judgements),
    ]
    (folder / "qrels" / "test.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return folder
