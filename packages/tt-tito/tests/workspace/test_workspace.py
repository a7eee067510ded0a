"""Start, reset, restore and update: nothing of the learner's is ever lost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_tito import TitoError
from tt_tito.course._exercises import is_blank
from tt_tito.workspace._workspace import Workspace

Solve = Callable[..., None]

ADD, SCALE, RELU = "tt_tensor.Tensor.__add__", "tt_tensor.scale", "tt_tensor.relu"
LINEAR = "tt_nn.Linear.forward"


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def hers(workspace: Workspace) -> dict[str, bytes]:
    """All files of the learner's packages."""
    return {
        f"{name}/{path}": data
        for name, folder in workspace.packages().items()
        for path, data in contents(folder).items()
    }


def all_backups(folder: Path) -> dict[str, dict[str, bytes]]:
    """The files of all backups, by the backup's name."""
    return {path.name: contents(path) for path in (folder / ".tito" / "backups").glob("*")}


@contextmanager
def nothing_lost(workspace: Workspace) -> Iterator[None]:
    """Assert that each file is as before, or in a new backup byte for byte."""
    before, earlier = hers(workspace), all_backups(workspace.folder)
    yield
    after, backups = hers(workspace), all_backups(workspace.folder)
    assert {name: backups[name] for name in earlier} == earlier
    new = [files for name, files in backups.items() if name not in earlier]
    for path, data in before.items():
        assert after.get(path) == data or any(files.get(path) == data for files in new)


# --- Start ----------------------------------------------------------------------------------------


def test_start_makes_the_package_with_the_modules_exercises_blank(workspace: Workspace) -> None:
    change = workspace.start("02")
    assert change.made == ("tt-tensor",)
    assert change.backup is None
    folder = workspace.folder / "tt-tensor"
    reference = workspace.root / "packages" / "tt-tensor"
    made = contents(folder)
    assert set(made) == {
        "LICENSE", "README.md", "pyproject.toml", "src/tt_tensor/__init__.py",
        "src/tt_tensor/_operators.py", "src/tt_tensor/_relu.py", "src/tt_tensor/py.typed",
    }  # fmt: skip
    differing = [path for path, data in made.items() if data != (reference / path).read_bytes()]
    assert differing == ["src/tt_tensor/_operators.py"]
    assert is_blank(folder, ADD)
    assert is_blank(folder, SCALE)
    assert workspace.unwritten(workspace.curriculum.module("02")) == (ADD, SCALE)
    assert workspace.unwritten(workspace.curriculum.module("03")) == ()


def test_a_second_module_of_a_package_keeps_the_work_in_the_first(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    solve(workspace, ADD, body='return Tensor(["mine"])')
    notes = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_mine.py"
    notes.write_bytes(b"# my own file\r\n")
    before = contents(workspace.folder / "tt-tensor")
    with nothing_lost(workspace):
        change = workspace.start("03")
    after = contents(workspace.folder / "tt-tensor")
    assert [path for path in before if before[path] != after[path]] == ["src/tt_tensor/_relu.py"]
    assert (change.made, change.changed) == (("tt-nn",), (RELU,))
    assert change.backup
    assert contents(change.backup.path / "tt-tensor") == before  # all of it, byte for byte


def test_start_changes_only_the_bodies_in_a_file_with_the_line_ends_of_windows(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    solve(workspace, ADD, SCALE)
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_relu.py"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    reference = workspace.root / "packages" / "tt-tensor" / "src" / "tt_tensor" / "_relu.py"
    reference.write_bytes(path.read_bytes())
    before = path.read_bytes().splitlines(keepends=True)
    workspace.start("03")
    after = path.read_bytes().splitlines(keepends=True)
    assert after[:-1] == before[:-1]
    assert b"NotImplementedError" in after[-1]
    assert after[-1].endswith(b"\r\n")


def test_what_she_wrote_before_the_start_is_kept(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, RELU, body="return None  # an idea")
    before = hers(workspace)
    change = workspace.start("03")
    assert (change.changed, change.kept) == ((), (RELU,))
    assert {path: hers(workspace)[path] for path in before} == before


def test_to_start_again_changes_nothing(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, ADD)
    before = hers(workspace)
    change = workspace.start("02")
    assert (change.made, change.changed, change.backup) == ((), (), None)
    assert hers(workspace) == before


def test_start_makes_a_package_again_that_she_took_away(workspace: Workspace) -> None:
    workspace.start("02")
    workspace.start("03")
    shutil.rmtree(workspace.folder / "tt-tensor")
    assert workspace.start("02").made == ("tt-tensor",)
    assert is_blank(workspace.folder / "tt-tensor", RELU)  # it was started, so it is not given


@pytest.mark.parametrize("source", ["def broken(:\n", "x = (\n", "\0", "\n\n  unexpected = 1\n"])
def test_a_file_that_does_not_parse_is_named_and_nothing_changes(
    workspace: Workspace, source: str
) -> None:
    workspace.start("02")
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_relu.py"
    path.write_text(source)
    before, state = contents(workspace.folder), workspace.state
    with pytest.raises(TitoError, match=r"_relu\.py"):
        workspace.start("03")
    assert contents(workspace.folder) == before
    assert workspace.state == state


def test_a_file_that_does_not_parse_is_named_with_its_line(workspace: Workspace) -> None:
    workspace.start("02")
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_relu.py"
    path.write_text('"""Doc."""\n\ndef broken(:\n')
    with pytest.raises(TitoError, match=r"_relu\.py, line 3"):
        workspace.start("03")


def test_what_is_in_the_way_is_not_touched(workspace: Workspace) -> None:
    workspace.folder.mkdir()
    (workspace.folder / "tt-tensor").write_text("a file")
    with pytest.raises(TitoError, match="in the way"):
        workspace.start("02")
    assert (workspace.folder / "tt-tensor").read_text() == "a file"


def test_a_package_that_the_course_lacks_is_named(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "packages" / "tt-tensor")
    with pytest.raises(TitoError, match="no package tt-tensor"):
        workspace.start("02")
    assert workspace.packages() == {}


# --- Reset and restore ----------------------------------------------------------------------------


@pytest.mark.parametrize("others", [(), ("03",)], ids=["alone", "with another module"])
def test_reset_and_restore_are_inverse(
    workspace: Workspace, solve: Solve, others: tuple[str, ...]
) -> None:
    for number in ("02", *others):
        workspace.start(number)
    solve(workspace, ADD, body='return Tensor(["mine"])')
    if others:
        solve(workspace, RELU, body="return tensor  # mine too")
    before = hers(workspace)
    with nothing_lost(workspace):
        reset = workspace.reset("02")
    assert reset.backup
    assert reset.backup.occasion == "reset"
    assert contents(reset.backup.path / "tt-tensor") == contents_of(before, "tt-tensor")
    assert workspace.unwritten(workspace.curriculum.module("02")) == (ADD, SCALE)
    if others:
        assert not is_blank(workspace.folder / "tt-tensor", RELU)
    solve(workspace, SCALE, body="return None  # a second try")
    with nothing_lost(workspace):
        restored = workspace.restore("02")
    assert restored.source == reset.backup
    assert restored.backup
    assert hers(workspace) == before
    assert (
        b"a second try"
        in (restored.backup.path / "tt-tensor" / "src" / "tt_tensor" / "_operators.py").read_bytes()
    )


def contents_of(files: dict[str, bytes], package: str) -> dict[str, bytes]:
    """The files of one package, by their paths in it."""
    return {
        path.removeprefix(f"{package}/"): data
        for path, data in files.items()
        if path.startswith(f"{package}/")
    }


def test_two_resets_in_a_second_have_two_backups(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    dates = []
    for attempt in range(3):
        solve(workspace, ADD, body=f"return {attempt}")
        backup = workspace.reset("02").backup
        assert backup
        dates.append(backup.date)
    assert len(set(dates)) == 3
    for attempt, date in enumerate(dates):
        workspace.restore("02", date)
        source = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
        assert f"return {attempt}" in source.read_text()
    assert workspace.restore("02").source == backup  # the last
    module = workspace.curriculum.module("02")
    assert [b.date for b in workspace.backups(module) if b.occasion == "reset"] == dates


def test_a_second_reset_makes_no_backup_of_nothing(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, ADD)
    before = hers(workspace)
    workspace.reset("02")
    assert workspace.reset("02").backup is None
    workspace.restore("02")
    assert hers(workspace) == before
    assert workspace.restore("02").backup is None  # it is as it was


def test_a_package_with_no_other_module_is_reset_even_if_it_does_not_parse(
    workspace: Workspace,
) -> None:
    workspace.start("02")
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "__init__.py"
    path.write_text("broken(")
    with nothing_lost(workspace):
        workspace.reset("02")
    assert workspace.unwritten(workspace.curriculum.module("02")) == (ADD, SCALE)


@pytest.mark.parametrize("action", ["reset", "restore"])
def test_where_another_module_is_at_stake_a_file_that_does_not_parse_is_named(
    workspace: Workspace, action: str, solve: Solve
) -> None:
    workspace.start("02")
    workspace.start("03")
    solve(workspace, ADD)
    workspace.reset("02")
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    path.write_text("broken(")
    before = contents(workspace.folder)
    with pytest.raises(TitoError, match="other modules of tt-tensor") as caught:
        getattr(workspace, action)("02")
    assert str(caught.value).startswith(f"{path}, line 1")
    assert contents(workspace.folder) == before


@pytest.mark.parametrize(
    ("date", "complaint"),
    [
        (None, "Module 04 has never been reset"),
        ("1999", "no backup of '1999'"),
        ("", "no backup of ''"),
        ("../..", "no backup of"),
    ],
)
def test_restore_names_the_backups_there_are(
    workspace: Workspace, date: str | None, complaint: str, solve: Solve
) -> None:
    workspace.start("04")
    workspace.start("03")  # makes a backup of tt-nn
    with pytest.raises(TitoError, match=complaint) as caught:
        workspace.restore("04", date)
    assert workspace.backups(workspace.curriculum.module("04"))[0].date in str(caught.value)


def test_restore_and_reset_without_anything_say_so(workspace: Workspace) -> None:
    with pytest.raises(TitoError, match="no backup"):
        workspace.restore("02")
    with pytest.raises(TitoError, match="nothing to reset"):
        workspace.reset("02")
    workspace.start("03")  # tt-tensor is there, but not for module 02
    with pytest.raises(TitoError, match="nothing to reset"):
        workspace.reset("02")


def test_a_backup_is_found_by_the_beginning_of_its_date(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, ADD)
    backup = workspace.reset("02").backup
    assert backup
    day, time = backup.date.split("T")
    assert workspace.restore("02", f"{day} {time.replace('-', ':')}").source == backup


def test_a_backup_keeps_the_file_that_a_link_leads_to(
    workspace: Workspace, tmp_path: Path, solve: Solve
) -> None:
    workspace.start("02")
    source = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_relu.py"
    elsewhere = tmp_path / "relu.py"
    source.rename(elsewhere)
    source.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    backup = workspace.start("03").backup
    assert backup
    assert (backup.path / "tt-tensor" / "src" / "tt_tensor" / "_relu.py").read_bytes() == before
    assert source.is_symlink()  # still a link, to the new text
    assert b"NotImplementedError" in elsewhere.read_bytes()


def make_links(folder: Path, elsewhere: Path) -> set[str]:
    """Put what is no file of its own into a folder; return its names."""
    elsewhere.mkdir()
    (elsewhere / "n.txt").write_text("n\n")
    (folder / "data").symlink_to(elsewhere)
    (folder / "missing").symlink_to(elsewhere / "nowhere")
    (folder / "readme").symlink_to("README.md")
    (folder / "relative").symlink_to(os.path.relpath(elsewhere / "n.txt", folder))
    (folder / "empty").mkdir()
    return {"data", "missing", "readme", "relative", "empty"}


def test_a_backup_keeps_links_to_folders_and_to_nowhere(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.start("02")
    names = make_links(workspace.folder / "tt-tensor", tmp_path / "elsewhere")
    backup = workspace.start("03").backup
    assert backup
    assert {path.name for path in (backup.path / "tt-tensor").iterdir()} >= names
    assert os.readlink(backup.path / "tt-tensor" / "data") == str(tmp_path / "elsewhere")


# --- A newer course ----------------------------------------------------------------------------


def course_changes(workspace: Workspace, file: str, old: str, new: str) -> None:
    """Change a file of the course's tt-tensor."""
    path = workspace.root / "packages" / "tt-tensor" / "src" / "tt_tensor" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_update_has_all_of_the_newer_course_and_all_that_she_wrote(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    workspace.start("04")  # rests on nothing of tt-tensor's modules that she has not started
    solve(workspace, ADD, body='return Tensor(["mine"])')
    solve(workspace, LINEAR, body="return x  # mine")
    folder = workspace.folder / "tt-tensor"
    (folder / "src" / "tt_tensor" / "_mine.py").write_text("# my own file\n")
    (folder / "notes.txt").write_text("notes\n")
    before = contents(folder)
    course_changes(workspace, "_operators.py", "class Tensor:", "SIZE = 1\n\n\nclass Tensor:")
    course_changes(workspace, "_relu.py", "max(value, 0)", "max(0, value)")
    with nothing_lost(workspace):
        done = workspace.update("04")
    assert (done.made, done.blank, done.unlike) == (("tt-tensor",), (), ())
    assert done.beside == ("tt-tensor/src/tt_tensor/_operators.py",)
    assert done.backup
    assert contents(done.backup.path / "tt-tensor") == before
    after = contents(folder)
    operators = after["src/tt_tensor/_operators.py"].decode()
    assert "SIZE = 1" in operators
    assert 'return Tensor(["mine"])' in operators
    assert is_blank(folder, SCALE)
    assert b"max(0, value)" in after["src/tt_tensor/_relu.py"]  # a module that she has not started
    assert after.keys() == before.keys()
    assert workspace.update("04").backup is None


def test_an_update_tells_what_does_not_fit_any_more(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, ADD, SCALE)
    place = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    place.write_text(place.read_text().replace("def __add__", "def add"))
    course_changes(workspace, "_operators.py", "def scale(tensor, by):", "def scale(tensor, *, by):")
    with nothing_lost(workspace):
        done = workspace.update("02")
    assert (done.blank, done.unlike) == ((ADD,), (SCALE,))
    assert is_blank(workspace.folder / "tt-tensor", ADD)
    assert not is_blank(workspace.folder / "tt-tensor", SCALE)


def test_an_update_names_what_she_had_in_modules_that_she_has_not_started(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    solve(workspace, RELU, body="return None  # an idea")
    solve(workspace, SCALE, body="return None  # mine")
    curriculum = workspace.root / "curriculum.toml"
    text = curriculum.read_text().replace(f", '{SCALE}'", "")
    curriculum.write_text(text.replace(f"['{RELU}'", f"['{RELU}', '{SCALE}'"))  # now of module 03
    newer = Workspace.open(workspace.root)
    assert newer.curriculum.module("03").exercises[:2] == (RELU, SCALE)
    with nothing_lost(newer):
        done = newer.update("02")
    assert done.backup
    assert set(done.given) == {RELU, SCALE}
    assert (done.blank, done.beside) == ((), ())
    assert newer.update("02").backup is None


@pytest.mark.parametrize("name", ["README.md", "pyproject.toml", "LICENSE", "src/tt_tensor/py.typed"])
def test_an_update_names_every_file_of_both_that_differed(workspace: Workspace, name: str) -> None:
    workspace.start("02")
    path = workspace.folder / "tt-tensor" / name
    path.write_bytes(path.read_bytes() + b"# mine\n")
    with nothing_lost(workspace):
        done = workspace.update("02")
    assert done.backup
    assert done.beside == (f"tt-tensor/{name}",)


RELU_FILE, RELU_FOLDER = "src/tt_tensor/_relu.py", "src/tt_tensor/_relu/__init__.py"


@pytest.mark.parametrize(
    ("hers_is", "course_is", "named"),
    [
        (RELU_FOLDER, RELU_FILE, "left"),
        (RELU_FILE, RELU_FOLDER, "left"),
        ("notes/mine.md", "notes", "left"),
        ("notes", "notes/ours.md", "beside"),
        ("src/tt_tensor/notes", "src/tt_tensor/notes/__init__.py", "beside"),
    ],
)
def test_what_the_course_has_something_else_in_place_of_is_named_and_in_the_backup(
    workspace: Workspace, hers_is: str, course_is: str, named: str
) -> None:
    workspace.start("02")
    her_file = workspace.folder / "tt-tensor" / hers_is
    if hers_is == RELU_FOLDER:
        (workspace.folder / "tt-tensor" / RELU_FILE).unlink()
    if course_is == RELU_FOLDER:
        (workspace.root / "packages" / "tt-tensor" / RELU_FILE).unlink()
    newer = workspace.root / "packages" / "tt-tensor" / course_is
    for path in (her_file, newer):
        path.parent.mkdir(exist_ok=True)
        path.write_text('"""Cut off."""\n\n\ndef relu(tensor):\n    return tensor\n')
    with nothing_lost(workspace):
        done = workspace.update("02")
    assert done.backup
    assert getattr(done, named) == (f"tt-tensor/{hers_is}",)
    assert not her_file.is_file()
    assert (workspace.folder / "tt-tensor" / course_is).is_file()
    assert workspace.update("02").backup is None


def test_an_update_keeps_links_and_empty_folders(workspace: Workspace, tmp_path: Path) -> None:
    workspace.start("02")
    folder = workspace.folder / "tt-tensor"
    names = make_links(folder, tmp_path / "elsewhere")
    links = {name: os.readlink(folder / name) for name in names - {"empty"}}
    course_changes(workspace, "_relu.py", "max(value, 0)", "max(0, value)")
    assert workspace.update("02").backup
    assert {name: os.readlink(folder / name) for name in links} == links
    assert (folder / "empty").is_dir()
    assert workspace.update("02").backup is None


def test_a_package_that_is_gone_is_taken_from_the_last_backup_if_an_update_made_it(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    solve(workspace, ADD, body="return self  # first")
    course_changes(workspace, "_relu.py", "max(value, 0)", "max(0, value)")
    backup = workspace.update("02").backup
    assert backup
    shutil.rmtree(workspace.folder / "tt-tensor")  # as between two steps of an update
    done = workspace.update("02")
    assert (done.made, done.sources, done.backup) == (("tt-tensor",), (backup,), None)
    solve(workspace, ADD, body="return self  # second")
    reset = workspace.reset("02").backup
    assert reset
    shutil.rmtree(workspace.folder / "tt-tensor")  # as between two steps of the reset
    with pytest.raises(TitoError, match=f"restore 02 --from {reset.date}'"):
        workspace.update("02")
    workspace.restore("02", reset.date)
    operators = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    assert "# second" in operators.read_text()


def test_a_package_that_is_gone_without_a_backup_can_be_started_again(workspace: Workspace) -> None:
    workspace.start("02")
    shutil.rmtree(workspace.folder / "tt-tensor")
    with pytest.raises(TitoError, match="'tito module start 02' makes it again"):
        workspace.update("02")


def test_without_a_record_an_update_takes_the_courses_older_code_for_hers_only_if_she_says_so(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("03")
    solve(workspace, ADD, body="return None  # mine, or an earlier version's")
    (workspace.folder / ".tito" / "state.json").unlink()
    course_changes(workspace, "_operators.py", '"""Operators."""', '"""More operators."""')
    before = hers(workspace)
    with pytest.raises(TitoError, match="of the modules 02 is partly not the course's"):
        Workspace.open(workspace.root).update("03")
    assert hers(workspace) == before
    copy = workspace.root / "another"
    shutil.copytree(workspace.folder, copy)

    not_begun = Workspace.open(workspace.root)
    not_begun.start("03")
    assert hers(not_begun) == before
    with nothing_lost(not_begun):
        assert not_begun.update("03").given == (ADD,)
    not_begun.start("02")
    assert not_begun.unwritten(not_begun.curriculum.module("02")) == (ADD, SCALE)

    begun = Workspace.open(workspace.root, copy)
    assert begun.start("02").kept == (ADD,)
    begun.start("03")
    assert begun.update("03").given == ()
    assert begun.unwritten(begun.curriculum.module("02")) == (SCALE,)


def test_nothing_is_updated_that_was_not_started_or_does_not_parse(workspace: Workspace) -> None:
    with pytest.raises(TitoError, match="nothing to update"):
        workspace.update("02")
    workspace.start("02")
    (workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_relu.py").write_text("broken(")
    before = contents(workspace.folder)
    with pytest.raises(TitoError, match=r"_relu\.py, line 1"):
        workspace.update("02")
    assert contents(workspace.folder) == before


# --- Whatever she does ----------------------------------------------------------------------------

NUMBERS = st.sampled_from(["02", "03", "04"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "reset", "restore", "update", "edit", "break", "forget"]), NUMBERS
    ),
    max_size=12,
)


# The course is only read, so that the examples can share it.
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_nothing_is_lost_whatever_she_does(
    course: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    workspace = Workspace.open(course, tmp_path_factory.mktemp("hers"))
    for count, (action, number) in enumerate(steps):
        files = sorted(workspace.folder.glob("tt-*/src/*/*.py"))
        if action in ("edit", "break") and files:
            path = files[count % len(files)]
            text = path.read_text().replace("NotImplementedError", f"ValueError({count})", 1)
            path.write_text(text + ("broken(" if action == "break" else f"# {count}\n"))
        elif action == "forget":
            (workspace.folder / ".tito" / "state.json").unlink(missing_ok=True)
        elif action not in ("edit", "break"):
            with nothing_lost(workspace):
                try:
                    getattr(workspace, action)(number)
                except TitoError:
                    pass


HER_FILES = [
    "README.md", "pyproject.toml", "notes/mine.md", "src/tt_tensor/__init__.py",
    "src/tt_tensor/_operators.py", "src/tt_tensor/_relu.py", "src/tt_tensor/_mine.py",
]  # fmt: skip


def newer_course(root: Path, change: str) -> None:
    """Change the course in one way."""
    folder = root / "packages" / "tt-tensor"
    source = folder / "src" / "tt_tensor"
    if change == "a folder" and (source / "_relu.py").exists():
        (source / "_relu").mkdir()
        (source / "_relu.py").rename(source / "_relu" / "__init__.py")
        text = (source / "_relu" / "__init__.py").read_text()
        (source / "_relu" / "__init__.py").write_text(text.replace("from .", "from .."))
    elif change == "a file":
        (folder / "notes").write_text("ours\n")
    elif change == "a name":
        for path in source.glob("*.py"):
            path.write_text(path.read_text().replace("scale", "times"))
        path = root / "curriculum.toml"
        path.write_text(path.read_text().replace("tt_tensor.scale", "tt_tensor.times"))
    elif change == "a module":
        path = root / "curriculum.toml"
        text = path.read_text().replace(f"'{ADD}', ", "")
        path.write_text(text.replace(f"['{RELU}'", f"['{RELU}', '{ADD}'"))
    elif change == "text":
        for path in (folder / "README.md", source / "_operators.py"):
            path.write_text(path.read_text() + "# newer\n")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    places=st.sets(st.sampled_from([*HER_FILES, ADD, SCALE, RELU])),
    changes=st.sets(st.sampled_from(["a folder", "a file", "a name", "a module", "text"])),
    started=st.sampled_from([["02"], ["03"], ["02", "03"]]),
)
def test_whatever_of_hers_an_updated_package_has_not_is_named(
    course: Path,
    tmp_path_factory: pytest.TempPathFactory,
    solve: Solve,
    places: set[str],
    changes: set[str],
    started: list[str],
) -> None:
    root = tmp_path_factory.mktemp("course") / "checkout"
    shutil.copytree(course, root)
    workspace = Workspace.open(root)
    for number in started:
        workspace.start(number)
    folder = workspace.folder / "tt-tensor"
    for count, place in enumerate(sorted(places)):
        if place in HER_FILES:
            path = folder / place
            path.parent.mkdir(exist_ok=True)
            path.write_text((path.read_text() if path.exists() else "") + f"# mine {count}\n")
        else:
            solve(workspace, place, body=f"return {count}  # mine {count}")
    for change in sorted(changes):
        newer_course(root, change)
    newer = Workspace.open(root)
    with nothing_lost(newer):
        done = newer.update(started[0])
    named = {*done.beside, *done.left, *done.given, *done.blank}
    text = b"".join(contents(folder).values()).decode()
    for count, place in enumerate(sorted(places)):
        file = "src/tt_tensor/_operators.py" if place in (ADD, SCALE) else "src/tt_tensor/_relu.py"
        file = place if place in HER_FILES else file
        assert f"# mine {count}\n" in text or named & {place, f"tt-tensor/{file}"}


# --- A process that is killed ---------------------------------------------------------------------

# Kills a command at its k-th change of the file system, for every k, each time on a fresh copy.
DRIVER = """
import os, shutil, sys
from pathlib import Path
from tt_tito.workspace._workspace import Workspace

root, pristine, copies, action, number = sys.argv[1:]
EVENTS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"}
for k in range(1, 1000):
    copy = Path(copies, f"{k:03}")
    shutil.copytree(pristine, copy)
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event, arguments):
            global count
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (
                os.O_WRONLY | os.O_RDWR
            )
            if event in EVENTS or writes:
                count += 1
                if count == k:
                    os._exit(9)

        workspace = Workspace.open(Path(root), copy)
        sys.addaudithook(hook)
        getattr(workspace, action)(number)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        sys.exit(0)
    assert status == 9, status
sys.exit("it never ended")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("action", "number", "others"),
    [
        ("start", "03", ()),
        ("reset", "02", ()),
        ("reset", "02", ("03",)),
        ("restore", "02", ()),
        ("update", "02", ("03",)),
    ],
)
def test_a_killed_command_loses_nothing_and_can_be_given_again(
    workspace: Workspace,
    tmp_path: Path,
    solve: Solve,
    action: str,
    number: str,
    others: tuple[str, ...],
) -> None:
    for started in ("02", *others):
        workspace.start(started)
    solve(workspace, ADD, body='return Tensor(["mine"])')
    if action == "restore":
        workspace.reset("02")
        solve(workspace, SCALE, body="return None  # a second try")
    if action == "update":
        course_changes(workspace, "_relu.py", "max(value, 0)", "max(0, value)")
        course_changes(workspace, "_operators.py", '"""Operators."""', '"""More operators."""')
    before = hers(workspace)
    pristine, copies = tmp_path / "pristine", tmp_path / "copies"
    shutil.copytree(workspace.folder, pristine)
    copies.mkdir()
    arguments = [str(workspace.root), str(pristine), str(copies), action, number]
    run = subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments], capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stderr) == (0, "")
    killed = sorted(copies.iterdir())
    assert len(killed) > 10
    done = hers(Workspace(workspace.curriculum, killed.pop()))
    for copy in killed:
        again = Workspace(workspace.curriculum, copy)
        now = hers(again)
        kept = all_backups(copy).values()
        for path, data in before.items():
            assert now.get(path) == data or any(files.get(path) == data for files in kept)
        getattr(again, action)(number)
        assert hers(again) == done
        assert not list((copy / ".tito").glob("unfinished*"))
