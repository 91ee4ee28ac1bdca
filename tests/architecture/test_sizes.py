"""Files, functions, arguments and nesting stay small enough to be read at once."""

import ast

from tests.architecture.source import Function, Module, functions, lines_of, modules, parsed

FILE_LINES = 300
FUNCTION_LINES = 60
USUAL_LINES = 30
USUAL_SHARE = 0.9
ARGUMENTS = 6
NESTING = 3
# What a method is called on; torch calls it ctx in an autograd.Function.
SELVES = ("self", "cls", "ctx")

Block = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.Match


def faults(module: Module) -> list[str]:
    found = []
    if (length := len(module.text.splitlines())) > FILE_LINES:
        found.append(f"{module.name}: {length} lines, a file holds {FILE_LINES}")
    for function in functions(module):
        measured = {
            "lines": (lines_of(function), FUNCTION_LINES),
            "arguments": (arguments(function), ARGUMENTS),
            "levels": (nesting(function.body), NESTING),
        }
        found += [
            f"{module.name}:{function.lineno} {function.name}: {value} {what}, at most {limit}"
            for what, (value, limit) in measured.items()
            if value > limit
        ]
    return found


def arguments(function: Function) -> int:
    given = function.args
    names = [each.arg for each in given.posonlyargs + given.args + given.kwonlyargs]
    return len([name for name in names if name not in SELVES])


def nesting(body: list[ast.stmt]) -> int:
    """Return how deep blocks stand in blocks; `elif` is no deeper than its `if`."""
    return max((depth(statement) for statement in body), default=0)


def depth(statement: ast.stmt) -> int:
    if not isinstance(statement, Block):
        return 0
    if isinstance(statement, ast.If):
        otherwise = statement.orelse
        is_elif = len(otherwise) == 1 and isinstance(otherwise[0], ast.If)
        return max(1 + nesting(statement.body), nesting(otherwise) + (not is_elif))
    bodies = [getattr(statement, part, []) for part in ("body", "orelse", "finalbody")]
    bodies += [part.body for part in getattr(statement, "handlers", [])]
    bodies += [part.body for part in getattr(statement, "cases", [])]
    return 1 + max(nesting(body) for body in bodies)


def test_package_keeps_its_limits():
    assert [fault for module in modules() for fault in faults(module)] == []


def test_nine_functions_in_ten_fit_half_a_screen():
    lengths = [lines_of(function) for module in modules() for function in functions(module)]
    usual = sum(length <= USUAL_LINES for length in lengths)
    assert usual >= USUAL_SHARE * len(lengths), f"{usual} of {len(lengths)} functions"


def test_limits_are_noticed():
    long = "def f(self, a, b, c, d, e, g, /, h):\n" + "    a = 1\n" * 300
    deep = "def f():\n for a in b:\n  if a:\n   try:\n    pass\n   except E:\n    while a: pass\n"
    assert faults(parsed("long.py", long)) == [
        "long.py: 301 lines, a file holds 300",
        "long.py:1 f: 301 lines, at most 60",
        "long.py:1 f: 7 arguments, at most 6",
    ]
    assert faults(parsed("deep.py", deep)) == ["deep.py:1 f: 4 levels, at most 3"]


def test_elif_is_no_deeper_than_if():
    chain = "def f():\n if a: pass\n elif b: pass\n elif c: pass\n elif d: pass\n else: pass\n"
    assert faults(parsed("chain.py", chain)) == []
