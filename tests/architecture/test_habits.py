"""Names, opening lines, finished classes: habits a linter has no rule for."""

import ast
import builtins
import re

from tests.architecture.source import Module, modules, parsed

CATCH_ALL_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "misc"}
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError|NotImplemented)\b")


def faults(module: Module) -> list[str]:
    found = []
    opening = ast.get_docstring(module.tree)
    if not opening or not opening.splitlines()[0].rstrip().endswith("."):
        found.append(f"{module.name}: does not open with a one-sentence docstring")
    if CATCH_ALL_NAMES & set(module.name.removesuffix(".py").split("/")):
        found.append(f"{module.name}: a name that says nothing; say what comes in and goes out")
    for number, line in enumerate(module.text.splitlines(), start=1):
        if unfinished := UNFINISHED.search(line):
            found.append(f"{module.name}:{number}: {unfinished[0]}: finish it or leave it out")
    return found + [f"{module.name}:{line}: {what}" for line, what in guesses(module.tree)]


def guesses(tree: ast.Module) -> list[tuple[int, str]]:
    """Find calls that ask an object what it is instead of knowing it."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(call, call.func.id) for call in calls if isinstance(call.func, ast.Name)]
    return [(call.lineno, "hasattr") for call, name in named if name == "hasattr"] + [
        (call.lineno, "getattr with a default")
        for call, name in named
        if name == "getattr" and len(call.args) == 3
    ]


def unbound(tree: ast.Module) -> set[str]:
    """Return names that are used and nowhere bound; linters are told to pass over shape strings."""
    bound = {*dir(builtins), "__file__"}
    used = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound.add(node.name)
            case ast.alias():
                bound.add((node.asname or node.name).split(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                bound.add(name)
    return used - bound


def subclassed(package: tuple[Module, ...]) -> list[str]:
    """Find classes of the package that others in it inherit from; errors and Protocols may be."""
    classes = [
        (module.name, node)
        for module in package
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    ]
    finished = {
        node.name
        for name, node in classes
        if name != "base/errors.py" and "Protocol" not in bases(node)
    }
    return [
        f"{name}: {node.name} inherits from {base}, which is finished"
        for name, node in classes
        for base in sorted(bases(node) & finished)
    ]


def bases(node: ast.ClassDef) -> set[str]:
    """Return the last names of a class's bases: `nn.Module` gives `Module`."""
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return {ast.unparse(base).split(".")[-1] for base in plain}


def test_package_keeps_its_habits():
    assert [fault for module in modules() for fault in faults(module)] == []


def test_every_name_is_bound_somewhere():
    assert {module.name: names for module in modules() if (names := unbound(module.tree))} == {}
    assert unbound(ast.parse("import a.b\ndef f(x): return a, x, y, len(z := x), z")) == {"y"}


def test_a_class_is_a_protocol_or_finished():
    assert subclassed(modules()) == []


def test_broken_habits_are_noticed():
    text = "import x\n# TO" + "DO later\nhasattr(x, 'y')\ngetattr(x, 'y', 0)\n"
    assert faults(parsed("data/utils.py", text)) == [
        "data/utils.py: does not open with a one-sentence docstring",
        "data/utils.py: a name that says nothing; say what comes in and goes out",
        "data/utils.py:2: TO" + "DO: finish it or leave it out",
        "data/utils.py:3: hasattr",
        "data/utils.py:4: getattr with a default",
    ]


def test_inheritance_is_noticed_and_protocols_are_not():
    text = (
        "class A: pass\nclass B(A): pass\nclass P(Protocol[T]): pass\nclass Q(P, Protocol): pass\n"
    )
    assert subclassed((parsed("a.py", text),)) == ["a.py: B inherits from A, which is finished"]
