"""README's tree says what the files say, its tables what was measured."""

import ast
import re

from benchmarks.tables import NOTHING, START, STOP, replaced, rows_of, training_table

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


def test_speed_table_is_what_was_measured():
    page = texts()["README.md"]
    table = training_table(rows_of(ROOT / "benchmarks" / "training.jsonl"))
    assert page == replaced(page, table), "run: python benchmarks/tables.py"
    assert page.count(START) == page.count(STOP) == 1


def test_nothing_measured_gives_no_number(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert training_table(rows_of(empty)) == NOTHING
    assert training_table(rows_of(tmp_path / "absent.jsonl")) == NOTHING


def test_rows_become_lines():
    *_, line = training_table([ROW]).splitlines()
    assert line == (
        "| tiny | 8192 | 1024 | 16384 | 41% | 3000 | 1000 | 3.00 (2.90 to 3.10) | "
        "P, 2 cores, torch 2.13.0 |"
    )
    assert replaced(f"a\n{START}\nold\n{STOP}\nb", "new") == f"a\n{START}\nnew\n{STOP}\nb"
