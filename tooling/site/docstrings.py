"""What docstrings say in their own way, as griffe and mkdocstrings read it.

Names of other things stand in single backticks: `Linear` is a link, ``Linear`` is code. What such a
name stands for is looked for in the object that has the docstring, then in its module, then among
the public names. And an ``Example`` is read as ``Examples``, which griffe knows as a section.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

from tooling.packages import read_packages
from tooling.site.public import public_modules

_NAME = re.compile(r"(?<![`\w\[:])`([A-Za-z_][\w.]*)`(?![`\]])")
_EXAMPLE = re.compile(r"(?m)^( *)Example:$")
_ROOT = Path(__file__).parents[2]


class Docstrings(griffe.Extension):
    """The extension of griffe that mkdocstrings loads."""

    def __init__(self) -> None:
        packages = read_packages(_ROOT)
        self._modules = [package.module for package in packages]
        self._homes: dict[str, str] = {}  # public paths by where things are defined
        for modules in public_modules(packages).values():
            for module in modules:
                for place, names in module.own.items():
                    for name in names:
                        self._homes[f"{place}.{name.rpartition('.')[2]}"] = name
        self._public = set(self._homes.values())

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Prepare every docstring of a package."""
        for thing in _documented(pkg):
            if thing.docstring:
                text = _EXAMPLE.sub(r"\1Examples:", thing.docstring.value)
                thing.docstring.value = self._linked(thing, text, pkg)

    def _linked(self, thing: griffe.Object, text: str, package: griffe.Module) -> str:
        def link(match: re.Match[str]) -> str:
            found = self._find(match[1], thing, package)
            return f"[`{match[1]}`][{found}]" if found else f"`{match[1]}`"

        lines = [line if ">>> " in line else _NAME.sub(link, line) for line in text.split("\n")]
        return "\n".join(lines)

    def _find(self, name: str, thing: griffe.Object, package: griffe.Module) -> str | None:
        """Return the public path of what a name stands for, if it has one."""
        scopes = [thing.path, thing.module.path, thing.module.parent and thing.module.parent.path]
        if isinstance(thing.parent, griffe.Class):
            scopes.insert(1, thing.parent.path)
        for scope in scopes:
            if scope and (found := self._public_path(f"{scope}.{name}", package)):
                return found
        before = self._modules[: self._modules.index(package.path) + 1]
        for module in ["", *(f"{module}." for module in reversed(before))]:
            if (path := f"{module}{name}") in self._public:
                return path
            if found := self._public_path(path, package):
                return found
        return None

    def _public_path(self, path: str, package: griffe.Module) -> str | None:
        """Return the public path of a definition, or of a method of one, in this package."""
        if path in self._homes:
            return self._homes[path]
        owner, _, member = path.rpartition(".")
        home = self._homes.get(owner) or (owner if owner in self._public else None)
        if home is None or member.startswith("_") or not home.startswith(f"{package.path}."):
            return None
        try:
            target = package[home.removeprefix(f"{package.path}.")]
            found = target.final_target if isinstance(target, griffe.Alias) else target
        except (KeyError, griffe.AliasResolutionError):
            return None
        documented = isinstance(found, griffe.Class) and member in found.members
        return f"{home}.{member}" if documented and found.members[member].docstring else None


def _documented(thing: griffe.Object) -> Iterator[griffe.Object]:
    """Go over everything that is defined in a module, the module first."""
    yield thing
    for member in thing.members.values():
        if isinstance(member, griffe.Object):
            yield from _documented(member)
