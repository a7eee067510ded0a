import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_data import DownloadError, RemoteFile

pytestmark = pytest.mark.module_10

GOOD = ("whole", "whole-without-ranges", "redirect", "cut", "slow", "unbounded")
REASONS = {
    "404": "HTTP 404",
    "503": "HTTP 503",
    "wrong": "another checksum",
    "page": "25 bytes, not 500000",
    "endless": "more than 500000 bytes",
    "encoded": "another encoding",
    "cut-without-ranges": "(IncompleteRead|150000 of 500000)",
    "stops": "it ended after 25 of 500000 bytes",
    "stall": "nothing came for 0.5 seconds",
}
BAD = tuple(REASONS)


def patience(way: str) -> float:
    return 0.5 if way == "stall" else 30.0


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("way", GOOD)
def test_a_mirror_that_has_the_file(mirrors: Any, tmp_path: Path, way: str) -> None:
    path = mirrors.file(way).fetch(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "data.bin"
    assert path.read_bytes() == mirrors.content


@pytest.mark.parametrize("way", BAD)
def test_a_mirror_that_fails_is_named_with_its_error(
    mirrors: Any, tmp_path: Path, way: str
) -> None:
    with pytest.raises(DownloadError) as caught:
        mirrors.file(way, "404").fetch(tmp_path, timeout=patience(way))
    message = str(caught.value)
    assert "data.bin could not be downloaded" in message
    assert re.search(f"{mirrors.folder(way)}data.bin: .*{REASONS[way]}", message)
    assert f"{mirrors.folder('404')}data.bin: HTTP 404" in message
    assert f"put the file into {tmp_path} yourself" in message
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("way", BAD)
def test_the_next_mirror_helps(mirrors: Any, tmp_path: Path, way: str) -> None:
    path = mirrors.file(way, "whole").fetch(tmp_path, timeout=patience(way))
    assert path.read_bytes() == mirrors.content
    assert files_in(tmp_path) == ["data.bin"]


def test_no_server_at_all(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(DownloadError, match=f"{url}: ConnectionRefusedError"):
            RemoteFile("data.bin", "00" * 32, 10, (url,)).fetch(tmp_path)


def test_a_connection_that_was_cut_is_taken_up_again(mirrors: Any, tmp_path: Path) -> None:
    assert mirrors.file("cut").fetch(tmp_path).read_bytes() == mirrors.content
    starts = [int(given[6:-1]) if given else 0 for _, given in mirrors.requests]
    assert len(starts) >= 4
    assert starts == sorted(set(starts))  # each went on beyond the one before


def test_a_connection_that_is_cut_again_and_again(mirrors: Any, tmp_path: Path) -> None:
    mirrors.content = bytes(2_000_000)
    with pytest.raises(DownloadError, match="the connection was cut 20 times"):
        mirrors.file("crumbs").fetch(tmp_path)
    assert files_in(tmp_path) == []
    assert mirrors.file("crumbs").fetch(tmp_path).read_bytes() == mirrors.content  # the rest


@pytest.mark.parametrize("way", ["whole", "whole-without-ranges", "no-such-range", "other-range"])
def test_what_an_earlier_run_left_is_used_or_written_anew(
    mirrors: Any, tmp_path: Path, way: str
) -> None:
    with pytest.raises(DownloadError):
        mirrors.file("cut-without-ranges").fetch(tmp_path)
    mirrors.requests.clear()
    assert mirrors.file(way).fetch(tmp_path).read_bytes() == mirrors.content
    assert mirrors.requests[0][1] is not None
    assert len(mirrors.requests) == (1 if way.startswith("whole") else 2)


def test_wrong_bytes_of_one_mirror_do_not_spoil_the_next(mirrors: Any, tmp_path: Path) -> None:
    right = mirrors.content
    mirrors.content = bytes(len(right))
    with pytest.raises(DownloadError):
        mirrors.file("cut-without-ranges").fetch(tmp_path)
    mirrors.content = right
    assert mirrors.file("whole").fetch(tmp_path).read_bytes() == right


def test_a_file_that_is_there_is_taken_as_it_is(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    assert mirrors.file("whole").fetch(tmp_path).read_bytes() == b"mine"
    assert mirrors.requests == []


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ways=st.lists(st.sampled_from([*GOOD, *BAD[:-1], "no-such-range"]), min_size=1, max_size=4))
def test_the_folder_holds_the_right_file_or_none(mirrors: Any, ways: list[str]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        for way in ways:  # several runs, each with one mirror: a later one finds what was left
            try:
                path = mirrors.file(way).fetch(folder)
            except DownloadError:
                assert files_in(folder) == []
            else:
                assert path.read_bytes() == mirrors.content
                assert files_in(folder) == ["data.bin"]
        succeeded = any(way not in BAD for way in ways)
        assert files_in(folder) == (["data.bin"] if succeeded else [])
    finally:
        shutil.rmtree(folder)


FETCH = """
import sys
from tt_data import RemoteFile
name, digest, size, url, folder = sys.argv[1:]
RemoteFile(name, digest, int(size), (url,)).fetch(folder)
"""


def start_fetching(mirrors: Any, way: str, folder: Path) -> subprocess.Popen[bytes]:
    file = mirrors.file(way)
    arguments = [file.name, file.sha256, str(file.size), *file.mirrors, str(folder)]
    return subprocess.Popen([sys.executable, "-c", FETCH, *arguments])


def test_two_processes_that_want_the_same_file(mirrors: Any, tmp_path: Path) -> None:
    processes = [start_fetching(mirrors, "slow", tmp_path) for _ in range(2)]
    assert [process.wait(timeout=30) for process in processes] == [0, 0]
    assert (tmp_path / "data.bin").read_bytes() == mirrors.content
    assert len(mirrors.requests) == 1


def test_a_process_killed_in_the_middle_leaves_no_file(mirrors: Any, tmp_path: Path) -> None:
    process = start_fetching(mirrors, "slow", tmp_path)
    part = tmp_path / ".data.bin.part"
    give_up = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < give_up:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert files_in(tmp_path) == []
    assert mirrors.file("whole").fetch(tmp_path).read_bytes() == mirrors.content
    assert mirrors.requests[-1][1] is not None  # it went on


def test_threads_that_want_the_same_file(mirrors: Any, tmp_path: Path) -> None:
    file = mirrors.file("slow")
    threads = [threading.Thread(target=file.fetch, args=(tmp_path,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "data.bin").read_bytes() == mirrors.content
    assert len(mirrors.requests) == 1


def test_a_folder_that_cannot_be_made(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"data\.bin cannot be written into .*file/below"):
        mirrors.file("whole").fetch(tmp_path / "file" / "below")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(mirrors: Any, tmp_path: Path) -> None:
    (tmp_path / ".data.bin.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="No space left on device"):
        mirrors.file("whole", "whole").fetch(tmp_path)
    assert files_in(tmp_path) == []


def test_nothing_is_printed_where_no_terminal_is(
    mirrors: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mirrors.file("slow").fetch(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_how_far_it_is(
    mirrors: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    mirrors.file("slow").fetch(tmp_path)
    shown = capsys.readouterr().err
    assert re.search(r"data\.bin \[#* *\] +\d+% \d\.\d of 0\.5 MB", shown)
    assert shown.endswith("\r\x1b[K")
