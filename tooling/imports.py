"""Checks of import statements, read from the source: nothing is imported to find out."""

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tooling.packages import Package, requirement_name


def imported(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the top-level name and the line of every absolute import in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno


def upward_imports(packages: Sequence[Package], package: Package) -> list[str]:
    """Return an error for every import of a package that does not stand before this one."""
    position = [other.name for other in packages].index(package.name)
    above = {other.module: other.name for other in packages[position + 1 :]}
    return [
        f"{file}:{line}: {package.name} imports {above[name]}, which stands after it"
        for file in sorted(package.path.glob("src/**/*.py"))
        for name, line in imported(file)
        if name in above
    ]


def undeclared_imports(script: Path, dependencies: Iterable[str]) -> list[str]:
    """Return an error for every import of a script that its dependency list does not name."""
    declared = {requirement_name(dependency) for dependency in dependencies}
    return [
        f"{script}:{line}: imports {name}, which its dependency list does not name"
        for name, line in imported(script)
        if name not in sys.stdlib_module_names and requirement_name(name) not in declared
    ]
