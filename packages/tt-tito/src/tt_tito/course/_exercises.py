"""Exercises in source text: where a function stands, and its body taken out or put in.

An exercise is the qualified name of one function, such as ``tt_nn.Linear.forward``. It is found on
the syntax tree, nothing is imported: re-exports, aliases and base classes within the package are
followed. Only the text of its body is replaced. Signature, types, decorators, docstring and every
other byte of the file stay as they are.
"""

from __future__ import annotations

import ast
import textwrap
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tt_tito._errors import TitoError

from ._curriculum import Module
from ._sources import Definition, Function, Source, Sources, Text
from ._sources import decode as decode
from ._sources import encode as encode


@dataclass(frozen=True, slots=True)
class Place:
    """Where an exercise stands.

    Attributes:
        exercise: Its qualified name, by which the curriculum knows it.
        file: The file, relative to the package's folder.
        qualname: The function's name in its module, as code objects have it.
        line: The line of its ``def``.
        body: The first and the last line of its body after the docstring.
    """

    exercise: str
    file: Path
    qualname: str
    line: int
    body: tuple[int, int]


def locate(folder: Path, exercise: str) -> Place:
    """Find the function that an exercise names.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        exercise: The qualified name.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    found = _find(Sources(folder), exercise)
    first, last = (found.text.count_lines(at) for at in (found.body.start, found.body.end))
    if found.body.start == found.body.end:
        first += 1
    return Place(exercise, found.source.file, found.qualname, found.function.lineno, (first, last))


def reference_body(folder: Path, exercise: str) -> str:
    """Return the text of an exercise's body, after its docstring, as it stands.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        exercise: The qualified name.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    found = _find(Sources(folder), exercise)
    return found.text.whole[found.body.start : found.body.end]


def is_blank(folder: Path, exercise: str) -> bool:
    """Return whether an exercise's body does nothing but raise ``NotImplementedError``.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        exercise: The qualified name.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    match _after_docstring(_find(Sources(folder), exercise).function):
        case [ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name)))]:
            return name == "NotImplementedError"
    return False


def same_code(folder: Path, other: Path, exercise: str) -> bool:
    """Return whether an exercise does the same in two folders, but for layout and comments.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        other: The other folder.
        exercise: The qualified name.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    ours, theirs = (_find(Sources(place), exercise).function for place in (folder, other))
    return list(map(ast.dump, _after_docstring(ours))) == list(
        map(ast.dump, _after_docstring(theirs))
    )


def same_arguments(folder: Path, other: Path, exercise: str) -> bool:
    """Return whether an exercise has the same arguments in two folders, but for their types.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        other: The other folder.
        exercise: The qualified name.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    ours, theirs = (_find(Sources(place), exercise).function for place in (folder, other))
    return _arguments(ours) == _arguments(theirs)


def blanked(
    folder: Path, module: Module, exercises: Iterable[str] | None = None
) -> dict[Path, str]:
    """Take the bodies of exercises out of a package's files; nothing is written.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        module: The module that the exercises belong to, which the new bodies name.
        exercises: The exercises; None means those of the module that stand in this package.

    Returns:
        The new text of each file that changes, by its path relative to the folder.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    if exercises is None:
        exercises = [
            name for name in module.exercises if (folder / "src" / name.partition(".")[0]).is_dir()
        ]
    sources = Sources(folder)
    return _replaced(
        (_find(sources, name), f'raise NotImplementedError("module {module.number}: write {name}")')
        for name in exercises
    )


def fill(folder: Path, exercise: str, body: str) -> dict[Path, str]:
    """Put a text in the place of an exercise's body; nothing is written.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        exercise: The qualified name.
        body: The new body. It is indented to its place unless its first line is already.

    Returns:
        The new text of the file, by its path relative to the folder; empty if nothing changes.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    return _replaced([(_find(Sources(folder), exercise), body)])


def preceded(folder: Path, statements: Mapping[str, str]) -> dict[Path, str]:
    """Put a statement before the bodies of exercises, after their docstrings; nothing is written.

    Args:
        folder: The folder of the package's project, which holds ``src``.
        statements: A statement of one line for each exercise.

    Returns:
        The new text of each file that changes, by its path relative to the folder.

    Raises:
        TitoError: If there is no such function, or a file on the way to it is not Python.
    """
    sources = Sources(folder)
    bodies = []
    for exercise, statement in statements.items():
        found = _find(sources, exercise)
        text, span = found.text, found.body
        before = f"{statement}; " if span.inline else f"{span.indent}{statement}{text.newline}"
        bodies.append((found, before + text.whole[span.start : span.end]))
    return _replaced(bodies)


@dataclass(frozen=True, slots=True)
class _Span:
    """The part of a text that is a function's body after its docstring.

    Attributes:
        start: Its first position: the beginning of a line, unless the body is on the header's.
        end: The position after its last.
        indent: What its lines are indented by.
        inline: Whether it begins on the line on which the header or the docstring ends.
        before: What a new body must come after, where there is none yet.
    """

    start: int
    end: int
    indent: str
    inline: bool
    before: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """The function of an exercise, and where its body stands."""

    source: Source
    qualname: str
    function: Function
    body: _Span

    @property
    def text(self) -> Text:
        """The text of its file."""
        return self.source.text


def _find(sources: Sources, exercise: str) -> _Found:
    """Find the function that an exercise names."""
    first, *parts = exercise.split(".")
    source = sources.module((first,))
    if source is None:
        raise TitoError(f"{exercise}: {sources.folder} has no package src/{first}.")
    match sources.follow(source, parts):
        case Definition(source, qualname, ast.FunctionDef() | ast.AsyncFunctionDef() as node):
            return _Found(source, qualname, node, _span(source.text, node))
        case Definition(source, _, ast.ClassDef()):
            raise TitoError(
                f"{exercise} is a class ({source.file}); an exercise is one function of it, such "
                f"as {exercise}.__init__."
            )
        case Definition(source, _, _):
            raise TitoError(f"{exercise} is no function but a value ({source.file}).")
        case Source(_, file, _, _):
            raise TitoError(f"{exercise} is a module ({file}); an exercise is a function.")
    raise TitoError(
        f"There is no function {exercise} in {sources.folder}, looked for from {source.file} on. "
        "Where it was renamed or taken away, give it back its name."
    )


def _after_docstring(function: Function) -> list[ast.stmt]:
    match function.body[0]:
        case ast.Expr(value=ast.Constant(value=str())):
            return function.body[1:]
    return function.body


def _arguments(function: Function) -> tuple[list[str], ...]:
    """Return the names of a function's arguments, by their kind."""
    found = function.args
    star, keywords = [found.vararg] * bool(found.vararg), [found.kwarg] * bool(found.kwarg)
    kinds = (found.posonlyargs, found.args, star, found.kwonlyargs, keywords)
    return tuple([argument.arg for argument in kind if argument] for kind in kinds)


def _span(text: Text, function: Function) -> _Span:
    statements = _after_docstring(function)
    header = _header_end(text, function)
    if not statements:
        return _empty_span(text, function.body[0], header)
    first, last = statements[0], statements[-1]
    if len(statements) < len(function.body):
        header = _end(function.body[0])[0]
    line = text.lines[first.lineno - 1]
    indent = line[: len(line) - len(line.lstrip())]
    if first.lineno == header:
        start = text.position(first.lineno, first.col_offset)
        return _Span(start, text.position(*_end(last)), indent, inline=True)
    end = _end(last)[0]
    for number in range(end + 1, len(text.lines) + 1):  # comments that follow, at its indent
        line = text.lines[number - 1]
        if line.startswith(indent) and line.lstrip().startswith("#"):
            end = number
        elif line.strip():
            break
    return _Span(text.starts[header], text.line_end(end), indent, inline=False)


def _empty_span(text: Text, docstring: ast.stmt, header: int) -> _Span:
    """Return where a body would stand in a function that has only a docstring."""
    line, column = _end(docstring)
    if docstring.lineno == header:
        place = text.position(line, column)
        return _Span(place, place, "", inline=True, before="; ")
    indent = text.lines[docstring.lineno - 1][: docstring.col_offset]
    place = text.line_end(line)
    return _Span(place, place, indent, inline=False, before=text.newline)


def _end(node: ast.stmt | ast.expr) -> tuple[int, int]:
    """Return the line and the column where a node of a parsed text ends."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _header_end(text: Text, function: Function) -> int:
    """Return the line of the colon that ends a function's header."""
    lines = (line.rstrip("\r\n") + "\n" for line in text.lines[function.lineno - 1 :])
    after = text.position(*_end(function.returns)) if function.returns else 0
    depth = 0
    for token in tokenize.generate_tokens(lambda: next(lines, "")):
        if token.type != tokenize.OP:
            continue
        depth += (token.string in "([{") - (token.string in ")]}")
        line = function.lineno + token.start[0] - 1
        if token.string == ":" and depth == 0 and text.starts[line - 1] + token.start[1] >= after:
            return line
    raise AssertionError("a function has a colon")


def _replaced(bodies: Iterable[tuple[_Found, str]]) -> dict[Path, str]:
    """Return the new text of each file that changes when functions get new bodies."""
    edits: dict[Path, dict[int, tuple[int, str]]] = {}
    texts: dict[Path, str] = {}
    for found, body in bodies:
        span, source = found.body, found.source
        texts[source.file] = source.text.whole
        edits.setdefault(source.file, {})[span.start] = (span.end, _fitted(source.text, span, body))
    changed = {}
    for file, of_file in edits.items():
        text = texts[file]
        for start, (end, body) in sorted(of_file.items(), reverse=True):
            text = text[:start] + body + text[end:]
        if text != texts[file]:
            changed[file] = text
    return changed


def _fitted(text: Text, span: _Span, body: str) -> str:
    """Indent a body to its place, and break the line where that was not yet one of its own."""
    if not span.inline:
        return span.before + (body if body[:1].isspace() else textwrap.indent(body, span.indent))
    if _fits_line(body):
        return span.before + body.strip()
    return text.newline + textwrap.indent(body, f"{span.indent}    ")


def _fits_line(body: str) -> bool:
    """Whether a body can begin behind a colon or a semicolon."""
    try:
        statements = ast.parse(body.strip()).body
    except SyntaxError:  # its further lines are indented already
        return True
    lines = [(node.lineno, _end(node)[0]) for node in statements]
    follow = all(start == end for (_, end), (start, _) in pairwise(lines))
    return follow and not any(hasattr(node, "body") for node in statements)
