"""The milestones: folders of PEP 723 scripts, whose dependency lists are the prerequisites."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tooling.packages import WorkspaceError

# The reference expression of PEP 723.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(frozen=True)
class Milestone:
    """One folder of ``milestones/``.

    Args:
        number: Two digits, such as ``04``.
        scripts: Its scripts by name, such as ``lecun_cifar10``.
    """

    number: str
    scripts: dict[str, Path]

    @property
    def session(self) -> str:
        """The name of its nox session."""
        return f"milestone_{self.number}"

    def dependencies(self) -> list[str]:
        """Return the dependency list that its scripts share.

        Raises:
            WorkspaceError: When two scripts of the milestone name different lists.
        """
        lists = {name: script_dependencies(path) for name, path in self.scripts.items()}
        first, *others = lists
        for other in others:
            if sorted(lists[other]) != sorted(lists[first]):
                raise WorkspaceError(
                    f"{self.session}: {first} and {other} name different dependencies; the scripts "
                    "of a milestone run in one environment and share its list"
                )
        return lists[first]


def read_milestones(root: Path) -> tuple[Milestone, ...]:
    """Find the milestones that exist, in the order of their numbers."""
    found = []
    for folder in sorted(root.glob("milestones/[0-9][0-9]_*/")):
        scripts = {path.stem: path for path in sorted(folder.glob("*.py"))}
        if scripts:
            found.append(Milestone(folder.name[:2], scripts))
    return tuple(found)


def script_dependencies(script: Path) -> list[str]:
    """Return the dependencies that a script's PEP 723 block names.

    Raises:
        WorkspaceError: When there is not exactly one such block, or it has no list.
    """
    text = script.read_text(encoding="utf-8")
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if len(blocks) != 1:
        raise WorkspaceError(f"{script}: expected one PEP 723 script block, found {len(blocks)}")
    lines = blocks[0]["content"].splitlines(keepends=True)
    block = tomllib.loads("".join(line[2:] if line[1:2] == " " else line[1:] for line in lines))
    dependencies = block.get("dependencies")
    if not isinstance(dependencies, list):
        raise WorkspaceError(f"{script}: its PEP 723 block has no list of dependencies")
    return dependencies
