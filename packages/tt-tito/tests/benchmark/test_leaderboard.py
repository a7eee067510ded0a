"""The leaderboard: what ranks, many processes at once, a kill in the middle, the page."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tt_tito import TitoError
from tt_tito.benchmark import (
    Bench,
    Figure,
    Leaderboard,
    Rejected,
    Submission,
    Verdict,
    render_leaderboard,
)

pytestmark = pytest.mark.module_19

Edit = Callable[[Path, Callable[[dict[str, object]], object]], None]


def result(submission: Submission, name: str, ratio: float) -> Verdict:
    """A verdict that accepts a submission of that name and score."""
    figures = {**submission.figures, "latency": Figure(ratio, 1.0, ratio, ratio, ratio)}
    return Verdict((), replace(submission, name=name, figures=figures))


@pytest.fixture
def board(tmp_path: Path) -> Leaderboard:
    return Leaderboard(tmp_path / "deep" / "leaderboard.sqlite")


def test_without_a_file_there_are_no_results(board: Leaderboard) -> None:
    assert board.rows() == []
    assert not board.path.exists()


def test_adding_verifies_and_keeps_what_was_measured(
    board: Leaderboard, folder: Path, bench: Bench
) -> None:
    assert board.add(folder, bench).accepted
    (row,) = board.rows()
    assert (row.place, row.task, row.event, row.division) == (1, "tiny", "latency", "closed")
    assert row.name == "Ada"
    assert row.configuration["passes"] == [{"pass": "fold_batch_norm"}]
    assert set(row.figures) == {"latency", "accuracy"}


def test_what_is_rejected_does_not_rank(
    board: Leaderboard, folder: Path, bench: Bench, edit: Edit
) -> None:
    edit(folder, lambda record: record.update(data_sha256="0" * 64))
    verdict = board.add(folder, bench)
    assert not verdict.accepted
    assert board.rows() == []
    with pytest.raises(ValueError, match="rejected"):
        board.keep(verdict)
    assert board.rows() == []


def test_the_best_stand_first_and_equals_share_a_place(
    board: Leaderboard, submission: Submission
) -> None:
    for name, ratio in (("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 3.0)):
        board.keep(result(submission, name, ratio))
    assert [(row.place, row.name) for row in board.rows()] == [
        (1, "b"), (1, "d"), (3, "c"), (4, "a"),
    ]  # fmt: skip


def test_of_each_name_the_best_result_stays(board: Leaderboard, submission: Submission) -> None:
    kept = [board.keep(result(submission, "a", ratio)) for ratio in (2.0, 1.0, 2.0, 3.0)]
    assert kept == [True, False, False, True]
    (row,) = board.rows()
    assert row.score.ratio == row.figures["latency"].ratio == 3.0


def test_names_that_look_alike_share_a_row(board: Leaderboard, submission: Submission) -> None:
    for name in ("Zo\u00eb", " Zo\u00eb ", "Zoe\u0308"):
        board.keep(result(submission, name, 1.0))
    assert [row.name for row in board.rows()] == ["Zo\u00eb"]
    with pytest.raises(Rejected, match="printable"):
        board.keep(result(submission, "a\x1b[2J", 2.0))


@pytest.mark.parametrize("what", ["reference_sha256", "data_sha256"])
def test_only_results_against_the_same_rank_together(
    board: Leaderboard, submission: Submission, what: str
) -> None:
    digests = {what: "0" * 64}
    theirs = replace(submission, **digests)  # type: ignore[arg-type]  # both are texts
    for each, name, ratio in ((submission, "a", 1.0), (theirs, "a", 9.0), (theirs, "b", 8.0)):
        board.keep(result(each, name, ratio))
    found = {(getattr(row, what), row.name): row.place for row in board.rows()}
    own = getattr(submission, what)
    assert found == {("0" * 64, "a"): 1, ("0" * 64, "b"): 2, (own, "a"): 1}
    page = render_leaderboard(board.rows())
    assert page.count("<tbody>") == 2
    assert all(digest[:8] in page for digest in ("0" * 64, own))


def test_a_file_that_is_no_leaderboard_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(TitoError, match=r"other\.sqlite"):
        Leaderboard(path).rows()


def test_a_leaderboard_of_another_version_is_left_alone(
    board: Leaderboard, submission: Submission
) -> None:
    board.keep(result(submission, "a", 1.0))
    with closing(sqlite3.connect(board.path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    before = board.path.read_bytes()
    for use in (board.rows, lambda: board.keep(result(submission, "b", 1.0))):
        with pytest.raises(TitoError, match="another file, with --file"):
            use()
    assert board.path.read_bytes() == before


DAMAGED = {
    "figures that are no JSON": ("figures", "{"),
    "figures of no quality": ("figures", "{}"),
    "figures of another kind": ("figures", '{"accuracy": 1}'),
    "a configuration of no model": ("configuration", "{}"),
    "an environment that is none": ("environment", "[]"),
    "a time that is none": ("verified_at", "now"),
    "no digest": ("reference_sha256", "0"),
    "no such event": ("event", "luck"),
    "a name that cannot be shown": ("name", "a\x1b[2J"),
    "a name of bytes": ("name", b"a"),
    "a ratio of words": ("ratio", "large"),
    "a ratio below nothing": ("low", -1.0),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_result_is_an_error(
    case: str, board: Leaderboard, submission: Submission
) -> None:
    column, value = DAMAGED[case]
    board.keep(result(submission, "a", 1.0))
    with closing(sqlite3.connect(board.path)) as connection:
        connection.execute(f"UPDATE results SET {column} = ?", (value,))
        connection.commit()
    with pytest.raises(TitoError, match="something else than tt-tito"):
        board.rows()


def test_a_database_of_something_else_is_left_alone(tmp_path: Path, submission: Submission) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE results (mine)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(TitoError, match="no leaderboard"):
        Leaderboard(path).keep(result(submission, "a", 1.0))
    assert path.read_bytes() == before


# --- Many at once -------------------------------------------------------------------------------

WRITER = """
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from tt_tito.benchmark import Leaderboard, Verdict, read_submission

path, folder, who, times = sys.argv[1:]
board, submission = Leaderboard(Path(path)), read_submission(Path(folder))
sys.stdin.readline()  # until all are ready
for i in range(int(times)) if int(times) else count():
    board.keep(Verdict((), replace(submission, name=f"{who}-{i}")))
    print(i, flush=True)
"""


def writer(board: Leaderboard, folder: Path, who: int, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(board.path), str(folder), str(who), str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ten_processes_add_at_once_and_one_is_killed(board: Leaderboard, folder: Path) -> None:
    times = 5
    honest = [writer(board, folder, who, times) for who in range(10)]
    killed = writer(board, folder, 10, 0)  # adds until it is killed
    for process in (*honest, killed):
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    with killed:
        assert killed.stdout is not None
        seen = [int(killed.stdout.readline()) for _ in range(3)]
        killed.kill()
        # `communicate` would pass over what `readline` has taken from the pipe beforehand.
        seen += [int(line) for line in killed.stdout.read().split()]
    for process in honest:
        process.communicate()
        assert process.returncode == 0

    names = {row.name for row in board.rows()}
    assert {f"{who}-{i}" for who in range(10) for i in range(times)} <= names
    assert {f"10-{i}" for i in seen} <= names  # what it said was kept is there
    assert len(names) - 10 * times - len(seen) in (0, 1)  # one more may have been just kept
    connection = sqlite3.connect(board.path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


CUT_SHORT = """
import os, signal, sys
import sqlite3

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # so that unfinished work is written to the file
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM results")
for i in range(500):
    connection.execute("CREATE TABLE junk_%d (x)" % i)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_before_the_first_result_is_there_are_none(
    board: Leaderboard, submission: Submission
) -> None:
    """Not while it is being added, nor when that was cut short."""
    board.path.parent.mkdir()
    with closing(sqlite3.connect(board.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE results (id)")
        assert board.rows() == []
    assert board.path.read_bytes() == b""  # it is as after a kill
    assert board.rows() == []
    board.keep(result(submission, "a", 1.0))
    assert [row.name for row in board.rows()] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")
def test_a_transaction_that_was_cut_short_leaves_nothing(
    board: Leaderboard, submission: Submission
) -> None:
    board.keep(result(submission, "a", 2.0))
    subprocess.run([sys.executable, "-c", CUT_SHORT, str(board.path)], check=False)
    assert board.path.with_name(board.path.name + "-journal").exists()  # it was in the middle
    assert [row.name for row in board.rows()] == ["a"]
    board.keep(result(submission, "b", 1.0))
    assert [row.name for row in board.rows()] == ["a", "b"]


# --- The page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_escaped(board: Leaderboard, submission: Submission) -> None:
    evil = '<script>alert(1)</script>" onclick="x'
    for name, ratio in ((evil, 2.0), ("b", 1.5)):
        board.keep(result(submission, name, ratio))
    page = Page()
    page.feed(render_leaderboard(board.rows()))
    assert page.tags.count("script") == 1  # the one that sorts
    assert page.tags.count("tr") == 3
    assert evil in page.text  # as it was written
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "onclick"}  # nothing comes from elsewhere


def test_a_page_without_results_says_so() -> None:
    assert "no results yet" in render_leaderboard([])
