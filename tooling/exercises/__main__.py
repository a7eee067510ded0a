"""The command: ``python -m tooling.exercises [NN ...]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tt_tito import TitoError
from tt_tito.course import read_curriculum

from . import __doc__ as description
from .checks import Finding, sweep

ROOT = Path(__file__).parents[2].resolve()
CACHE = ROOT / ".pytest_cache" / "exercises"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep and print a table; the exit code is 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tooling.exercises",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("numbers", nargs="*", metavar="NN", help="modules; all if none is named")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="runs at once (default: 2)")
    options = parser.parse_args(arguments)
    try:
        curriculum = read_curriculum(ROOT)
        modules = [curriculum.module(number) for number in options.numbers]
        findings = sweep(curriculum, modules or curriculum.modules, options.jobs, CACHE)
    except TitoError as error:
        print(error, file=sys.stderr)
        return 2
    return report(findings)


def report(findings: Sequence[Finding]) -> int:
    """Print what was found, and return the exit code."""
    print(f"{'module':<18} {'tests':>6} {'running one':>12} {'exercises':>10}  result")
    for finding in findings:
        module = finding.module
        result = f"{len(finding.errors)} wrong" if finding.errors else "right"
        print(
            f"{module.number} {module.name:<15} {finding.tests:>6} {finding.touching:>12} "
            f"{len(module.exercises):>10}  {result}"
        )
    for finding in findings:
        for error in finding.errors:
            print(f"module {finding.module.number}: {error}")
    return 1 if any(finding.errors for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
