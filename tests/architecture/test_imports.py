"""Who may import what: downward only, no cycles, one door an optional package, no early torch."""

import ast
import graphlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import grimp
import pytest
from packaging.requirements import Requirement

from tests.architecture.source import PACKAGE, ROOT, Function, Module, imports, modules, parsed

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Where a package comes in; nobody else may import it. torch and numpy are everywhere.
DOORS = {
    # transformers' Trainer imports it.
    "accelerate": ("bench/trainer.py",),
    "bm25s": ("retrieval/lexical.py",),
    "datasets": ("retrieval/training/",),
    "datatrove": ("data/clean/",),
    "fastapi": ("bench/serving_naive.py",),
    "fsspec": ("data/store.py",),
    # What fsspec reads S3 with.
    "s3fs": (),
    "peft": ("train/lora.py",),
    "pyarrow": ("data/formats.py",),
    "zstandard": ("data/formats.py",),
    "pytrec_eval": ("evals/judging.py",),
    "scipy": ("evals/baselines.py",),
    "sentence_transformers": (
        "bench/peers.py",
        "bench/runtimes/theirs.py",
        "bench/serving_naive.py",
        "retrieval/embedder.py",
        "retrieval/training/",
    ),
    "sklearn": ("evals/baselines.py",),
    "starlette": ("serve/",),
    "tensorboard": ("train/metrics.py",),
    "trackio": ("train/trackers.py",),
    "wandb": ("train/trackers.py",),
    "mlflow": ("train/trackers.py",),
    # What mlflow writes its database with.
    "alembic": (),
    "sqlalchemy": (),
    # What reads requests faster, and a faster loop, which uvicorn takes by itself.
    "httptools": (),
    "huggingface_hub": ("infer/hub.py",),
    "jaxtyping": ("base/shapes.py",),
    "mteb": ("evals/mteb/",),
    "nncf": ("infer/export/writing.py",),
    # onnxruntime.quantization imports it.
    "onnx": ("infer/export/writing.py",),
    "onnxruntime": ("bench/runtimes/", "infer/export/"),
    # torch.onnx imports it.
    "onnxscript": ("bench/runtimes/graphs.py", "infer/export/writing.py"),
    "orjson": ("serve/",),
    "openvino": ("bench/runtimes/graphs.py", "infer/export/"),
    "packed_encoders": ("bench/runtimes/theirs.py",),
    "prometheus_client": ("serve/metrics.py",),
    "pydantic": ("cli/serve.py", "serve/"),
    "pydantic_settings": ("serve/settings.py",),
    "py3langid": ("data/clean/",),
    "ray": ("data/clean/blocks/executors.py", "infer/bulk_ray.py"),
    "regex": ("data/clean/blocks/words.py",),
    "rich": ("base/log.py", "cli/", "train/metrics.py"),
    "safetensors": ("model/stored.py", "train/checkpoint.py"),
    "tokenizers": ("data/",),
    "torchao": ("bench/runtimes/eight_bits.py",),
    "transformers": (
        *("bench/folders.py", "bench/peers.py", "bench/runtimes/theirs.py", "bench/trainer.py"),
        *("bridge/", "retrieval/training/"),
    ),
    "tyro": ("cli/",),
    "usearch": ("retrieval/neighbours.py",),
    "uvicorn": ("serve/run.py",),
    "uvloop": (),
    "vllm": ("bench/runtimes/served.py",),
    "yaml": ("model/config_file.py",),
}

# Measured where somebody installed them. No extra declares them: they go with a torch of their own.
UNDECLARED = {"packed_encoders", "torchao", "vllm"}

# Imported by another name than the one they are installed by.
IMPORTED_AS = {
    "mlflow-skinny": "mlflow",
    "prometheus-client": "prometheus_client",
    "pydantic-settings": "pydantic_settings",
    "pytrec-eval-terrier": "pytrec_eval",
    "PyYAML": "yaml",
    "scikit-learn": "sklearn",
    "sentence-transformers": "sentence_transformers",
}

# The one file that may unpickle, and how it must.
UNPICKLES = "model/pickled.py"

# Files and rooms that are of an optional package throughout, such as classes made from its own.
# They may import it at their top, for nobody imports them at his.
BEYOND_THE_DOOR = {
    "bridge/checks.py": "modernbert.bridge.checks",
    "bridge/expansion.py": "modernbert.bridge.expansion",
    "bridge/heads.py": "modernbert.bridge.heads",
    "bridge/layers.py": "modernbert.bridge.layers",
    "bridge/packed.py": "modernbert.bridge.packed",
    "data/clean/blocks/": "modernbert.data.clean.blocks.",
    "retrieval/training/watcher.py": "modernbert.retrieval.training.watcher",
    "serve/": "modernbert.serve.",
}

# Imported before anything is computed: the command line answers --help in the blink of an eye.
LIGHT = [
    name
    for name in ("modernbert", "modernbert.cli.main", "modernbert.model.config")
    if (PACKAGE.parent / name.replace(".", "/")).with_suffix(".py").exists()
    or (PACKAGE.parent / name.replace(".", "/") / "__init__.py").exists()
]


def declared(*requirements: str) -> set[str]:
    names = {Requirement(text).name for text in requirements}
    return {IMPORTED_AS.get(name, name) for name in names}


CORE = declared(*PROJECT["project"]["dependencies"])
EXTRAS = PROJECT["project"]["optional-dependencies"]
OPTIONAL = declared(*(line for extra in EXTRAS.values() for line in extra)) - {"modernbert"}
OPTIONAL |= UNDECLARED
# What tests bring, and the package runs without: shapes are checked by tests alone.
OF_TESTS = declared(*PROJECT["dependency-groups"]["dev"]) & {"jaxtyping"}


def outside(tree: ast.AST) -> set[str]:
    """Return the packages of others that code imports."""
    roots = {
        # torch only forwards here; the package it needs is the other one.
        "tensorboard" if name.startswith("torch.utils.tensorboard") else name.split(".")[0]
        for name in imports(tree)
    }
    return roots - sys.stdlib_module_names - {"modernbert"}


def closed_doors(module: Module) -> list[str]:
    return [
        f"{module.name} imports {package}"
        for package in sorted(outside(module.tree))
        if not module.name.startswith(DOORS.get(package, ("",)))
    ]


def early(module: Module) -> list[str]:
    """Find optional packages that a file imports before anyone asked for them."""
    if module.name.startswith(tuple(BEYOND_THE_DOOR)):
        return []
    hidden = tuple(BEYOND_THE_DOOR.values())
    return [
        f"{module.name} imports {package} at its top"
        for node in at_import(module.tree)
        for package in [
            *sorted(outside(node) & OPTIONAL),
            *(name for name in imports(node) if name.startswith(hidden)),
        ]
    ]


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the imports that run when a file is imported: those in no function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not isinstance(child, Function) and not for_types_only(child):
            yield from at_import(child)


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def code_from_data(module: Module) -> list[str]:
    """Find ways in which a file that is read could run: pickles, eval, somebody's remote code."""
    calls = [node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    named = {ast.unparse(call) for call in calls} | set(imports(module.tree))
    risky = {"eval", "exec", "torch.load", "torch.save", "pickle", "marshal", "shelve", "dill"}
    if module.name == UNPICKLES and not careless(module):
        risky -= {"torch.load"}
    return [f"{module.name}: {name}" for name in sorted(named & risky)] + [
        f"{module.name}: trust_remote_code" for _ in range("trust_remote_code" in module.text)
    ]


def careless(module: Module) -> list[str]:
    """Find calls of torch.load that do not say, in so many words, that no code is to run."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call)
        for call in calls
        if ast.unparse(call.func) == "torch.load"
        and "weights_only=True" not in [ast.unparse(keyword) for keyword in call.keywords]
    ]


def test_rooms_import_downward_only():
    # In a process of its own: beside what other tests load it closes pytest's own files.
    code = "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_every_room_has_its_place_in_the_contract():
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    named = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    rooms = {f"modernbert.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    files = {f"modernbert.{path.stem}" for path in PACKAGE.glob("*.py")} - {"modernbert.__init__"}
    assert rooms | files == named


def test_imports_have_no_cycle():
    graph = grimp.build_graph("modernbert", cache_dir=None)
    towards = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    order = list(graphlib.TopologicalSorter(towards).static_order())
    assert set(order) == graph.modules


def test_only_declared_packages_are_imported():
    used = {package for module in modules() for package in outside(module.tree)}
    assert used <= CORE | OPTIONAL | OF_TESTS


def test_every_optional_package_has_a_door():
    assert set(DOORS) >= OPTIONAL
    assert set(DOORS) <= CORE | OPTIONAL | OF_TESTS


def test_packages_come_in_by_their_door():
    assert [fault for module in modules() for fault in closed_doors(module)] == []


def test_optional_packages_are_imported_when_they_are_needed():
    assert [fault for module in modules() for fault in early(module)] == []


def test_data_works_without_torch_in_sight():
    users = [
        module.name
        for module in modules()
        if module.name.startswith("data/") and "torch" in outside(module.tree)
    ]
    assert users == []


@pytest.mark.parametrize("name", LIGHT)
def test_torch_is_not_imported_early(name):
    code = f"import sys, {name}; sys.exit(' '.join({{'torch', 'transformers'}} & {{*sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.strip() == ""


def test_help_is_given_without_torch():
    code = (
        "import sys; from modernbert.cli.main import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(' '.join({'torch', 'transformers'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stderr.strip(), "pretrain" in ran.stdout) == ("", True)


def test_nothing_that_is_read_can_run_code():
    found = [fault for module in modules() for fault in code_from_data(module)]
    assert found == []


def test_code_from_data_is_noticed():
    text = "import pickle\ntorch.load(path)\nmodel.eval()\nf(trust_remote_code=True)\n"
    assert code_from_data(parsed("a.py", text)) == [
        "a.py: pickle",
        "a.py: torch.load",
        "a.py: trust_remote_code",
    ]


def test_careless_unpickling_is_noticed_where_unpickling_is_allowed():
    careful = "torch.load(path, weights_only=True)\n"
    assert code_from_data(parsed(UNPICKLES, careful)) == []
    assert code_from_data(parsed("model/folder.py", careful)) == ["model/folder.py: torch.load"]
    for text in ("torch.load(path)", "torch.load(path, weights_only=safe)"):
        assert code_from_data(parsed(UNPICKLES, careful + text)) == [f"{UNPICKLES}: torch.load"]


def test_wrong_doors_are_noticed():
    text = """
class A:
    from torch.utils.tensorboard import SummaryWriter
    def f(self):
        import pyarrow.parquet
"""
    module = parsed("train/loop.py", text)
    assert closed_doors(module) == [
        "train/loop.py imports pyarrow",
        "train/loop.py imports tensorboard",
    ]
    assert early(module) == ["train/loop.py imports tensorboard at its top"]
