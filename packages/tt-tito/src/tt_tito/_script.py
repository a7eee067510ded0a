"""A milestone's script, read but not run: its story, and the dependency block at its top.

The block is inline script metadata as PEP 723 defines it. It is the one place that says what a
milestone needs.
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ._errors import TitoError

# The regular expression of PEP 723, for blocks of type "script".
BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
OPENING = re.compile(r"(?m)^# /// script\s*$")


@dataclass(frozen=True, slots=True)
class Script:
    """What a script says about itself.

    Attributes:
        path: The file.
        title: First line of its docstring, without its full stop.
        story: The rest of the docstring.
        python: The versions of Python it runs on.
        requirements: What it needs, as listed in its dependency block.
    """

    path: Path
    title: str
    story: str
    python: SpecifierSet
    requirements: tuple[Requirement, ...]

    @property
    def prerequisites(self) -> tuple[Requirement, ...]:
        """The `tt-*` requirements except tt-tito: the stages that must stand first."""
        return tuple(
            requirement
            for requirement in self.requirements
            if (name := canonicalize_name(requirement.name)).startswith("tt-") and name != "tt-tito"
        )


def read_script(path: Path) -> Script:
    """Read a script's docstring and dependency block.

    Args:
        path: A Python file.

    Raises:
        TitoError: If the file cannot be read, is not Python, or its block is missing or malformed.
    """
    try:
        source = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
        raise TitoError(f"{path} cannot be read as a Python script: {error}.") from error
    title, _, story = docstring.partition("\n")
    python, requirements = parse_block(source, path)
    return Script(path, title.strip().removesuffix("."), story.strip(), python, requirements)


def parse_block(source: str, path: Path) -> tuple[SpecifierSet, tuple[Requirement, ...]]:
    r"""Parse the dependency block of a script.

    Args:
        source: The script's text.
        path: Its file, for error messages.

    Returns:
        The versions of Python it runs on, and its requirements.

    Raises:
        TitoError: If the block is missing, given twice, not closed, not TOML, or names something
            that is no requirement.

    Example:
        >>> block = '# /// script\n# dependencies = ["tt-nn>=0.1,<0.2"]\n# ///\n'
        >>> [str(requirement) for requirement in parse_block(block, Path("x.py"))[1]]
        ['tt-nn<0.2,>=0.1']
    """
    blocks = list(BLOCK.finditer(source))
    if not blocks:
        if OPENING.search(source):
            raise TitoError(
                f"{path}: the dependency block opened by '# /// script' has no end. Every line of "
                "it starts with '# ' and the line after the last is '# ///'."
            )
        raise TitoError(
            f"{path} has no dependency block. A milestone's script lists what it needs between "
            "the lines '# /// script' and '# ///' (inline script metadata, PEP 723)."
        )
    if len(blocks) > 1:
        raise TitoError(f"{path} has {len(blocks)} dependency blocks; only one may stand in it.")
    lines = blocks[0]["content"].splitlines()
    try:
        table = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    except tomllib.TOMLDecodeError as error:
        raise TitoError(f"{path}: the dependency block is not valid TOML: {error}.") from error
    return _python(table.get("requires-python", ""), path), _requirements(table, path)


def _python(value: object, path: Path) -> SpecifierSet:
    if not isinstance(value, str):
        raise TitoError(f"{path}: requires-python must be a string like '>=3.11', got {value!r}.")
    try:
        return SpecifierSet(value)
    except InvalidSpecifier as error:
        raise TitoError(f"{path}: requires-python {value!r} is not a version range.") from error


def _requirements(table: dict[str, object], path: Path) -> tuple[Requirement, ...]:
    entries = table.get("dependencies", [])
    if not isinstance(entries, list):
        raise TitoError(f"{path}: dependencies must be a list of strings; got {entries!r}.")
    requirements = []
    for entry in entries:
        if not isinstance(entry, str):
            raise TitoError(f"{path}: a dependency must be a string; got {entry!r}.")
        try:
            requirements.append(Requirement(entry))
        except InvalidRequirement as error:
            raise TitoError(
                f"{path}: the dependency {entry!r} is not a requirement such as 'tt-nn>=0.1,<0.2'."
            ) from error
    return tuple(requirements)
