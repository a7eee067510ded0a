import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tooling.packages import Package, WorkspaceError
from tooling.readme import code_block


def test_the_readme_opens_with_two_commands_of_one_line(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    opening = readme.partition("\n## ")[0]
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", opening)
    assert [block.count("\n") for block in blocks] == [1, 1]
    milestones, tests = blocks
    assert shlex.split(milestones)[-4:] == ["-t", "milestones", "--", "--demo-mode"]
    assert shlex.split(tests)[-5:] == ["-s", "lint", "deps", "typecheck", "tests"]


def test_continuous_integration_takes_the_test_command_from_the_readme(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    script = (repository / ".ci/run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -m 1 -e '(.*)' README.md", script)
    (command,) = [line for line in readme.splitlines() if re.search(pattern, line)]
    assert command.endswith(" -s lint deps typecheck tests")


def test_the_readme_names_every_package(packages: tuple[Package, ...], repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[`(tt-[a-z]+)`\]\(packages/\1\) \|", readme, re.MULTILINE)
    assert named == [package.name for package in packages]


def test_a_code_block_is_found_below_its_heading(write: Callable[[str, str], Path]) -> None:
    text = "## A\n```sh\nx\n```\n```python\ny = 1\n```\n## B\n```python\n```\n"
    readme = write("README.md", text)
    assert code_block(readme, "A", "python") == "y = 1\n"
    assert code_block(readme, "B", "python") == ""


@pytest.mark.parametrize(
    ("heading", "language"), [("C", "python"), ("A", "toml"), ("A", "python"), ("A.", "sh")]
)
def test_a_code_block_must_be_the_only_one(
    write: Callable[[str, str], Path], heading: str, language: str
) -> None:
    text = "## A\n```python\n```\n```python\n```\n```sh\n```\n"
    with pytest.raises(WorkspaceError, match="expected one section"):
        code_block(write("README.md", text), heading, language)
