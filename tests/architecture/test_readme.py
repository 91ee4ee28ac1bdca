"""README's tree says what the files say, its tables what was measured."""

import ast
import re

import pytest
from benchmarks.latency import latency_table
from benchmarks.rows import rows_of
from benchmarks.search import embedding_table, maxsim_table, search_table
from benchmarks.tables import (
    PAGES,
    accelerate_table,
    finetuning_table,
    replaced,
    training_table,
)

from modernbert.bench.latency import LAUNCHED, REPLAYED
from tests.architecture.source import PACKAGE, ROOT, texts, tracked

TREE = re.compile(r"^```text\nsrc/modernbert/\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
ROW = {
    "model": "tiny",
    "vocab_size": 8192,
    "context_length": 1024,
    "row_tokens": 16384,
    "padded_real_share": 0.41,
    "ours_tokens_per_second": 3000.4,
    "theirs_tokens_per_second": 1000.2,
    "ratio": 3.0,
    "ratio_quartiles": [2.9, 3.1],
    "machine": {"processor": "P", "cores": 2},
    "versions": {"torch": "2.13.0"},
}


def said_by_files() -> dict[str, str]:
    """Return each room with the first line of its docstring."""
    sources = {f"{path.parent.name}/": path for path in PACKAGE.glob("*/__init__.py")}
    sources |= {path.name: path for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    docs = {name: ast.get_docstring(ast.parse(path.read_text())) for name, path in sources.items()}
    return {name: (doc or "").splitlines()[0] for name, doc in docs.items()}


def tree(page: str) -> list[str]:
    found = TREE.search(page)
    return found[1].splitlines() if found else []


def wanted(lines: list[str]) -> list[str]:
    """Write the tree's lines anew from the files, in the order that README chose."""
    said = said_by_files()
    chosen = [line.split()[0] for line in lines]
    return [f"  {name:<12}{said.get(name)}" for name in [*chosen, *sorted({*said} - {*chosen})]]


def test_tree_of_the_package_is_what_its_files_say():
    lines = tree(texts()["README.md"])
    assert lines == wanted(lines)


def test_every_folder_has_its_line():
    tops = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}
    named = set(re.findall(r"^- `([\w-]+)/`", texts()["README.md"], flags=re.MULTILINE))
    assert named - {"src"} == {top for top in tops if not top.startswith(".")} - {"src"}


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path in PAGES for name in PAGES[path]()]
)
def test_a_table_is_what_was_measured(path, name):
    page = path.read_text(encoding="utf-8")
    assert page == replaced(page, name, PAGES[path]()[name]), "run: python -m benchmarks.tables"
    assert page.count(f"<!-- {name}: start -->") == page.count(f"<!-- {name}: stop -->") == 1


def test_nothing_measured_gives_no_number(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    for path in (empty, tmp_path / "absent.jsonl"):
        assert training_table(rows_of(path)).startswith("No row was measured yet.")


def test_a_line_that_is_no_row_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{}\n{"torn\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2 is no row: take it out"):
        rows_of(tmp_path / "rows.jsonl")


def test_rows_of_accelerated_models_become_lines():
    row = ROW | {
        "weights": 2_655_360,
        "texts": "a.jsonl",
        "documents": 96,
        "length_quartiles": [40, 200, 512],
        "order": "sorted",
        "real_share": 0.93,
        "precision": "float32",
    }
    *_, line = accelerate_table([row]).splitlines()
    assert line == (
        "| tiny | 2.7M | 96 of a.jsonl | 40, 200, 512 | sorted | 93% | float32 | 3000 | 1000 | "
        "3.00 (2.90 to 3.10) | P, 2 cores, torch 2.13.0 |"
    )


def test_rows_of_queries_become_lines():
    launched = {"milliseconds": 6.0, "quartiles": [5.5, 6.5], "difference": 0.0}
    replayed = {"milliseconds": 1.5, "quartiles": [1.4, 1.6], "difference": 0.0}
    queries = {"16": {LAUNCHED: launched, REPLAYED: replayed}, "64": {LAUNCHED: launched}}
    row = ROW | {"precision": "bfloat16", "gpu": "NVIDIA G", "queries": queries}
    *_, one, other = latency_table([row]).splitlines()
    assert one == (
        "| tiny | bfloat16 | 16 | 6.00 (5.50 to 6.50) | 1.50 (1.40 to 1.60) | 4.00 | "
        "NVIDIA G, torch 2.13.0 |"
    )
    assert "| 64 | 6.00 (5.50 to 6.50) | - | - |" in other
    assert latency_table([]).startswith("No row was measured yet.")


def test_rows_of_fine_tunings_become_lines():
    side = {
        "scores": [0.9, 0.8],
        "score": 0.85,
        "tokens_per_second": 3000.4,
        "ours_is_faster": 1.0,
        "quartiles": [1.0, 1.0],
        "real_share": 1.0,
        "peak_bytes": 2 << 20,
    }
    other = side | {"ours_is_faster": 1.5, "quartiles": [1.4, 1.6], "real_share": 0.6}
    row = ROW | {
        "weights": 2_655_360,
        "train": "RTE/train.tsv",
        "examples": 320,
        "length_quartiles": [40, 50, 60],
        "epochs": 3,
        "batch_size": 32,
        "precision": "float32",
        "measure": "accuracy",
        "sides": {"modernbert": side, "transformers": other, "x": {"failed": "no memory"}},
    }
    *_, line, failed = finetuning_table([row]).splitlines()
    common = "| tiny | 2.7M | 320 of RTE/train.tsv | 40, 50, 60 | 3 x 32 | float32 |"
    assert line == (
        f"{common} transformers | accuracy | 0.850 (0.800 to 0.900) | 0.850 (0.800 to 0.900) | "
        "3000 | 3000 | 1.50 (1.40 to 1.60) | 60% | 2 / 2 | P, 2 cores, torch 2.13.0 |"
    )
    assert failed == (
        f"{common} x | accuracy | 0.850 (0.800 to 0.900) | - | 3000 | - | failed: no memory | - | "
        "2 / - | P, 2 cores, torch 2.13.0 |"
    )


def test_rows_become_lines():
    page = "a\n<!-- x: start -->\nold\n<!-- x: stop -->\nb"
    assert replaced(page, "x", "new") == page.replace("old", "new")


def test_rows_of_training_become_lines():
    packed = {"tokens_per_second": 3000.4, "utilisation": 0.4, "peak_bytes": 2 << 20}
    other = {"tokens_per_second": 1000.2, "ours_is_faster": 3.0, "quartiles": [2.9, 3.1]}
    sides = {"packed": packed, "transformers": other, "padded": {"failed": "no memory"}}
    row = ROW | {"lengths": "mixed", "precision": "float32", "sides": sides}
    *_, first, second, third = training_table([row]).splitlines()
    common, machine = "| tiny | 8192 | 1024 | mixed | 16384 | float32", "P, 2 cores, torch 2.13.0 |"
    assert first == f"{common} | packed | 3000 | 1 | 40.0% | 2 | - | {machine}"
    assert second == (
        f"{common} | transformers | 1000 | 3.00 (2.90 to 3.10) | - | - | 41% | {machine}"
    )
    assert third == f"{common} | padded | - | failed: no memory | - | - | 41% | {machine}"
    *_, card = training_table([row | {"gpu": "NVIDIA X"}]).splitlines()
    assert card.endswith("| NVIDIA X, torch 2.13.0 |")


def test_rows_of_embedding_and_of_search_become_lines():
    side = {"seconds": 0.5, "ours_is_faster": 1.0, "quartiles": [1.0, 1.0], "peak_bytes": 2 << 20}
    sides = {"modernbert": side, "theirs": side | {"ours_is_faster": 2.0, "quartiles": [1.9, 2.1]}}
    common = ROW | {"sides": sides, "documents": 100, "precision": "float32"}
    texts = {"case": "given", "texts": "a.jsonl", "weights": 17e6, "length_quartiles": [1, 2, 3]}
    *_, line = embedding_table([common | texts]).splitlines()
    assert line == (
        "| tiny | 17.0M | 100 of a.jsonl | 1, 2, 3 | float32 | theirs | 3000 | "
        "2.00 (1.90 to 2.10) | 2 / 2 | P, 2 cores, torch 2.13.0 |"
    )
    sizes = {"queries": 8, "query_tokens": 32, "shortest": 20, "longest": 180, "dim": 128}
    *_, line = maxsim_table([common | sizes]).splitlines()
    assert line == (
        "| 8 x 32 | 100 x 20 to 180 | 128 | theirs | 500.0 | 2.00 (1.90 to 2.10) | "
        "P, 2 cores, torch 2.13.0 |"
    )
    found = {
        "vectors": 10000,
        "dim": 384,
        "given": "",
        "numbers": "int8",
        "recall": 0.991,
        "open_ms": 3.21,
    }
    found |= {"exact_ms": [1.0, 2.0, 3.0], "approximate_ms": [0.1, 0.2, 0.3], "graph_seconds": 4.4}
    *_, line = search_table(
        [ROW | found | {"vector_bytes": 2 << 20, "graph_bytes": 1 << 20}]
    ).splitlines()
    assert line == (
        "| 10000 x 384 drawn | int8 | 2.00 (1.00 to 3.00) | 0.20 (0.10 to 0.30) | 99.1% | 3.2 | "
        "2, 1 | 4 | P, 2 cores, torch 2.13.0 |"
    )
