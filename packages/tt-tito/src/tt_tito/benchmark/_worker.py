"""A process of its own for each model: what one does to the process, the other does not see.

Reference and submission so have each their backend, their threads and their memory, and take turns
at the clock. The process that asks gives the job as files in a folder, and then one line for each
measurement; the answer is a line of JSON. A model that takes too long or too much memory ends its
process, not the one that asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

import tt_nn as nn
from tt_tensor import from_numpy

from ._checks import Rejected
from ._passes import Configuration
from ._runner import Clocked, LocalRunner, Runner
from ._tasks import Data, Task

OpenRunner = Callable[[Task, Data, Configuration, bytes, int], AbstractContextManager[Runner]]

TIME_LIMIT = 600.0  # seconds for one answer
MEMORY_LIMIT = 8 << 30  # bytes of addresses


class RemoteRunner:
    """Measures a model in another process.

    Args:
        process: The process, which reads lines and answers each with one.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: str) -> float:
        """Ask for a measurement.

        Raises:
            Rejected: The model failed, or took too much time or memory.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(TIME_LIMIT, process.kill)
        timer.start()
        try:
            process.stdin.write(question + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            code = process.wait()
            raise Rejected(
                f"model: its process ended without an answer (exit code {code}); a model may take "
                f"{TIME_LIMIT:.0f} seconds for one measurement and {MEMORY_LIMIT >> 30} GiB."
            )
        answer = json.loads(line)
        if "rejected" in answer:
            raise Rejected(answer["rejected"])
        return float(answer["value"])

    def seconds(self, kind: Clocked) -> float:
        """See `Runner`."""
        return self.ask(kind)

    def memory(self) -> int:
        """See `Runner`."""
        return int(self.ask("memory"))

    def size(self) -> int:
        """See `Runner`."""
        return int(self.ask("size"))

    def quality(self) -> float:
        """See `Runner`."""
        return self.ask("quality")


@contextmanager
def open_worker(
    task: Task, data: Data, configuration: Configuration, weights: bytes, seed: int
) -> Iterator[Runner]:
    """Start a process that measures a model; it ends with the block.

    Args:
        task: The task.
        data: Its data.
        configuration: The model and how it is run.
        weights: The contents of its safetensors file.
        seed: Which inputs are given.
    """
    job = {
        "configuration": configuration.as_json(),
        "quality": task.quality,
        "batch": task.batch,
        "seed": seed,
        "divisor": data.divisor,
        "mean": data.mean,
        "std": data.std,
    }
    with tempfile.TemporaryDirectory(prefix="tito-benchmark-") as folder:
        place = Path(folder)
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        (place / "weights.safetensors").write_bytes(weights)
        arrays = {"inputs": from_numpy(data.inputs), "targets": from_numpy(data.targets)}
        nn.save(arrays, place / "data.safetensors")
        process = subprocess.Popen(
            # -P: the current folder may be the submission's, and Python would import from it.
            [sys.executable, "-P", "-m", "tt_tito.benchmark._worker", folder],
            env={**os.environ, "TT_NN_BACKEND": configuration.backend},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        try:
            runner = RemoteRunner(process)
            runner.ask("ready")
            yield runner
        finally:
            process.kill()
            process.communicate()


def serve(folder: Path, questions: IO[str], answers: IO[str]) -> None:
    """Answer questions about the model of a job, until there are no more.

    Args:
        folder: The job's folder.
        questions: A line for each.
        answers: Where a line of JSON is written for each.
    """
    runner: LocalRunner | None = None
    for line in questions:
        question = line.strip()
        try:
            if runner is None:
                runner = _open(folder)
            answer: dict[str, object] = {"value": _measure(runner, question)}
        except Rejected as error:
            answer = {"rejected": str(error)}
        except MemoryError:
            answer = {"rejected": f"model: it needs more than {MEMORY_LIMIT >> 30} GiB of memory."}
        except Exception as error:
            answer = {"rejected": f"model: it fails with {type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def _measure(runner: LocalRunner, question: str) -> float:
    match question:
        case "latency" | "throughput":
            return runner.seconds(question)
        case "memory":
            return runner.memory()
        case "size":
            return runner.size()
        case "quality":
            return runner.quality()
    return 0.0  # "ready": the model is made


def _open(folder: Path) -> LocalRunner:
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    arrays = nn.load(folder / "data.safetensors")
    inputs, targets = (np.asarray(arrays[name].numpy()) for name in ("inputs", "targets"))
    configuration = Configuration.parse(job["configuration"])
    nn.set_num_threads(configuration.threads)
    return LocalRunner(
        Data(inputs, targets, job["divisor"], tuple(job["mean"]), tuple(job["std"])),
        configuration,
        folder / "weights.safetensors",
        quality=job["quality"],
        batch=job["batch"],
        seed=job["seed"],
    )


def main() -> None:
    """Serve the job that the command line names; what libraries print goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    serve(Path(sys.argv[1]), sys.stdin, answers)


if __name__ == "__main__":
    main()
