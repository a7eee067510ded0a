"""The process in which `compare_serving` runs onnxruntime: it times what it is asked to.

Each line of its input names a file of arrays and the least seconds of a sample; each line of its
output is the seconds of a call.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from tt_profile._measure import time_it
from tt_profile.onnx._run import session


def main(path: str, threads: str) -> None:
    """Time calls of the model in a file until the input ends."""
    running = session(path, int(threads))
    names = [each.name for each in running.get_inputs()]
    for line in sys.stdin:
        inputs, sample_seconds = json.loads(line)
        with np.load(inputs, allow_pickle=False) as arrays:
            fed = dict(zip(names, arrays.values(), strict=True))
        timing = time_it(
            lambda fed=fed: running.run(None, fed),  # type: ignore[misc]  # bound at once
            warmup=1, repeats=1, sample_seconds=sample_seconds,
        )  # fmt: skip
        print(json.dumps(timing.median), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
