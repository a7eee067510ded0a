"""The notebooks as they are kept, and what is held against one that was executed."""

import re
from pathlib import Path
from typing import Any

import pytest

from tooling import notebooks
from tooling.milestones import Milestone, read_milestones
from tooling.packages import read_packages

CELL = re.compile(r"^# %%(?: \[markdown\])?$", re.MULTILINE)
PICTURE: dict[str, Any] = {
    "output_type": "display_data",
    "data": {"image/png": "iVBORw0KGgo="},
    "metadata": {"image/png": {"alt": "a line"}},
}
TABLE: dict[str, Any] = {
    "output_type": "execute_result",
    "data": {"text/html": "<div><table></table></div>"},
}
BARE: dict[str, Any] = {**PICTURE, "metadata": {}}
PRINTED = {"output_type": "stream", "name": "stdout", "text": "fine\n"}
WARNED = {"output_type": "stream", "name": "stderr", "text": "UserWarning: careful\n"}
FAILED = {"output_type": "error", "ename": "ValueError", "evalue": "no"}


def sources(repository: Path) -> list[Path]:
    return sorted((repository / "docs" / "notebooks").glob("*.py"))


@pytest.fixture(scope="module")
def milestones(repository: Path) -> tuple[Milestone, ...]:
    return read_milestones(repository)


def test_there_is_one_for_each_milestone(
    repository: Path, milestones: tuple[Milestone, ...]
) -> None:
    numbers = [source.name[:2] for source in sources(repository)]
    assert numbers == [milestone.number for milestone in milestones]


def test_each_is_a_tour_with_things_to_try_and_a_question(repository: Path) -> None:
    for source in sources(repository):
        text = source.read_text(encoding="utf-8")
        header, *cells = CELL.split(text)
        assert "format_name: percent" in header, source.name
        assert re.match(r"\n# # .*, (19|20)\d\d\n", cells[0]), source.name
        assert "\n# $$ " in text, source.name
        last = cells[-1]
        assert re.search(r"# ## Things to try\n#\n(# - .*\n(#   .*\n)*){3,}", last), source.name
        assert "\n# **A question.** " in last, source.name
        assert f"Milestone {source.name[:2]}" in cells[0], source.name


def test_each_imports_only_what_it_says_that_it_needs(repository: Path) -> None:
    ours = {package.module: package.name for package in read_packages(repository)}
    for source in sources(repository):
        text = source.read_text(encoding="utf-8")
        imported = {ours[name] for name in re.findall(r"(?m)^(?:import|from) (tt_\w+)", text)}
        said = set(re.findall(r"`(tt-\w+)`", CELL.split(text)[1]))
        # What teaches is named; tt-tito draws, and tt-tensor is what tt-autograd is made of.
        assert imported - {"tt-tito", "tt-tensor"} == said, source.name


@pytest.mark.parametrize(
    ("outputs", "wrong"),
    [
        ([PICTURE, TABLE, PRINTED], []),
        ([TABLE], ["shows no picture"]),
        ([PICTURE], ["shows no table"]),
        ([PICTURE, BARE, TABLE], ["shows a picture without alternative text"]),
        ([PICTURE, TABLE, WARNED], ["on standard error: UserWarning: careful"]),
        ([PICTURE, TABLE, FAILED], ["ValueError: no"]),
    ],
)
def test_what_is_wrong_is_found(outputs: list[dict[str, Any]], wrong: list[str]) -> None:
    cells: list[dict[str, Any]] = [{"cell_type": "markdown"}, {"outputs": outputs}]
    assert list(notebooks.faults(cells)) == wrong


def test_numbers_choose(repository: Path) -> None:
    assert notebooks.chosen([]) == sources(repository)
    assert [source.name[:2] for source in notebooks.chosen(["05", "02"])] == ["02", "05"]
    with pytest.raises(SystemExit, match="no notebook '07'; there are: 01, 02"):
        notebooks.chosen(["07"])
