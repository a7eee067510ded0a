"""The public names of the packages, read from their sources without importing them.

A name is public where a public module defines it, or imports it as itself (``from ._x import y as
y``). What several modules offer belongs to the first: packages in the order of imports, a package
before its modules, a module before those inside it.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tooling.packages import Package


@dataclass
class Module:
    """A public module.

    Attributes:
        name: Its dotted name.
        summary: The first line of its docstring.
        own: For each module that names come from, the names, all by their public dotted paths.
        first_lines: What each of these modules says of itself, in a line.
        shared: Names that belong to another public module: the name here, and the one there.
    """

    name: str
    summary: str
    own: dict[str, list[str]] = field(default_factory=dict)
    first_lines: dict[str, str] = field(default_factory=dict)
    shared: list[tuple[str, str]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Every name that is its own."""
        return [name for names in self.own.values() for name in names]


@dataclass
class _Source:
    """A module's source, and what it binds: what a name stands for, if elsewhere; if public."""

    summary: str
    bound: dict[str, tuple[str | None, bool]]


def public_modules(packages: Iterable[Package]) -> dict[Package, list[Module]]:
    """Return the modules of each package that have public names, the package's own first."""
    packages = tuple(packages)
    sources = _read(packages)
    home: dict[str, str] = {}  # where something is defined: its public path
    found: dict[Package, list[Module]] = {}
    for package in packages:
        names = [name for name in sources if name.partition(".")[0] == package.module]
        public = [name for name in names if not _is_private(name)]
        modules = []
        for name in sorted(public, key=lambda name: (name.count("."), name)):
            module = Module(name, sources[name].summary)
            for offered in _offered(name, sources):
                defined = _definition(f"{name}.{offered}", sources)
                place, _, original = defined.rpartition(".")
                if defined in home:
                    module.shared.append((offered, home[defined]))
                elif original != offered and place == name:  # another name of what stands here
                    module.shared.append((offered, defined))
                else:
                    home[defined] = f"{name}.{offered}"
                    module.own.setdefault(place, []).append(home[defined])
                    module.first_lines[place] = sources[place].summary
            if module.own or module.shared:
                modules.append(module)
        found[package] = modules
    return found


def _read(packages: Iterable[Package]) -> dict[str, _Source]:
    """Read every module of the packages, by its dotted name."""
    sources = {}
    for package in packages:
        root = package.path / "src"
        for path in sorted((root / package.module).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            folder = ".".join(path.parent.relative_to(root).parts)
            name = folder if path.stem == "__init__" else f"{folder}.{path.stem}"
            summary = (ast.get_docstring(tree) or "").partition("\n")[0].removesuffix(".")
            bound = {each: (origin, public) for each, origin, public in _bound(name, folder, tree)}
            sources[name] = _Source(summary, bound)
    return sources


def _is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def _bound(name: str, folder: str, tree: ast.Module) -> Iterator[tuple[str, str | None, bool]]:
    """Go over what a module binds: a name, what it stands for if elsewhere, and if public.

    Relative imports start from its folder.
    """
    parts = folder.split(".")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            start = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                bound = alias.asname or alias.name
                yield bound, f"{origin}.{alias.name}", alias.asname == alias.name
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, None, True
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, None, True
        elif isinstance(node, ast.Assign):
            yield from _assigned(name, node)


def _assigned(name: str, node: ast.Assign) -> Iterator[tuple[str, str | None, bool]]:
    for target in node.targets:
        targets, values = [target], [node.value]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            targets, values = target.elts, node.value.elts
        for left, right in zip(targets, values, strict=True):
            if isinstance(left, ast.Name):
                other = f"{name}.{right.id}" if isinstance(right, ast.Name) else None
                yield left.id, other, True


def _offered(name: str, sources: dict[str, _Source]) -> list[str]:
    """Return the public names of a module, in their order, without modules."""
    return [
        bound
        for bound, (_, public) in sources[name].bound.items()
        if public and not bound.startswith("_")
        if _definition(f"{name}.{bound}", sources) not in sources
    ]


def _definition(path: str, sources: dict[str, _Source]) -> str:
    """Follow imports and assignments of a name to where it is defined."""
    module, _, name = path.rpartition(".")
    if path not in sources and module in sources:
        origin, _ = sources[module].bound.get(name, (None, False))
        if origin is not None:
            return _definition(origin, sources)
    return path
