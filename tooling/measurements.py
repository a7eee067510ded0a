"""Literals that stand for a measurement: a figure that is reported without having been measured.

A milestone reports through its lab. What it reports as a metric, as a cell of a table or within a
note is followed back through names, branches, comprehensions and the script's own functions, to
where it comes from; a number that is written there and not measured is an error, and so is a figure
in the words of a report. Bars, flags and what a model is made of are settings, which no report call
is given as a value. In tests, no figure of a clock is held against a number.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

# What a lab is told: the last argument of some is a value or more, and some are told in words.
VALUES = {"metric": "a metric", "table": "a cell of a table"}
WORDS = ("note", "table", "picture", "heading", "excerpt")
TRANSPARENT = {"abs", "float", "int", "list", "max", "min", "round", "sorted", "sum", "tuple"}
INSTRUMENTS = {"Comparison", "Figure", "Optimized", "Profile", "Step", "Timing", "Verdict"}

# A number with a decimal point, or one with a unit of what is measured.
FIGURE = re.compile(
    r"\d+\.\d|\d\s*%|\d\s*(?:ms|[µu]s|s|seconds?|minutes?|[kMG]i?B|[MGT]?FLOPS?|nats|points|times)\b"
)

CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "time_ns"}
CLOCKED = {
    *("bandwidth", "flops_per_second", "median", "overhead", "peak_flops"),
    *("ratio", "ratios", "seconds", "speedup"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Literal:
    """A literal where a measurement should be.

    Attributes:
        path: The file.
        line: Its line.
        text: The literal, or the words that have a figure.
        what: What it is reported as.
    """

    path: Path
    line: int
    text: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text} stands for a measurement: {self.what}"


def written_figures(path: Path, allowed: Mapping[str, str] | None = None) -> list[Literal]:
    """Return the literals that a milestone's script reports as if they were measured.

    Args:
        path: The script.
        allowed: Words that may stand in a report although they have a figure, each with the reason,
            such as a figure of history or of mathematics.

    Raises:
        ValueError: Something is allowed that the script does not say.
    """
    script = _Script(path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    found = sorted(script.found())
    spare = {words for words in allowed or {} if not any(words in each.text for each in found)}
    if spare:
        raise ValueError(f"{path} does not say {sorted(spare)}, which is allowed")
    return [each for each in found if not any(words in each.text for words in allowed or {})]


@dataclass
class _Script:
    """A script, and where its names get their values."""

    path: Path
    tree: ast.Module
    functions: dict[str, Function] = field(init=False)
    around: dict[ast.AST, Function | None] = field(init=False)
    assigned: dict[tuple[Function | None, str], list[ast.expr]] = field(init=False)

    def __post_init__(self) -> None:
        self.functions, self.around, self.assigned = {}, {}, {}
        self._enter(self.tree, None)
        for node, function in self.around.items():
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(function, target, node.value)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign) and node.value:
                self._assign(function, node.target, node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value  # a list that grows has what it was given
                if node.func.attr in ("append", "extend", "insert") and isinstance(owner, ast.Name):
                    self.assigned.setdefault((function, owner.id), []).append(node.args[-1])

    def _enter(self, node: ast.AST, function: Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            self.around[child] = function
            inner = function
            if isinstance(child, Function):
                self.functions[child.name] = inner = child
            self._enter(child, inner)

    def _assign(self, function: Function | None, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.assigned.setdefault((function, target.id), []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                for each, part in zip(target.elts, value.elts, strict=True):
                    self._assign(function, each, part)

    def found(self) -> Iterator[Literal]:
        """Go over what is reported without having been measured."""
        for node, function in self.around.items():
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in INSTRUMENTS:
                yield self._literal(node, f"a {node.func.id} that no instrument made")
            if not isinstance(node.func, ast.Attribute) or not _of_lab(node):
                continue
            arguments = [*node.args, *(each.value for each in node.keywords)]
            if node.func.attr in VALUES:
                for value in self._numbers(arguments[-1], function):
                    yield self._literal(value, VALUES[node.func.attr])
            if node.func.attr in WORDS:
                for argument in arguments:
                    yield from self._words(argument, function)

    def _words(self, node: ast.AST, function: Function | None) -> Iterator[Literal]:
        """Go over the figures in words, and the numbers that are set in them."""
        if isinstance(node, ast.FormattedValue):  # its format is no part of the words
            if not (isinstance(node.value, ast.Name) and self._is_setting(node.value.id)):
                for value in self._numbers(node.value, function):
                    yield self._literal(value, "a figure within words")
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = " ".join(node.value.split())
            if FIGURE.search(text):
                yield Literal(self.path, node.lineno, repr(text), "words of a report")
        for child in ast.iter_child_nodes(node):
            yield from self._words(child, function)

    def _is_setting(self, name: str) -> bool:
        """Whether a constant is also used where nothing is reported: it says what is done."""
        return name.isupper() and any(
            isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
            for node in _outside_reports(self.tree)
        )

    def _numbers(self, node: ast.expr, function: Function | None) -> Iterator[ast.expr]:
        return filter(_is_number, self._sources(node, function, frozenset()))

    def _sources(
        self, node: ast.expr, function: Function | None, seen: Set[ast.AST]
    ) -> Iterator[ast.expr]:
        """Go over the expressions that a value comes from: numbers, and what was computed."""
        if node in seen:
            return
        seen = {*seen, node}
        parts: list[tuple[ast.expr, Function | None]]
        match node:
            case ast.Name() if scope := self._scope(node.id, function):
                parts = [(each, scope[0]) for each in self.assigned[scope[0], node.id]]
            case ast.IfExp():
                parts = [(node.body, function), (node.orelse, function)]
            case ast.BoolOp():
                parts = [(each, function) for each in node.values]
            case ast.Tuple() | ast.List() | ast.Set():
                parts = [(each, function) for each in node.elts]
            case ast.Starred() | ast.NamedExpr():
                parts = [(node.value, function)]
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                parts = [(node.elt, function)]
            case ast.UnaryOp():
                parts = [(node.operand, function)]
            case ast.JoinedStr():
                parts = [(each, function) for each in node.values]
            case ast.FormattedValue():
                parts = [(node.value, function)]
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                called = self.functions[name]
                parts = [
                    (each.value, called)
                    for each, owner in self.around.items()
                    if isinstance(each, ast.Return) and owner is called and each.value is not None
                ]
            case ast.Call(func=ast.Name(id=name)) if name in TRANSPARENT:
                parts = [(each, function) for each in node.args]
            case ast.BinOp():
                sides = [*self._sources(node.left, function, seen)]
                sides += self._sources(node.right, function, seen)
                # A whole number beside what was computed scales it; numbers alone make a number.
                alone = all(map(_is_number, sides))
                yield from (each for each in sides if alone or not _is_whole(each))
                return
            case _:
                yield node
                return
        for part, within in parts:
            yield from self._sources(part, within, seen)

    def _scope(self, name: str, function: Function | None) -> tuple[Function | None] | None:
        """Where a name gets its values: in the function, or the script; None if nowhere."""
        return next(((each,) for each in (function, None) if (each, name) in self.assigned), None)

    def _literal(self, node: ast.expr, what: str) -> Literal:
        return Literal(self.path, node.lineno, ast.unparse(node), what)


def _is_number(node: ast.expr) -> bool:
    """Whether an expression is a number, or a text that has a figure."""
    match node:
        case ast.Constant(value=str(text)):
            return FIGURE.search(text) is not None
        case ast.Constant(value=int() | float()):
            return not isinstance(node.value, bool)
    return False


def _is_whole(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=int(number) | float(number)):
            return float(number).is_integer()
    return False


def _of_lab(node: ast.AST) -> bool:
    """Whether something is said to the lab."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "lab"
        and node.func.attr in {*VALUES, *WORDS}
    )


def _outside_reports(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not _of_lab(child):
            yield from _outside_reports(child)


def timed_assertions(path: Path) -> list[tuple[str, Literal]]:
    """Return what a file of tests asserts of a clock's figures and numbers other than 0 and 1.

    Returns:
        The name of the test, with the assertion.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    found = []
    for test in ast.walk(tree):
        if not isinstance(test, Function):
            continue
        clocked = {
            target.id
            for each in ast.walk(test)
            if isinstance(each, ast.Assign) and any(map(_is_clock, ast.walk(each.value)))
            for target in each.targets
            if isinstance(target, ast.Name)
        }
        for each in ast.walk(test):
            if not isinstance(each, ast.Assert):
                continue
            for compared in ast.walk(each.test):
                if isinstance(compared, ast.Compare) and _holds(compared, clocked):
                    what = "a bar for a clock"
                    text = ast.unparse(compared)
                    found.append((test.name, Literal(path, each.lineno, text, what)))
    return found


def _is_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    return (node.func.id if isinstance(node.func, ast.Name) else name) in CLOCKS


def _is_len(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "len"


def _holds(compared: ast.Compare, clocked: Set[str]) -> bool:
    sides = [part for side in (compared.left, *compared.comparators) for part in ast.walk(side)]
    counted = {
        part for each in sides if isinstance(each, ast.Call) and _is_len(each)
        for part in ast.walk(each)
    }  # fmt: skip
    sides = [part for part in sides if part not in counted]
    figures = any(
        (isinstance(part, ast.Attribute) and part.attr in CLOCKED)
        or (isinstance(part, ast.Name) and part.id in clocked)
        or _is_clock(part)
        for part in sides
    )
    numbers = [
        part.value
        for part in sides
        if isinstance(part, ast.Constant) and isinstance(part.value, int | float)
    ]
    return figures and any(number not in (0, 1) for number in numbers)
