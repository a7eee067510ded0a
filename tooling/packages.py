"""The packages of the workspace, in the order in which imports run."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class WorkspaceError(Exception):
    """Something in the repository contradicts itself."""


@dataclass(frozen=True)
class Package:
    """One folder of ``packages/``.

    Args:
        name: The distribution's name, such as ``tt-nn``.
        path: Its folder.
        requires: The packages of this workspace that it declares as dependencies.
        extras: The names of its optional dependencies.
    """

    name: str
    path: Path
    requires: frozenset[str]
    extras: tuple[str, ...] = ()

    @property
    def complete(self) -> str:
        """The requirement that brings the package with all its extras."""
        return f"{self.name}[{','.join(self.extras)}]" if self.extras else self.name

    @property
    def module(self) -> str:
        """The import name, such as ``tt_nn``."""
        return self.name.replace("-", "_")


def requirement_name(requirement: str) -> str:
    """Return the normalised project name that a requirement starts with.

    Example:
        >>> requirement_name("tt_nn[fast] >=0.1,<0.2")
        'tt-nn'
    """
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    if match is None:
        raise WorkspaceError(f"not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def read_packages(root: Path) -> tuple[Package, ...]:
    """Read the packages in the order of the root's hatch workspace, lowest first.

    Args:
        root: The root of the repository.

    Returns:
        One entry for each member.

    Raises:
        WorkspaceError: When the list and the folders of ``packages/`` differ.
    """
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    members = tools["hatch"]["envs"]["default"]["workspace"]["members"]
    folders = {f"packages/{file.parent.name}" for file in root.glob("packages/*/pyproject.toml")}
    if unlisted := sorted(folders - set(members)):
        raise WorkspaceError(
            f"{', '.join(unlisted)}: not in workspace.members of the root's pyproject.toml; "
            "add it there, before the packages that import it"
        )
    if absent := [member for member in members if member not in folders]:
        raise WorkspaceError(
            f"{', '.join(absent)}: in workspace.members of the root's pyproject.toml, "
            "but the folder has no pyproject.toml"
        )
    projects = {}
    for member in members:
        text = (root / member / "pyproject.toml").read_text(encoding="utf-8")
        projects[member] = tomllib.loads(text)["project"]
    names = {project["name"] for project in projects.values()}
    return tuple(
        Package(
            name=project["name"],
            path=root / member,
            requires=frozenset(map(requirement_name, project["dependencies"])) & names,
            extras=tuple(project.get("optional-dependencies", ())),
        )
        for member, project in projects.items()
    )


def dependents(packages: Iterable[Package], changed: Iterable[str]) -> set[str]:
    """Return the changed packages and all that depend on them, directly or not."""
    affected = set(changed)
    for package in packages:  # lowest first, so one pass is enough
        if package.requires & affected:
            affected.add(package.name)
    return affected
