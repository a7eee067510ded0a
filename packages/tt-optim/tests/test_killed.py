import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.module_08


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_run_goes_on_to_the_same_parameters_bit_for_bit(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_program.py")
    # With one thread, so that children can be forked off safely.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), "0"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    outcomes = report["outcomes"]
    assert report["expected"]
    assert [outcome["digest"] for outcome in outcomes] == [report["expected"]] * 40, done.stderr
    # A step before the end may be missed: what is cached between runs changes the count a little.
    assert sum(outcome["killed"] for outcome in outcomes) >= 38
    # The moments are spread over the runs: before the first checkpoint, and after several.
    assert sum(bool(outcome["checkpoints"]) for outcome in outcomes) >= 20
