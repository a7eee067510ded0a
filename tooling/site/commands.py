"""The commands that the site shows: which are run here, which elsewhere, and which not, and why.

``commands.toml`` has a rule for each. ``python -m tooling.site.commands`` runs those that are to be
run here, in a copy of the checkout: the page Getting started from top to bottom in one shell, as
its reader does, then the others.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tooling.packages import WorkspaceError

PAGE = "getting-started.md"
RULES = Path(__file__).with_name("commands.toml")
_BLOCK = re.compile(
    r'(?ms)^ *```(?P<language>sh|python)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^ *```$'
)
# What a checkout does not have: what these make anywhere, and what sessions make at its root.
_MADE = shutil.ignore_patterns(
    *(".git", ".nox", ".venv*", ".*_cache", "__pycache__", "*.egg-info", ".hypothesis")
)
_RESULTS = {"dist", "reports", "site", "workspace"}


@dataclass(frozen=True)
class Rule:
    """What is known of commands of one form.

    Attributes:
        like: Regular expressions; every command matches those of one rule, as a whole.
        exits: The exit code, where commands are run here.
        elsewhere: What runs them, if not this.
        unrun: Why they are not run, if they are not.
    """

    like: tuple[str, ...]
    exits: int = 0
    elsewhere: str = ""
    unrun: str = ""

    @property
    def here(self) -> bool:
        """Whether the commands are run here."""
        return not (self.elsewhere or self.unrun)

    def covers(self, command: str) -> bool:
        """Tell whether a command is of this form."""
        return any(re.fullmatch(pattern, command) for pattern in self.like)


def read_rules(path: Path = RULES) -> list[Rule]:
    """Read the rules, each of which says one thing of its commands.

    Raises:
        WorkspaceError: A rule says none or two of them, or something unknown.
    """
    rules = []
    for table in tomllib.loads(path.read_text(encoding="utf-8"))["rule"]:
        said = {"here", "elsewhere", "unrun"} & set(table)
        if len(said) != 1 or set(table) - {"like", "exits"} != said:
            raise WorkspaceError(f"{path}: expected one of here, elsewhere and unrun in {table}")
        rules.append(
            Rule(
                tuple(table["like"]),
                table.get("exits", 0),
                table.get("elsewhere", ""),
                table.get("unrun", ""),
            )
        )
    return rules


def commands_in(text: str) -> list[str]:
    """Return the commands in the shell blocks of a page, without comments."""
    return [
        command
        for block in _BLOCK.finditer(text)
        if block["language"] == "sh"
        for command in _lines(block["text"])
    ]


def rule_of(command: str, rules: Sequence[Rule]) -> Rule:
    """Return the rule of a command.

    Raises:
        WorkspaceError: There is none, or more than one.
    """
    found = [rule for rule in rules if rule.covers(command)]
    if len(found) != 1:
        raise WorkspaceError(
            f"{command!r}: {len(found)} rules of {RULES.name} are of it, expected 1; say there "
            "whether it is run here, elsewhere, or not"
        )
    return found[0]


def script_of(page: str, others: Sequence[str], rules: Sequence[Rule]) -> str:
    """Return a shell script that runs a page from top to bottom, then other commands.

    It ends with an error after the first command that does not exit as its rule says.
    """
    return "\n".join(
        [
            "expect() {",
            '    [ "$2" -eq "$1" ] && return',
            '    echo "exited with $2, expected $1: $3" >&2',
            "    exit 1",
            "}",
            *_steps(page, rules),
            *(line for command in others for line in _step(command, rules)),
            "",
        ]
    )


def _steps(page: str, rules: Sequence[Rule]) -> Iterator[str]:
    for block in _BLOCK.finditer(page):
        if block["language"] == "sh":
            for command in _lines(block["text"]):
                yield from _step(command, rules)
        elif block["file"]:
            yield f"cat > {shlex.quote(block['file'])} <<'END_OF_FILE'"
            yield f"{block['text']}END_OF_FILE"


def _step(command: str, rules: Sequence[Rule]) -> Iterator[str]:
    rule = rule_of(command, rules)
    if rule.here:
        yield f"echo {shlex.quote(f'$ {command}')}"
        yield command
        yield f'expect {rule.exits} "$?" {shlex.quote(command)}'


def _lines(block: str) -> list[str]:
    lines = (re.sub(r"(?:^|\s)#.*$", "", line).strip() for line in block.splitlines())
    return [line for line in lines if line]


def as_page(shown: dict[str, list[str]], rules: Sequence[Rule]) -> str:
    """Return the page that says of every command where it is run.

    Args:
        shown: The pages that show each command.
        rules: The rules.
    """
    lines = [
        "# The commands on this site",
        "",
        "Every command that a page of this site shows, and where it is run to see that it works.",
        "",
        "| command | where |",
        "| --- | --- |",
    ]
    for command in sorted(shown):
        rule = rule_of(command, rules)
        where = "run when this site is built" + f"; it exits with {rule.exits}" * bool(rule.exits)
        if not rule.here:
            where = f"run by {rule.elsewhere}" if rule.elsewhere else f"not run: {rule.unrun}"
        code = command.replace("|", "\\|")
        lines.append(f"| `{code}` | {where} |")
    return "\n".join([*lines, ""])


def shown_commands(pages: dict[str, str]) -> dict[str, list[str]]:
    """Return the commands that pages show, each with its pages."""
    shown: dict[str, list[str]] = {}
    for page, text in sorted(pages.items()):
        for command in commands_in(text):
            shown.setdefault(command, []).append(page)
    return shown


def copy_checkout(root: Path, target: Path) -> None:
    """Copy the repository without what its sessions have made."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return _MADE(folder, names) | (_RESULTS if Path(folder) == root else set())

    shutil.copytree(root, target, ignore=ignored)


def main(root: Path = Path(__file__).parents[2]) -> int:
    """Run the commands that are to be run here; return the exit code."""
    from tooling.site.written import write_site  # which writes the page of the commands

    rules, site = read_rules(), write_site(root, root / "reports", root / "reports" / "notebooks")
    page = site.docs[PAGE]
    others = sorted(shown_commands(site.docs | site.pages).keys() - set(commands_in(page)))
    with tempfile.TemporaryDirectory(prefix="commands-") as folder:
        checkout = Path(folder, "checkout")
        copy_checkout(root, checkout)
        script = script_of(page, others, rules)
        shell = ("bash", "-s")
        return subprocess.run(
            shell, input=script, text=True, cwd=checkout, env=outside(os.environ), check=False
        ).returncode


def outside(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a terminal in which no environment of Python is active."""
    own = Path(sys.executable).parent
    paths = variables["PATH"].split(os.pathsep)
    left = {
        name: value
        for name, value in variables.items()
        if name != "VIRTUAL_ENV" and not name.startswith("NOX")
    }
    return left | {"PATH": os.pathsep.join(path for path in paths if Path(path) != own)}


if __name__ == "__main__":
    sys.exit(main())
