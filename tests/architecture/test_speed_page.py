"""Rows of `modernbert bench efficiency` become the tables, sentences and pictures of its page."""

import re
from itertools import product

import pytest
from benchmarks.efficiency import (
    batches_table,
    curve_table,
    curve_words,
    families_table,
    pictures,
    published_table,
    runtimes_table,
)
from benchmarks.eight_bits import eight_bits_table
from benchmarks.plots import draw
from benchmarks.rows import HERE, latest, rows_of

from tests.architecture.source import ROOT

RUNTIMES = {
    "modernbert": {
        "tokens_per_second": 600.4,
        "ours_is_faster": 1.0,
        "quartiles": [1.0, 1.0],
        "peak_bytes": 2 << 20,
        "joules": 8.0,
    },
    "matrix products": {"tokens_per_second": 700.0, "peak_bytes": 1 << 20},
    "transformers": {
        "tokens_per_second": 480.3,
        "ours_is_faster": 1.25,
        "quartiles": [1.2, 1.3],
        "peak_bytes": 8 << 20,
        "joules": None,
    },
    "onnxruntime": {"failed": "no memory"},
}
BASE = {
    "weights": 149e6,
    "beside": "modernbert-base",
    "share_of_products_rate": 0.88,
    "runtimes": RUNTIMES,
}
OTHERS = {
    "bert-base": BASE | {"weights": 110e6, "runtimes": {"transformers": RUNTIMES["transformers"]}},
    "gte-base": BASE | {"weights": None, "left_out": "no", "runtimes": {}},
}
ROW = {
    "case": "short",
    "length": 0,
    "longest": 8192,
    "texts": None,
    "precision": "float32",
    "device": "cpu",
    "gpu": None,
    "documents": 16,
    "batch_tokens": 0,
    "order": "sorted",
    "tokens": 4000,
    "threads": 2,
    "length_quartiles": [512, 512, 512],
    "largest_batch_bytes": 3 << 30,
    "machine": {"processor": "P", "cores": 2},
    "versions": {"torch": "2.13.0"},
    "models": {"modernbert-base": BASE},
}


def at(length, speed, ahead):
    local = {"tokens_per_second": speed}
    theirs = RUNTIMES["transformers"] | {"ours_is_faster": ahead}
    runtimes = RUNTIMES | {"transformers": theirs, "local layers": local}
    changed = {"case": "fixed", "length": length, "models": {"tiny": BASE | {"runtimes": runtimes}}}
    return ROW | changed


CURVE = [at(64, 900, 1.1), at(16, 1000, 1.5), at(8192, 950, 3.0)]


@pytest.mark.parametrize(
    "made",
    [runtimes_table, families_table, curve_table, curve_words, pictures, batches_table],
)
def test_nothing_measured_gives_no_number(made):
    assert made([]).startswith("No row was measured yet.")


def test_runtimes_stand_beside_ours_and_failures_are_told():
    *_, line = runtimes_table([ROW]).splitlines()
    assert line == (
        "| modernbert-base | 16 of short | 4000 | float32 | 600 | 1.25 (1.20 to 1.30) | "
        "failed: no memory | 88% | 2 / 8 | P, 2 cores, torch 2.13.0 |"
    )


def test_families_stand_beside_modernbert():
    *_, ours, bert, gte = families_table([ROW | {"models": ROW["models"] | OTHERS}]).splitlines()
    assert ours == (
        "| modernbert-base | 149M | 16 of short | float32 | modernbert | 600 | "
        "1.00 (1.00 to 1.00) | 2 | 2.0 | P, 2 cores, torch 2.13.0 |"
    )
    assert bert == (
        "| bert-base | 110M | 16 of short | float32 | transformers | 480 | "
        "1.25 (1.20 to 1.30) | 8 | - | P, 2 cores, torch 2.13.0 |"
    )
    assert gte == (
        "| gte-base | - | 16 of short | float32 | - | - | - | - | - | P, 2 cores, torch 2.13.0 |"
    )


def test_lengths_stand_below_each_other():
    lines = curve_table(CURVE).splitlines()[2:]
    assert [line.split(" | ")[2] for line in lines] == ["16", "64", "8192"]
    assert lines[1] == (
        "| tiny | float32 | 64 | 16 | 600 | 1.10 (1.20 to 1.30) | failed: no memory | 900 | "
        "2 / 8 | P, 2 cores, torch 2.13.0 |"
    )
    assert curve_words(CURVE) == (
        "- tiny, float32, P, 2 cores, torch 2.13.0: at least 1.10 times as fast as transformers "
        "(documents of 64 tokens), at most 3.00 times (8192). Its local layers alone encode 1000 "
        "tokens a second in documents of 16, and 950 in documents of 8192."
    )
    assert "fixed" not in runtimes_table([ROW, *CURVE])


def test_pictures_are_drawn_the_same_again(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        draw([ROW, *CURVE], folder)
    names = re.findall(r"benchmarks/([\w-]+\.svg)", pictures(CURVE))
    assert len(names) == 2
    for name in names:
        first, second = ((tmp_path / place / name).read_bytes() for place in "ab")
        assert first == second


def test_pictures_that_the_page_shows_are_there():
    shown = pictures(rows_of(HERE / "efficiency.jsonl"))
    assert all((HERE / name).is_file() for name in re.findall(r"benchmarks/([\w-]+\.svg)", shown))


def test_largest_batches_say_what_ended_the_search():
    lines = []
    ends = ("memory", 42), ("failure", 42), ("limit", None), ("time", 48), ("time", None)
    for stopped_by, too_many in ends:
        found = {"documents": 40, "stopped_by": stopped_by, "too_many": too_many}
        told = {"largest_batch": found}
        runtimes = {"modernbert": RUNTIMES["modernbert"] | told}
        row = ROW | {"models": {"tiny": BASE | {"runtimes": runtimes}}}
        lines.append(batches_table([row]).splitlines()[-1])
    assert lines[0] == (
        "| tiny | modernbert | 512 | float32 | 40 | 3.0 GiB | P, 2 cores, torch 2.13.0 |"
    )
    numbers = [line.split(" | ")[4] for line in lines[1:]]
    assert numbers == ["40, then it failed", "40 or more", "40 to 47", "40 or more"]


def test_what_was_published_stays_apart_from_what_was_measured():
    published = rows_of(HERE / "published.jsonl")
    assert {row["source"] for row in published} == {"arXiv 2412.13663, table 2, RTX 4090"}
    assert len(published_table(published).splitlines()) == 2 + len(published) == 15
    page = (ROOT / "docs" / "concepts" / "how-fast-and-why.md").read_text(encoding="utf-8")
    before = page.partition("<!-- published: start -->")[0]
    assert "**Not measured here.**" in before.rpartition("## ")[2]
    # Padded models take as long for half the tokens.
    for row, kind in product(published, ("short", "long")):
        if row[kind] is not None and row["model"] != "ModernBERT" and "with" not in row["model"]:
            assert abs(row[f"{kind}_fixed"] / row[kind] - 2) < 0.02


def test_a_case_measured_again_counts_once():
    changes = [
        {"case": "long"},
        {"documents": 4},
        {"threads": 1},
        {"order": "drawn"},
        {"gpu": "G"},
        {"machine": {"processor": "Q", "cores": 2}},
        {"models": OTHERS},
    ]
    others = [ROW | changed for changed in changes]
    assert latest([ROW, *others, ROW]) == [ROW, *others]


def test_eight_bits_have_a_table_of_their_own():
    differs = RUNTIMES["transformers"] | {"largest_difference": 0.251}
    runtimes = {"modernbert": RUNTIMES["modernbert"], "onnxruntime int8": differs}
    row = ROW | {"precision": "int8", "models": {"tiny": BASE | {"runtimes": runtimes}}}
    lines = eight_bits_table([ROW, row]).splitlines()
    assert len(lines) == 2 + len(runtimes)
    assert (
        "| tiny | 16 of short | onnxruntime int8 | 480 | 1.25 (1.20 to 1.30) | 0.25 | 8 |"
        in lines[-1]
    )
    assert runtimes_table([row]) == runtimes_table([])
    assert eight_bits_table([ROW]).startswith("No row was measured yet")
