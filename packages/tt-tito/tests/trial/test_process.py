"""Children: Ctrl-C ends them, so does their time, and the end of what they print is kept."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tt_tito.trial import _process
from tt_tito.trial._process import clean_environment, foreground, launch

pytestmark = pytest.mark.environments


@pytest.fixture
def heard() -> Iterator[None]:
    """Hear Ctrl-C, which a program that a shell started in its background does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_child_and_its_children(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "os.rename('pids', 'ready')\n"
        "time.sleep(60)\n"
    )

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        launch([sys.executable, "-c", program], folder=tmp_path, environment=clean_environment())
    thread.join()
    for pid in map(int, (tmp_path / "ready").read_text().split()):
        assert ended(pid)


@pytest.mark.usefixtures("heard")
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_lets_what_shares_the_terminal_end_and_then_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "GRACE", 0.1)
    program = "import os, time; open('ready', 'w').write(str(os.getpid())); time.sleep(60)"

    def interrupt() -> None:
        while not (ready := tmp_path / "ready").exists() or not ready.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    command = [sys.executable, "-c", program]
    with pytest.raises(KeyboardInterrupt):
        foreground(command, folder=tmp_path, environment=clean_environment())
    thread.join()
    assert ended(int((tmp_path / "ready").read_text()))


def ended(pid: int) -> bool:
    """Whether a process ends within seconds; one that no one has waited for has ended too."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_child_without_end_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "while True: pass"]
    variables = clean_environment()
    ended = launch(command, folder=tmp_path, environment=variables, seconds=0.2)
    assert ended.reason == "ran longer than 0.2 seconds"


def test_the_end_of_what_a_child_prints_is_kept(tmp_path: Path) -> None:
    program = (
        "import sys; print('x' * 100_000, flush=True); print(sys.stdin.read(), file=sys.stderr)"
    )
    done = launch(
        [sys.executable, "-c", program], folder=tmp_path, environment=clean_environment(), given="é"
    )
    assert (done.code, done.reason) == (0, None)
    assert done.output.endswith("x\né\n")
    assert len(done.output) < 30_000
