"""The sources of a package, read but not run: which definition a dotted name leads to."""

from __future__ import annotations

import ast
import codecs
import io
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from tt_tito._errors import TitoError

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def decode(data: bytes) -> str:
    """Decode a source file as Python does, keeping its line ends and its byte order mark.

    Args:
        data: What the file holds.

    Raises:
        SyntaxError: If its encoding is not known.
        UnicodeDecodeError: If it is not in that encoding.
        LookupError: If its encoding is not one of texts, such as ``hex``.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode("utf-8" if encoding == "utf-8-sig" else encoding)


def encode(text: str) -> bytes:
    """Encode a source text as it says of itself: the inverse of ``decode``.

    Args:
        text: The text.
    """
    head = io.BytesIO(text.encode("utf-8", "surrogatepass"))
    encoding, _ = tokenize.detect_encoding(head.readline)
    return text.encode("utf-8" if encoding == "utf-8-sig" else encoding)


class Text:
    """A source text, and the places in it that the syntax tree names by line and column."""

    def __init__(self, whole: str) -> None:
        self.whole = whole
        self._mark = len(whole) - len(whole.removeprefix(codecs.BOM_UTF8.decode()))
        # As Python counts lines: str.splitlines would also break at a form feed.
        self.lines = list(io.StringIO(whole[self._mark :], newline=""))
        self.starts = [self._mark]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        first = self.lines[0] if self.lines else ""
        self.newline = first[len(first.rstrip("\r\n")) :] or "\n"

    def parse(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.whole[self._mark :])

    def position(self, line: int, column: int) -> int:
        """Return where in the text a line and a column, in bytes of UTF-8, are."""
        before = self.lines[line - 1].encode("utf-8")[:column]
        return self.starts[line - 1] + len(before.decode("utf-8"))

    def line_end(self, line: int) -> int:
        """Return where a line ends, before the characters that break it."""
        return self.starts[line - 1] + len(self.lines[line - 1].rstrip("\r\n"))

    def count_lines(self, position: int) -> int:
        """Return the number of the line that a position is on."""
        return max(1, bisect_right(self.starts[:-1], position))


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a package.

    Attributes:
        name: Its name as a module, in parts.
        file: Its path, relative to the package's folder.
        text: What stands in it.
        tree: The syntax tree of that.
    """

    name: tuple[str, ...]
    file: Path
    text: Text
    tree: ast.Module

    @property
    def package(self) -> tuple[str, ...]:
        """What relative imports in it start from."""
        return self.name if self.file.name == "__init__.py" else self.name[:-1]


@dataclass(frozen=True, slots=True)
class Definition:
    """The statement that gives a name its meaning.

    Attributes:
        source: The file that it stands in.
        qualname: The name in that file, as code objects have it.
        node: The statement: a function, a class or an assignment.
    """

    source: Source
    qualname: str
    node: ast.stmt


Meaning: TypeAlias = Source | Definition | None
Seen: TypeAlias = frozenset[tuple[str, ...]]  # ends a circle of imports


class Sources:
    """The sources of a package, each read when it is first needed.

    Args:
        folder: The folder of the package's project, which holds ``src``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sources: dict[tuple[str, ...], Source | None] = {}

    def module(self, name: tuple[str, ...]) -> Source | None:
        """Return a module of the package by the parts of its name; None if it has none such.

        Raises:
            TitoError: If its file is not Python.
        """
        if name not in self._sources:
            self._sources[name] = self._read(name)
        return self._sources[name]

    def follow(self, source: Source, parts: list[str], seen: Seen = frozenset()) -> Meaning:
        """Follow a dotted name, within the package, from a module to what it means.

        Args:
            source: The module in whose scope the name stands.
            parts: The parts of the name.
            seen: The names that were followed to come here.

        Returns:
            A definition, a module, or None where there is nothing of that name in the package.
        """
        if not parts:
            return source
        name, *rest = parts
        key = (*source.name, name)
        if key not in seen:
            seen |= {key}
            match binding(source.tree.body, name):
                case ast.Import() | ast.ImportFrom() as node:
                    return self.imported(source, node, name, rest, seen)
                case ast.ClassDef() as node:
                    return self._in_class(Definition(source, name, node), rest, seen)
                case ast.Assign(value=value) | ast.AnnAssign(value=value) as node if value:
                    if alias := dotted(value):
                        return self.follow(source, [*alias, *rest], seen)
                    return None if rest else Definition(source, name, node)
                case ast.stmt() as node:
                    return None if rest else Definition(source, name, node)
        below = self.module((*source.name, name)) if source.name == source.package else None
        return self.follow(below, rest, seen) if below else None

    def imported(
        self,
        source: Source,
        node: ast.Import | ast.ImportFrom,
        name: str,
        rest: list[str],
        seen: Seen = frozenset(),
    ) -> Meaning:
        """Follow a dotted name that starts with one which an import statement binds.

        Args:
            source: The module that the statement stands in.
            node: The statement.
            name: The name that it binds.
            rest: The further parts.
            seen: The names that were followed to come here.
        """
        if isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = (*source.package[: len(source.package) - node.level + 1], *base)
            origin = self.module(base) if base else None
            for alias in node.names:
                if origin is not None and bound(alias) == name:
                    return self.follow(origin, [alias.name, *rest], seen)
            return None
        for alias in node.names:
            first, *others = alias.name.split(".")
            if name == alias.asname or (alias.asname is None and name == first):
                origin = self.module((first,))
                inner = [] if alias.asname is None else others
                return self.follow(origin, [*inner, *rest], seen) if origin else None
        return None

    def _in_class(self, owner: Definition, parts: list[str], seen: Seen) -> Meaning:
        if not parts:
            return owner
        assert isinstance(owner.node, ast.ClassDef)
        name, *rest = parts
        body = owner.node.body
        inside = Definition(owner.source, f"{owner.qualname}.{name}", owner.node)
        match binding(body, name):
            case ast.ClassDef() as node:
                return self._in_class(replace(inside, node=node), rest, seen)
            case ast.Assign(value=value) | ast.AnnAssign(value=value) as node if value:
                alias = dotted(value)
                if alias and alias[0] != name and binding(body, alias[0]):
                    return self._in_class(owner, [*alias, *rest], seen)
                if alias:
                    return self.follow(owner.source, [*alias, *rest], seen)
                return None if rest else replace(inside, node=node)
            case ast.stmt() as node:
                return None if rest else replace(inside, node=node)
        for base in owner.node.bases:
            generic = base.value if isinstance(base, ast.Subscript) else base
            parent = self.follow(owner.source, dotted(generic), seen)
            if isinstance(parent, Definition) and isinstance(parent.node, ast.ClassDef):
                if found := self._in_class(parent, parts, seen):
                    return found
        return None

    def _read(self, name: tuple[str, ...]) -> Source | None:
        stem = Path("src", *name)
        for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
            path = self.folder / file
            if not path.is_file():
                continue
            try:
                return Source(name, file, *parse(path.read_bytes()))
            except SyntaxError as error:
                line = f", line {error.lineno}" if error.lineno else ""
                raise TitoError(f"{path}{line}: this is not Python: {error.msg}.") from error
            except (RecursionError, MemoryError) as error:
                raise TitoError(f"{path} is nested too deeply to be read as Python.") from error
            except (OSError, ValueError, LookupError) as error:  # null bytes, a wrong encoding
                raise TitoError(f"{path} cannot be read as Python: {error}.") from error
        return None


def parse_all(folder: Path) -> None:
    """Refuse a package with a file that is not Python.

    Args:
        folder: The folder of the package's project, which holds ``src``.

    Raises:
        TitoError: If a file does not parse; the message names it and the line.
    """
    sources, source = Sources(folder), folder / "src"
    for file in sorted(source.rglob("*.py")):
        name = file.relative_to(source).with_suffix("").parts
        sources.module(name[:-1] if name[-1] == "__init__" else name)


@lru_cache(maxsize=512)
def parse(data: bytes) -> tuple[Text, ast.Module]:
    """Parse a source file.

    Args:
        data: What the file holds.

    Raises:
        SyntaxError: If it is not Python.
        ValueError: If it holds null bytes or is not in its encoding.
        LookupError: If its encoding is not one of texts.
    """
    text = Text(decode(data))
    return text, text.parse()


def binding(body: Iterable[ast.stmt], name: str) -> ast.stmt | None:
    """Return the last statement that gives a name its meaning when the program runs.

    Of several functions of one name it is the implementation beside its overloads, and the getter
    of a property.
    """
    last = None
    for node in statements(body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                binds = node.name == name and not any(map(_is_beside, node.decorator_list))
            case ast.ClassDef():
                binds = node.name == name
            case ast.Import() | ast.ImportFrom():
                binds = any(bound(alias) == name for alias in node.names)
            case ast.Assign():
                binds = any(dotted(target) == [name] for target in node.targets)
            case ast.AnnAssign():
                binds = node.value is not None and dotted(node.target) == [name]
            case _:
                binds = False
        if binds:
            last = node
    return last


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Go over the statements of a scope, also those in conditions, except for type checkers."""
    for node in body:
        yield node
        match node:
            case ast.If():
                if dotted(node.test)[-1:] != ["TYPE_CHECKING"]:
                    yield from statements(node.body)
                yield from statements(node.orelse)
            case ast.Try():
                yield from statements(node.body)
                for handler in node.handlers:
                    yield from statements(handler.body)
                yield from statements([*node.orelse, *node.finalbody])
            case ast.With():
                yield from statements(node.body)


def _is_beside(decorator: ast.expr) -> bool:
    """Whether it marks a function beside the one that is meant: an overload, or a setter."""
    return dotted(decorator)[-1:] in (["overload"], ["setter"], ["deleter"])


def bound(alias: ast.alias) -> str:
    """Return the name that an import statement binds."""
    return alias.asname or alias.name.partition(".")[0]


def dotted(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name such as ``a.b.c``; none for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []
