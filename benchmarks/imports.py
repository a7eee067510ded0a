"""How long `import tt_nn` takes beside `import numpy`, each in a fresh process."""

from __future__ import annotations

import argparse

from _paired import compare, report

TARGET = 1.5
_TIMED = (
    "import time; start = time.perf_counter(); import {module}; "
    "print((time.perf_counter() - start) * 1e3)"
)


def main() -> int:
    """Measure both imports in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    results = [
        compare(
            f"import {module}",
            ["-c", _TIMED.format(module=module)],
            ["-c", _TIMED.format(module="numpy")],
            target=TARGET,
            rounds=options.rounds,
        )
        for module in ("tt_tensor", "tt_autograd", "tt_nn")
    ]
    return report("Import, beside that of NumPy", "numpy", results)


if __name__ == "__main__":
    raise SystemExit(main())
