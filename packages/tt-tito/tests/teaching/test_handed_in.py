"""What is handed in: what is refused, what it tells, and whose it is."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._submission import RefusedError, names, read_all, read_submission
from tt_tito.workspace._state import ModuleRecord, State, dump_state, now

from .tiny_course import BLANK, CURRICULUM, HONEST, REFERENCE, WRONG, make_workspace

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has limits of time only"),
]


def link(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "link.py").symlink_to("/etc/passwd")


def link_to_folder(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "more").symlink_to("/etc")


def linked_package(folder: Path) -> None:
    (folder / "tt-tiny").rename(folder.with_name("another"))
    (folder / "tt-tiny").symlink_to(folder.with_name("another"))


def linked_source(folder: Path) -> None:
    (folder / "tt-tiny" / "src").rename(folder.with_name("another"))
    (folder / "tt-tiny" / "src").symlink_to(folder.with_name("another"))


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "tt-tiny" / "src" / "tt_tiny" / "pipe.py")


def large(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "large.py").write_bytes(b"#" * (2 << 20))


def unnamed(folder: Path) -> None:
    source = os.fsencode(folder / "tt-tiny" / "src" / "tt_tiny")
    try:
        open(source + b"/\xff\xfe.py", "wb").close()
    except OSError:
        pytest.skip("file names are UTF-8 here")


def steering(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "a\x1b[2J.py").touch()


def many(folder: Path) -> None:
    for number in range(2001):
        (folder / "tt-tiny" / "src" / "tt_tiny" / f"m{number}.py").touch()


def nothing(folder: Path) -> None:
    shutil.rmtree(folder / "tt-tiny")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (link, "link.py is a link or a device"),
        (link_to_folder, "more is a link or a device"),
        (linked_package, "tt-tiny is a link"),
        (linked_source, "tt-tiny/src is a link"),
        (pipe, "pipe.py is a link or a device"),
        (large, "large.py cannot be read (it is larger than 1,048,576 bytes)"),
        (many, "It has 2002 files"),
        (unnamed, "has a file with no readable name: 'tt_tiny/\\udcff\\udcfe.py'"),
        (steering, "has a file with no readable name: 'tt_tiny/a\\x1b[2J.py'"),
        (nothing, "There is no package of the course in it."),
    ],
)
def test_what_cannot_be_taken_is_refused(
    course: Path, tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    folder = make_workspace(tmp_path / "eve", HONEST)
    spoil(folder)
    with pytest.raises(RefusedError, match=re.escape(complaint)):
        read_submission("eve", folder, read_curriculum(course))
    other = make_workspace(tmp_path / "ada", HONEST)
    taken, refused = read_all([folder, other], read_curriculum(course))
    assert [submission.name for submission in taken] == ["ada"]
    assert complaint in refused["eve"][1]


@pytest.mark.parametrize("state", [b"{", b"[]", b"\xff", b'{"schema": 99}', None])
def test_without_a_record_that_can_be_read_the_code_tells_what_was_started(
    course: Path, tmp_path: Path, state: bytes | None
) -> None:
    ada = make_workspace(tmp_path / "ada" / "workspace", REFERENCE + "\n\n# as it was\n").parent
    eve = make_workspace(tmp_path / "eve", WRONG)
    for folder in (ada / "workspace", eve):
        if state is not None:
            (folder / ".tito").mkdir()
            (folder / ".tito" / "state.json").write_bytes(state)
    curriculum = read_curriculum(course)
    first, second = (read_submission("x", folder, curriculum) for folder in (ada, eve))
    assert (first.started, second.started) == ((), ("02",))
    assert any("Her record" in note for note in first.notes) == (state is not None)


# Two exercises more, of which an earlier version of the course had others.
LARGER = CURRICULUM.replace("tt_tiny.half", 'tt_tiny.half", "tt_tiny.third", "tt_tiny.fourth')
NOW = "def third(number):\n    return number / 3\n\n\ndef fourth(number):\n    return number / 4\n"
THEN = NOW.replace("number / 3", "number * (1 / 3)")


@pytest.mark.parametrize(
    ("source", "recorded", "started"),
    [
        (REFERENCE + THEN, False, ()),  # of an earlier version of the course, none of it hers
        (REFERENCE + THEN, True, ("02",)),
        (REFERENCE, False, ()),  # so is one that lacks exercises
        (NOW, False, ()),
        (BLANK + NOW, False, ("02",)),
        (HONEST + NOW, False, ("02",)),  # half of it
        (HONEST + THEN, False, ("02",)),
        (HONEST, False, ("02",)),
        ("def double(", False, ()),
        ("def double(", True, ("02",)),
    ],
)
def test_what_is_of_another_version_of_the_course_is_not_called_started(
    course: Path, tmp_path: Path, source: str, recorded: bool, started: tuple[str, ...]
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(course, root)
    (root / "curriculum.toml").write_text(LARGER)
    file = root / "packages" / "tt-tiny" / "src" / "tt_tiny" / "__init__.py"
    file.write_text(REFERENCE + NOW)
    folder = make_workspace(tmp_path / "ada", source)
    if recorded:
        (folder / ".tito").mkdir()
        state = dump_state(State({"02": ModuleRecord(now())}))
        (folder / ".tito" / "state.json").write_bytes(state)
    assert read_submission("ada", folder, read_curriculum(root)).started == started


ALIASES = "".join(f"a{number} = a{number + 1}\n" for number in range(3000))


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("tt_tiny/_more.py", "# coding: rot13\nk = 1\n", None),
        ("tt_tiny/_more.py", "# coding: hex\n00\n", None),
        ("tt_tiny/__init__.py", f"half = a0\n{ALIASES}", "It cannot be read: RecursionError("),
    ],
    ids=["rot13", "hex", "aliases"],
)
def test_what_cannot_be_understood_is_its_own_submissions_alone(
    course: Path, tmp_path: Path, file: str, text: str, reason: str | None
) -> None:
    eve, ada = (make_workspace(tmp_path / name, HONEST) for name in ("eve", "ada"))
    (eve / "tt-tiny" / "src" / file).write_text(text)
    taken, refused = read_all([eve, ada], read_curriculum(course))
    assert taken[-1].name == "ada"
    if reason is not None:
        assert refused["eve"][1].startswith(reason)
    else:
        assert f"tt-tiny/src/{file} cannot be read as Python" in taken[0].notes[0]


def test_what_is_left_aside_is_not_read(course: Path, tmp_path: Path) -> None:
    folder = make_workspace(tmp_path / "ada", HONEST)
    other = folder / "tt-tiny" / "src" / "tt_other" / "__init__.py"
    other.parent.mkdir()
    other.write_text("x = (")
    notes = read_submission("ada", folder, read_curriculum(course)).notes
    assert notes == ("Left aside in tt-tiny: src/tt_other/__init__.py.",)


def test_learners_are_told_apart() -> None:
    folders = [Path("a/ada/workspace"), Path("b/ada/workspace"), Path("b/emmy")]
    assert names(folders) == ["a/ada/workspace", "b/ada/workspace", "emmy"]
    assert names([Path("ada"), Path("ada")])[0].endswith("ada")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("__init__.py", HONEST, None),
        ("__init__.py", HONEST.replace("(number)", "(number, /)", 1), "src/tt_tiny/__init__.py"),
        ("__init__.py", HONEST + "import os\n", "src/tt_tiny/__init__.py"),
        ("_more.py", "", "src/tt_tiny/_more.py (not the course's)"),
        ("_more.py", "x = (", "line 1: this is not Python"),
        ("_more.py", f"x = {'-' * 200_000}1", "_more.py is nested too deeply"),
    ],
)
def test_what_is_not_the_courses_beside_the_exercises_is_told(
    course: Path, tmp_path: Path, file: str, text: str, told: str | None
) -> None:
    folder = make_workspace(tmp_path / "ada", HONEST)
    (folder / "tt-tiny" / "src" / "tt_tiny" / file).write_text(text)
    notes = read_submission("ada", folder, read_curriculum(course)).notes
    assert (told or "") in " ".join(notes)
    assert (notes == ()) == (told is None)
