"""What a change affects: the plan of the continuous-integration jobs.

``python -m tooling.affected BASE`` compares HEAD with a commit and prints ``packages=[…]`` and
``milestones=[…]``, two lines of JSON for the jobs' matrices. Without BASE, or with one that is not
there, everything is affected. Only the standard library is needed.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tooling.milestones import Milestone, read_milestones
from tooling.packages import Package, dependents, read_packages, requirement_name

# Changes here concern no package. Any path that is not known concerns all of them.
_HARMLESS = ("docs/", "milestones/", "benchmarks/", "mkdocs.yml")


def affected_packages(packages: Sequence[Package], changed: Iterable[str]) -> list[str]:
    """Return the packages to check, in their order, after a change of some files.

    Args:
        packages: All packages, lowest first.
        changed: Paths in the repository, with forward slashes.
    """
    touched: set[str] = set()
    folders = {f"packages/{package.path.name}/": package.name for package in packages}
    for path in changed:
        inside = [name for folder, name in folders.items() if path.startswith(folder)]
        if inside:
            touched.update(inside)
        elif not path.startswith(_HARMLESS) and not ("/" not in path and path.endswith(".md")):
            return [package.name for package in packages]
    affected = dependents(packages, touched)
    return [package.name for package in packages if package.name in affected]


def affected_milestones(
    milestones: Iterable[Milestone], packages: Iterable[str], changed: Iterable[str]
) -> list[str]:
    """Return the sessions of the milestones to run.

    Args:
        milestones: All milestones.
        packages: The affected packages.
        changed: Paths in the repository, with forward slashes.
    """
    packages, changed = set(packages), list(changed)
    return [
        milestone.session
        for milestone in milestones
        if not packages.isdisjoint(map(requirement_name, milestone.dependencies()))
        or any(path.startswith(f"milestones/{milestone.number}_") for path in changed)
    ]


def changed_files(base: str) -> list[str] | None:
    """Return the files that differ between HEAD and its merge base with a commit, if it exists."""
    # Without renames, a moved file counts at both places.
    command = ["git", "diff", "--name-only", "--no-renames", "-z", f"{base}...HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:  # no git on this machine
        return None
    return result.stdout.split("\0")[:-1] if result.returncode == 0 else None


def main(base: str = "") -> None:
    """Print the plan."""
    root = Path(__file__).parents[1]
    packages, milestones = read_packages(root), read_milestones(root)
    changed = changed_files(base) if base else None
    names, sessions = [p.name for p in packages], [m.session for m in milestones]
    if changed is not None:
        names = affected_packages(packages, changed)
        sessions = affected_milestones(milestones, names, changed)
    print(f"packages={json.dumps(names)}")
    print(f"milestones={json.dumps(sessions)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
