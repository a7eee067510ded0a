from collections.abc import Callable
from pathlib import Path

import pytest

from tooling.milestones import read_milestones, script_dependencies
from tooling.packages import WorkspaceError

Write = Callable[[str, str], Path]

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "{}",
#     "numpy",
# ]
# ///
"""


def test_milestones_of_the_repository_can_be_read(repository: Path) -> None:
    milestones = read_milestones(repository)
    assert milestones
    for milestone in milestones:
        dependencies = milestone.dependencies()
        assert any(dependency.startswith("tt-") for dependency in dependencies)


def test_a_milestone_is_a_numbered_folder_with_scripts(write: Write, tmp_path: Path) -> None:
    write("milestones/02_1969_b/two.py", BLOCK.format("tt-nn"))
    write("milestones/02_1969_b/one.py", BLOCK.format("tt-nn"))
    write("milestones/01_1957_a/script.py", BLOCK.format("tt-nn>=0.1"))
    write("milestones/03_1986_c/notes.md", "")
    write("milestones/README.md", "")
    first, second = read_milestones(tmp_path)
    assert (first.session, list(first.scripts)) == ("milestone_01", ["script"])
    assert (second.session, list(second.scripts)) == ("milestone_02", ["one", "two"])
    assert first.dependencies() == ["tt-nn>=0.1", "numpy"]


def test_scripts_of_one_milestone_share_their_list(write: Write, tmp_path: Path) -> None:
    write("milestones/02_1969_b/one.py", BLOCK.format("tt-nn"))
    write("milestones/02_1969_b/two.py", BLOCK.format("tt-data"))
    (milestone,) = read_milestones(tmp_path)
    with pytest.raises(WorkspaceError, match="one and two name different dependencies"):
        milestone.dependencies()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import numpy\n", "found 0"),
        (BLOCK.format("tt-nn") + "\n" + BLOCK.format("tt-nn"), "found 2"),
        ('# /// script\n# requires-python = ">=3.11"\n# ///\n', "no list of dependencies"),
        ('# /// script\n# dependencies = "tt-nn"\n# ///\n', "no list of dependencies"),
    ],
)
def test_a_script_without_its_block_is_an_error(write: Write, text: str, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message):
        script_dependencies(write("script.py", text))
