"""Make the pairs and sets of the trainings of 2026-11-27: python lab/pairs.py DATA OUT.

DATA is a folder with the judged sets and csn-like (see lab/LOG.md for what they are). OUT gets
mix.jsonl, long600.jsonl and python-1000/; a second call, when OUT/mined.jsonl is there, makes
mid.jsonl of it.
"""

import csv
import gzip
import json
import random
import sys
from collections.abc import Iterable
from pathlib import Path

LONGEST = 2000
"""Characters of a text of mix.jsonl."""
SETS = {
    "retrieval/scifact": "train",
    "retrieval/pubmedqa": "train",
    "long/openstax-qa": "train",
    "long/qmsum": "train",
    "code/cosqa": "dev",
    "code/stackoverflow-codenn/python": "dev",
}
FUNCTIONS = {"go": 3000, "javascript": 3000, "rust": 3000, "python": 4000}


def judged(folder: Path, split: str) -> list[tuple[str, str]]:
    """Return the queries of a set in BEIR's layout, each with what answers it."""
    documents, queries = {}, {}
    for line in (folder / "corpus.jsonl").open():
        row = json.loads(line)
        documents[row["_id"]] = f"{row.get('title', '')} {row['text']}".strip()
    for line in (folder / "queries.jsonl").open():
        row = json.loads(line)
        queries[row["_id"]] = row["text"]
    rows = list(csv.reader((folder / "qrels" / f"{split}.tsv").open(), delimiter="\t"))[1:]
    return [(queries[q], documents[d]) for q, d, score in rows if float(score) > 0]


def functions(data: Path, language: str, part: str) -> list[str]:
    """Return the lines of a part of csn-like."""
    return list(gzip.open(data / "code" / "csn-like" / language / f"{part}.jsonl.gz", "rt"))


def mixed(data: Path) -> Iterable[dict[str, str]]:
    """Return 23 thousand pairs of all kinds."""
    source, found = random.Random(7), []
    for name, split in SETS.items():
        rows = judged(data / name, split)
        source.shuffle(rows)
        found += [(*row, name) for row in rows]
    lines = csv.DictReader(
        (data / "nlu/QNLI/dev.tsv").open(), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    found += [
        (row["question"], row["sentence"], "QNLI") for row in lines if row["label"] == "entailment"
    ]
    for language, number in FUNCTIONS.items():
        each = [json.loads(line) for line in functions(data, language, "train")]
        source.shuffle(each)
        found += [(row["docstring"], row["code"], language) for row in each[:number]]
    kept = [row for row in found if row[0].strip() and row[1].strip()]
    source.shuffle(kept)
    return [{"query": q[:LONGEST], "positive": d[:LONGEST], "from": name} for q, d, name in kept]


def long_ones(data: Path, source: random.Random) -> Iterable[dict[str, str]]:
    """Return 600 pairs of a question and a long text."""
    found = []
    for name, number in (("openstax-qa", 400), ("qmsum", 200)):
        rows = judged(data / "long" / name, "train")
        source.shuffle(rows)
        found += rows[:number]
    source.shuffle(found)
    return [{"query": q, "positive": d} for q, d in found]


def scored(out: Path) -> Iterable[dict[str, str]]:
    """Return pairs with three negatives: the hardest, another hard one, and any."""
    source = random.Random(3)
    rows = [json.loads(line) for line in (out / "mined.jsonl").open()]
    kinds = {}
    for line in (out / "mix.jsonl").open():
        row = json.loads(line)
        kinds[row["query"], row["positive"]] = row["from"]
    documents, found = [row["positive"] for row in rows], []
    for row in rows:
        if "qmsum" in kinds.get((row["query"], row["positive"]), "?"):
            continue
        hard = [row[f"negative_{place}"] for place in range(1, 5)]
        negatives = [hard[0], source.choice(hard[1:]), source.choice(documents)]
        named = {f"negative_{n}": text[:900] for n, text in enumerate(negatives, start=1)}
        found.append({"query": row["query"], "positive": row["positive"][:900], **named})
    source.shuffle(found)
    return found[:14_000]


def write(rows: Iterable[dict[str, str]], path: Path) -> None:
    """Write a row a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main(data: Path, out: Path) -> None:
    """Make what is missing."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / "mined.jsonl").exists():
        write(scored(out), out / "mid.jsonl")
        return
    write(mixed(data), out / "mix.jsonl")
    source = random.Random(5)
    write(long_ones(data, source), out / "long600.jsonl")
    lines = functions(data, "python", "test")
    source.shuffle(lines)
    folder = out / "python-1000"
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / "test.jsonl.gz", "wt") as target:
        target.writelines(lines[:1000])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
