"""The guides of the modules, and their index, against the curriculum."""

import re
from pathlib import Path

import pytest

from tt_tito.course import Curriculum, read_curriculum
from tt_tito.course._unlock import Unlocks

ROW = re.compile(r"(?m)^\| \[(?P<number>\d\d) (?P<name>\w+)\]\((?P<guide>.*?)\) \|(?P<rest>.*)\|$")
OWN = {"capstone": "your own"}  # the package that is the learner's from the start
SECTIONS = ["idea", "mathematics", "what to build", "how to work", "what to measure", "question"]


@pytest.fixture(scope="module")
def curriculum(repository: Path) -> Curriculum:
    return read_curriculum(repository)


@pytest.fixture(scope="module")
def rows(repository: Path) -> dict[str, tuple[str, str, str, str]]:
    """The index by number: name, guide, packages and milestones."""
    text = (repository / "docs" / "modules" / "README.md").read_text(encoding="utf-8")
    found = {}
    for match in ROW.finditer(text):
        packages, _, milestones = (cell.strip() for cell in match["rest"].split("|"))
        found[match["number"]] = match["name"], match["guide"], packages, milestones
    return found


def test_the_index_has_every_module(
    curriculum: Curriculum, rows: dict[str, tuple[str, str, str, str]]
) -> None:
    assert list(rows) == [module.number for module in curriculum.modules]
    for module in curriculum.modules:
        name, guide, packages, _ = rows[module.number]
        assert name == module.name
        assert f"docs/modules/{guide}" == module.guide
        named = [OWN.get(package, f"`{package}`") for package in module.packages]
        assert packages == ", ".join(named)


def test_the_index_names_the_milestones_that_need_a_module(
    curriculum: Curriculum, rows: dict[str, tuple[str, str, str, str]]
) -> None:
    unlocks = Unlocks(curriculum)
    needed: dict[str, set[str]] = {number: set() for number in rows}
    for script in sorted(curriculum.root.glob("milestones/*/[!_]*.py")):
        for module in unlocks.modules_for(script):
            needed[module.number].add(script.parent.name[:2])
    assert {number: spelled_out(row[3]) for number, row in rows.items()} == needed


def spelled_out(text: str) -> set[str]:
    """Numbers that are listed, as in ``05, 06``, or given by their ends, as in ``01 to 06``."""
    numbers = re.findall(r"\d\d", text)
    if " to " in text:
        return {f"{number:02}" for number in range(int(numbers[0]), int(numbers[-1]) + 1)}
    return set(numbers)


@pytest.mark.parametrize("number", [f"{number:02}" for number in range(1, 21)])
def test_a_guide_says_what_its_module_is_about(curriculum: Curriculum, number: str) -> None:
    module = curriculum.module(number)
    text = (curriculum.root / module.guide).read_text(encoding="utf-8")
    assert re.match(rf"# Module {number}: {module.name}\b", text, re.IGNORECASE)
    headings = " / ".join(re.findall(r"(?m)^## (.*)$", text)).lower()
    assert all(section in headings for section in [*SECTIONS, "paper"])
    for exercise in module.exercises:
        name = exercise.rpartition(".")[2]
        assert re.search(rf"\b{re.escape(name)}\b", text), (
            f"{module.guide} does not name {exercise}"
        )
    assert f"tito module start {number}" in text
