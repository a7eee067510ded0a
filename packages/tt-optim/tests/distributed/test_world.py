import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Every rank makes the arrays of all ranks, so that NumPy can tell what each collective must give.
COLLECTIVES = """
    import numpy as np
    from tt_optim.distributed import world

    w = world()
    assert w is world() and w.size == w.local_size
    dtypes = [np.float32, np.float64, np.complex128, np.int8, np.int64, np.uint16, np.bool_]
    shapes = [(), (0,), (1,), (7, 3), (2, 0), (70_001,)]

    def arrays(shape, dtype):
        rng = np.random.default_rng(0)
        return [rng.integers(0, 5, shape).astype(dtype) for _ in range(w.size)]

    expected = 0
    for dtype in dtypes:
        for shape in shapes:
            everyone = arrays(shape, dtype)
            own = everyone[w.rank].copy()
            w.all_reduce(own)
            total = np.sum(everyone, axis=0, dtype=dtype)
            np.testing.assert_array_equal(own, total, strict=True)
            expected += 2 * (w.size - 1) * own.nbytes // w.size
    assert w.bytes_sent == expected

    for dtype in [*dtypes, np.float16, "S3", "datetime64[s]"]:
        for shape in shapes:
            everyone = arrays(shape, np.int64)
            everyone = [array.astype(dtype) for array in everyone]
            own = everyone[w.rank].copy()
            np.testing.assert_array_equal(w.gather(own), np.stack(everyone), strict=True)
            w.broadcast(own)
            np.testing.assert_array_equal(own, everyone[0], strict=True)

    # Sums of floats are the same, bit by bit, on every rank.
    noise = np.random.default_rng(w.rank).standard_normal(10_001).astype(np.float32)
    w.all_reduce(noise)
    assert len({array.tobytes() for array in w.gather(noise)}) == 1

    texts = ["", "plain", "größer € 漢字 \\U0001f600\\n", "x" * 100_000][: w.size]
    assert w.gather_text(texts[w.rank]) == texts
    assert w.gather_text("") == [""] * w.size

    # Two channels, which different ranks use in different orders.
    other = w.duplicate()
    first, second = np.full(1000, 1.0), np.full(50_000, 2.0)
    work = [(w, first), (other, second)]
    requests = [on.start_all_reduce(array) for on, array in work[:: -1 if w.rank % 2 else 1]]
    w.barrier()
    while not w.progress(requests):
        pass
    assert w.progress(requests) and w.progress([])
    w.wait(requests)
    assert (first == w.size).all() and (second == 2.0 * w.size).all()
    assert w.bytes_sent > other.bytes_sent > 0
    print("fine", flush=True)
"""


@pytest.mark.parametrize("size", [2, 3, 4])
def test_collectives_give_what_numpy_gives(size: int, launch: Callable[..., Any]) -> None:
    run = launch(size, COLLECTIVES)
    assert run.code == 0, run.errors
    assert run.output.split() == ["fine"] * size
    assert run.errors == ""


REFUSED = """
    import numpy as np
    from tt_optim.distributed import world

    w = world()
    plain = np.zeros((4, 4))
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    for call, array, kind, words in [
        (w.all_reduce, plain.astype(np.float16), TypeError, "float16; reduce a copy in float32"),
        (w.start_all_reduce, np.zeros(2, "S3"), TypeError, "cannot add up |S3"),
        (w.all_reduce, np.zeros(2, ">f4"), TypeError, "cannot add up >f4"),
        (w.gather, np.zeros(2, object), TypeError, "nothing is pickled"),
        (w.broadcast, plain.T[::2], ValueError, "np.ascontiguousarray"),
        (w.gather, plain[:, 1], ValueError, "expected a C-contiguous"),
        (w.all_reduce, fixed, ValueError, "read-only"),
        (w.broadcast, fixed, ValueError, "read-only"),
    ]:
        try:
            call(array)
        except kind as error:
            assert words in str(error), error
        else:
            raise AssertionError((call, array.dtype))
    assert w.gather(fixed).shape == (2, 3)  # only read
"""


def test_what_mpi_cannot_take_is_refused(launch: Callable[..., Any]) -> None:
    run = launch(2, REFUSED)
    assert run.code == 0, run.errors


def test_a_program_that_was_started_alone_has_no_world(launch: Callable[..., Any]) -> None:
    program = "from tt_optim.distributed import world\nprint(world())"
    run = launch(1, program)
    assert (run.code, run.output, run.errors) == (0, "None\n", "")


def test_without_mpi4py_the_error_says_what_to_install() -> None:
    program = (
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'mpi4py' else found(name, *rest)\n"
        "from tt_optim.distributed import world\n"
        "world()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PMI_RANK": "1", "PMI_SIZE": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: this is process 1 of 4 that were started together, but mpi4py is not "
        'installed: `pip install "tt-optim[mpi]"` brings what is needed'
    )


def test_mpi_is_not_imported_with_the_package() -> None:
    program = "import sys, tt_optim, tt_optim.distributed; print('mpi4py' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


BEGUN = """
    import atexit
    import sys
    import numpy as np
    import tt_nn as nn
    from tt_nn.seam import parallel

    nn.set_num_threads(2)
    a = np.random.default_rng(0).standard_normal((300, 300))
    before = a @ a  # threads of BLAS, where there are several
    pieces = parallel(lambda start, stop: (start, stop), 4)
    sys.stdout.write("once ")  # waits in a buffer
    from tt_optim.distributed import world

    w = world()
    np.testing.assert_array_equal(a @ a, before)
    assert parallel(lambda start, stop: (start, stop), 4) == pieces

    @atexit.register
    def end():
        with open(f"end-{w.rank}", "a") as file:
            file.write("x")
"""


def test_a_program_that_had_begun_goes_on(launch: Callable[..., Any], tmp_path: Path) -> None:
    run = launch(2, BEGUN, OMP_NUM_THREADS="2")
    assert run.code == 0, run.errors
    assert run.output.split() == ["once", "once"]
    assert [(tmp_path / f"end-{rank}").read_text() for rank in (0, 1)] == ["x", "x"]


LEFT_BEHIND = """
    import multiprocessing
    import subprocess
    import sys
    import time
    import warnings
    from concurrent.futures import ThreadPoolExecutor
    from tt_optim.distributed import world

    warnings.simplefilter("ignore", DeprecationWarning)  # of forks
    begin, words, end = sys.argv[1:]
    exec(begin)
    try:
        world()
    except RuntimeError as error:
        assert f"what it has started: {words}" in str(error), error
        assert "Call tt_optim.distributed.world() at the top of the program" in str(error)
    else:
        raise AssertionError("the run was joined")
    exec(end)
    assert world().size == 2
"""
STARTED = {
    "a thread": (
        "it = ThreadPoolExecutor(1, 'reader'); it.submit(len, '').result()",
        "thread reader_0. ",
        "it.shutdown()",
    ),
    "a process": (
        "it = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)",
        "process ",
        "it.communicate(b'1')",
    ),
    "a process of multiprocessing": (
        "it = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,), "
        "name='sleeper'); it.start()",
        "process ",
        "it.kill(); it.join()",
    ),
}


@pytest.mark.parametrize("begin_words_end", STARTED.values(), ids=STARTED)
def test_what_would_not_go_on_is_refused(
    begin_words_end: tuple[str, str, str], launch: Callable[..., Any]
) -> None:
    run = launch(2, LEFT_BEHIND, *begin_words_end)
    assert run.code == 0, run.errors


BEFORE = """
    import os
    import subprocess
    import sys
    from concurrent.futures import ThreadPoolExecutor

    if sys.argv[1] == "mpi":
        from mpi4py import MPI  # so that the program stays where it is
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()
    ended = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    from tt_optim.distributed import world

    try:
        subprocess.Popen()
    except TypeError as error:
        never_begun = error  # which holds the Popen
    w = world()
    assert ended.wait() == 3
    if sys.argv[1] == "mpi":
        assert pool.submit(len, "ab").result() == 2
    w.barrier()
"""


@pytest.mark.parametrize("first", ["mpi", "nothing"])
def test_what_had_ended_or_stays_has_its_result(first: str, launch: Callable[..., Any]) -> None:
    run = launch(2, BEFORE, first)
    assert run.code == 0, run.errors


ALONE = """
    import os
    import subprocess
    import sys
    import warnings
    from tt_nn.seam import launched
    from tt_optim.distributed import world

    place = launched()
    w = world()
    assert place == launched() == (w.rank, w.size)
    program = "from mpi4py import MPI; from tt_optim.distributed import world; "
    program += "print(world(), MPI.COMM_WORLD.size)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "None 1\\n"), done
    warnings.simplefilter("ignore", DeprecationWarning)  # there are threads
    child = os.fork()
    if child == 0:
        os._exit(0 if launched() is None and world() is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    w.barrier()
"""


def test_what_a_rank_starts_is_alone(launch: Callable[..., Any]) -> None:
    run = launch(2, ALONE)
    assert run.code == 0, run.errors
