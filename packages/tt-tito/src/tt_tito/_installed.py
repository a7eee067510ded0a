"""Installed distributions: which `tt-*` there are, where they came from, what they lack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def tt_distributions() -> list[Distribution]:
    """List the installed distributions whose name starts with ``tt-``, by name.

    A name counts as `canonicalize_name` writes it: ``TT_Nn`` is ``tt-nn`` (PEP 503). Of two with
    one name the first on the path is listed, which is the one that is imported. One whose metadata
    was damaged has no name and is not among them.
    """
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name and canonicalize_name(name).startswith("tt-"):
            # The first on the path is the one that is imported.
            found.setdefault(canonicalize_name(name), distribution)
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a distribution was installed from.

    Attributes:
        text: The origin in words.
        known: False if the record of it is damaged.
    """

    text: str
    known: bool = True


def origin(distribution: Distribution) -> Origin:
    """Tell where a distribution came from, by its ``direct_url.json`` (PEP 610).

    Without one it came ``"from a package index"``. Else ``url`` says where ``"from"``: of a file
    its path, of anything else the whole address; and a folder may be ``"editable, in"`` there.

    Returns:
        The origin; of a record that is no JSON of that form the text
        ``"its direct_url.json is damaged, so its origin is unknown"``, and not ``known``.
    """
    record = distribution.read_text("direct_url.json")
    if record is None:
        return Origin("from a package index")
    try:
        entry = json.loads(record)
        url = str(entry["url"])
        editable = bool(entry.get("dir_info", {}).get("editable", False))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Origin("its direct_url.json is damaged, so its origin is unknown", known=False)
    parts = urlsplit(url)
    place = unquote(parts.path) if parts.scheme == "file" else url
    return Origin(f"{'editable, in' if editable else 'from'} {place}")


@dataclass(frozen=True, slots=True)
class Lack:
    """A requirement that the environment does not fulfil.

    Attributes:
        requirement: The requirement.
        installed: The version that is installed but out of range; None if there is none.
    """

    requirement: Requirement
    installed: str | None

    def __str__(self) -> str:
        state = "not installed" if self.installed is None else f"{self.installed} is installed"
        return f"{self.requirement} ({state})"


def lacking(requirements: Iterable[Requirement]) -> list[Lack]:
    """List the requirements that apply here and are not fulfilled."""
    lacks = []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = installed_version(requirement.name)
        if installed is None or not requirement.specifier.contains(installed, prereleases=True):
            lacks.append(Lack(requirement, installed))
    return lacks


def installed_version(name: str) -> str | None:
    """The installed version of a distribution; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
