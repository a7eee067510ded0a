"""What a milestone needs: derived from its script, never listed.

The script's dependency block names packages. Of each of these, and of those beneath, it needs the
modules up to the latest one that its code can reach: from the names in the script to the files of
their definitions, from there over imports within the package, to the exercises that stand there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from tt_tito._errors import TitoError
from tt_tito._script import read_script

from ._curriculum import Curriculum, Module, package_folder
from ._exercises import locate
from ._sources import Definition, Source, Sources, bound, dotted, parse, statements


def modules_for(script: Path, curriculum: Curriculum) -> tuple[Module, ...]:
    """Return the modules that a milestone's script needs, in order.

    Args:
        script: The script's file.
        curriculum: The modules of the checkout.

    Raises:
        TitoError: If the script, its dependency block or a file that it reaches cannot be read.
    """
    return Unlocks(curriculum).modules_for(script)


class Unlocks:
    """What scripts need; it reads the packages once for all of them.

    Args:
        curriculum: The modules of the checkout.
    """

    def __init__(self, curriculum: Curriculum) -> None:
        self._curriculum = curriculum
        self._packages: dict[str, _Package] = {}

    def modules_for(self, *scripts: Path) -> tuple[Module, ...]:
        """Return the modules that a milestone's scripts need, in order.

        Of a package that a script itself does not name, they are all up to the latest of the
        others.

        Args:
            *scripts: The scripts' files.

        Raises:
            TitoError: If a script, its dependency block or a file that it reaches cannot be read.
        """
        needed = {module for script in scripts for module in self._of_script(script)}
        return tuple(module for module in self._curriculum.modules if module in needed)

    def _of_script(self, script: Path) -> Iterator[Module]:
        listed = [canonicalize_name(item.name) for item in read_script(script).prerequisites]
        source = _read_script(script)
        latest = {
            package: self._package(package).latest(source)
            for package in self._curriculum.beneath(listed)
            if self._curriculum.of_package(package)
        }
        highest = max(filter(None, latest.values()), default="")
        for module in self._curriculum.modules:
            reached = [latest[package] for package in module.packages if package in latest]
            if any(module.number <= (number or highest) for number in reached):
                yield module

    def _package(self, name: str) -> _Package:
        if name not in self._packages:
            self._packages[name] = _Package(self._curriculum, name)
        return self._packages[name]


class _Package:
    """A package: which files its files name, and which modules stand in them."""

    def __init__(self, curriculum: Curriculum, name: str) -> None:
        folder = package_folder(curriculum.root, name)
        modules = curriculum.of_package(name)
        self._first = modules[0].number
        self._sources = Sources(folder)
        self._named: dict[Path, set[Path]] = {}
        self._numbers = {  # the latest module that has an exercise in the file
            locate(folder, exercise).file: module.number
            for module in modules
            for exercise in module.exercises_in(name)
        }

    def latest(self, script: Source) -> str | None:
        """Return the latest module that a script reaches, None if it does not name the package.

        One that names the package but reaches no exercise needs its first module.
        """
        reached = self._names(script)
        waiting = list(reached)
        while waiting:
            new = self._named[waiting.pop()] - reached
            reached |= new
            waiting += new
        if not reached:
            return None
        return max(self._numbers.get(file, "") for file in reached) or self._first

    def _names(self, source: Source) -> set[Path]:
        """Return the files that define what a file names; of each of them the same is noted."""
        files = set()
        for found in _definitions(source, self._sources):
            files.add(found.file)
            if found.file not in self._named:
                self._named[found.file] = set()
                self._named[found.file] = self._names(found)
        return files


def _read_script(script: Path) -> Source:
    try:
        return Source((), script, *parse(script.read_bytes()))
    except (OSError, SyntaxError, ValueError) as error:
        raise TitoError(f"{script} cannot be read as a Python script: {error}.") from error


def _definitions(source: Source, sources: Sources) -> Iterator[Source]:
    """Go over the files of a package in which names are defined that a file uses."""
    chains = _Chains()
    chains.visit(source.tree)
    for node in _imports(source.tree.body):
        for alias in node.names:
            name = bound(alias)
            for parts in [(name,), *chains.of.get(name, ())]:
                for length in range(len(parts), 0, -1):  # x.weight.shape: as far as it is known
                    meaning = sources.imported(source, node, name, list(parts[1:length]))
                    if isinstance(meaning, Definition):
                        yield meaning.source
                    if meaning is not None:
                        break


def _imports(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Go over the import statements, also those in functions, except for type checkers."""
    for node in statements(body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _imports(node.body)


class _Chains(ast.NodeVisitor):
    """Collects the dotted names of a file, each as long as it stands there, by their first part."""

    def __init__(self) -> None:
        self.of: dict[str, set[tuple[str, ...]]] = {}

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note a dotted name whole."""
        if parts := dotted(node):
            self.of.setdefault(parts[0], set()).add(tuple(parts))
        else:
            self.generic_visit(node)
