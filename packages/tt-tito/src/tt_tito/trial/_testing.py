"""Runs the tests of a module against the learner's packages, in a clean environment.

The tests are those of the checkout, copied to a fresh folder; no file of the workspace is among
them. What they found is told by records that the child writes with the token of the run; what it
prints and its exit code prove nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module, package_folder
from tt_tito.course._exercises import is_blank

from ._failures import Teller
from ._outcome import Failure as Failure
from ._outcome import Outcome as Outcome
from ._process import Launch, clean_environment, launch
from ._progress import doing
from ._records import FINISHED, Records, read_records
from ._venv import Venv, environment

CHILD = Path(__file__).parent / "child" / "run_tests.py"
BESIDE = (
    *("pyproject.toml", "conftest.py", "curriculum.toml"),
    *("testing", "tooling", "milestones"),
)
LIBRARIES = ("numpy", "numpy.testing", "hypothesis")  # imported before anything that is tested
LIMITED = partial(launch, seconds=600)  # a loop without end has one
WATCHED = 20  # failing tests, and passing ones, that are run again to see what they run


def check_module(
    curriculum: Curriculum,
    number: str,
    mine: Mapping[str, Path],
    *,
    cache: Path,
    launch: Launch = LIMITED,
    keep: Path | None = None,
    most: int | None = None,
) -> Outcome:
    """Test a module in a clean environment with only what its packages depend on.

    Args:
        curriculum: The course.
        number: The module's number.
        mine: The learner's packages: name to folder. The others are the course's.
        cache: Where wheels are kept.
        launch: Runs the child.
        keep: Where the environment is made, to stay; a temporary folder if None.
        most: After how many failures it stops; None means that all tests are run.

    Raises:
        TitoError: If a package cannot be built or installed.
    """
    module = curriculum.module(number)
    requirements = (*module.packages, *requirements_of_tests(curriculum.root))
    with environment(curriculum.root, requirements, mine, cache=cache, keep=keep) as venv:
        return run_tests(venv, curriculum, module, mine, launch=launch, most=most)


def unfinished(
    curriculum: Curriculum, mine: Mapping[str, Path], started: Collection[str]
) -> dict[str, str]:
    """Find the learner's packages on which others cannot stand yet, and say why.

    They have an exercise of a module in progress that is still blank, or that cannot be found.

    Args:
        curriculum: The course.
        mine: Her packages: name to folder.
        started: The numbers of the modules that she has started.
    """
    found: dict[str, str] = {}
    for package, folder in mine.items():
        for module in curriculum.of_package(package):
            for exercise in module.exercises_in(package) if module.number in started else ():
                try:
                    if is_blank(folder, exercise):
                        found.setdefault(package, f"{exercise} is not written yet.")
                except TitoError as error:
                    found.setdefault(package, str(error))
    return found


def requirements_of_tests(root: Path) -> tuple[str, ...]:
    """What the tests need beside what they test: the group ``tests`` of the root's project.

    Args:
        root: The checkout.
    """
    file = root / "pyproject.toml"
    try:
        group = tomllib.loads(file.read_text(encoding="utf-8"))["dependency-groups"]["tests"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise TitoError(f"{file} has no dependency group 'tests' that can be read.") from error
    return tuple(entry for entry in group if not entry.startswith("pytest-cov"))


def run_tests(
    venv: Venv,
    curriculum: Curriculum,
    module: Module,
    mine: Mapping[str, Path],
    *,
    launch: Launch = launch,
    alter: Callable[[Path], None] | None = None,
    only: Sequence[str] = (),
    explain: bool = True,
    most: int | None = None,
) -> Outcome:
    """Run the tests of a module in an environment that has its packages.

    Args:
        venv: The environment.
        curriculum: The course.
        module: The module.
        mine: The learner's packages: name to folder.
        launch: Runs the child, which writes only below the folder that it runs in.
        alter: Is given the root of the copy of the tests before they are run.
        only: Ids of tests, or of functions or files of tests, to run; all if there are none.
        explain: Whether failing tests are run again, to see which exercises they run.
        most: After how many failures it stops; None means that all tests are run.
    """
    with tempfile.TemporaryDirectory(prefix="tito-tests-", ignore_cleanup_errors=True) as temporary:
        tests = _Tests(venv, curriculum.root, module, Path(temporary).resolve(), launch, most)
        if alter is not None:
            alter(tests.checkout)
        digest = digest_of(tests.checkout)
        failed: tuple[Failure, ...] = ()
        with doing(f"testing module {module.number} ({module.name})"):
            records, reason = tests.run(only or tests.folders)
            if wrong := records.failed:
                teller = Teller(venv, curriculum, module, mine, tests.checkout)
                if explain:
                    teller.watched = tests.watch(records, teller)
                failed = tuple(teller.failure(test, record) for test, record in wrong.items())
        if digest_of(tests.checkout) != digest:
            reason = "The tests were changed while they ran."
        return Outcome(
            tests=records.tests,
            failed=failed,
            skipped=records.skipped,
            passed=records.passed,
            reason=reason,
            digest=digest,
            sources=venv.sources,
            left=len(records.left) if reason is None and records.code in FINISHED else 0,
        )


class _Tests:
    """A copy of a module's tests and the child that runs them.

    Args:
        venv: The environment.
        root: The checkout.
        module: The module.
        base: A fresh folder.
        launch: Runs the child.
        most: After how many failures it stops, if it does.
    """

    def __init__(
        self,
        venv: Venv,
        root: Path,
        module: Module,
        base: Path,
        launch: Launch,
        most: int | None,
    ) -> None:
        self._venv, self._marker, self._base, self._launch = venv, module.marker, base, launch
        self._most = most
        self.checkout = base / "checkout"
        self.folders = [
            (package_folder(root, package) / "tests").relative_to(root).as_posix()
            for package in module.packages
            if (package_folder(root, package) / "tests").is_dir()
        ]
        if not self.folders:
            raise TitoError(f"{root} has no tests for module {module.number} ({module.name}).")
        for name in (*BESIDE, *self.folders):
            _copy(root / name, self.checkout / name)

    def run(
        self, which: Sequence[str], places: Mapping[tuple[str, str], str] | None = None
    ) -> tuple[Records, str | None]:
        """Run some tests, and return what was recorded and why it does not count, if so.

        Args:
            which: Folders and files of tests, and their ids.
            places: The exercises to watch for: installed file and qualified name, to name.
        """
        # The child writes here and nowhere else.
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self._base))
        results, token = folder / "results.jsonl", secrets.token_hex(16)
        results.touch()
        job = {
            "token": token,
            "results": str(results),
            "libraries": LIBRARIES,
            "most": self._most,
            "places": [[*place, exercise] for place, exercise in (places or {}).items()],
            "arguments": [*self._options(folder), *(str(self.checkout / name) for name in which)],
        }
        command = [str(self._venv.python), "-I", str(CHILD)]
        variables = clean_environment()
        given = json.dumps(job)
        try:
            ended = self._launch(command, folder=folder, environment=variables, given=given)
        except KeyboardInterrupt:
            if running := read_records(results, token).running:
                raise KeyboardInterrupt(f"Interrupted while running {running}.") from None
            raise
        records = read_records(results, token)
        return records, records.reason(ended, self._most)

    def _options(self, folder: Path) -> list[str]:
        place = ["--rootdir", str(self.checkout), "-c", str(self.checkout / "pyproject.toml")]
        scratch = ["-p", "no:cacheprovider", "--basetemp", str(folder / "pytest")]
        return [*place, *scratch, "--quiet", "--tb=native", "-m", self._marker]

    def watch(self, records: Records, teller: Teller) -> Records | None:
        """Run tests again, watching which exercises they run: failing ones, and others to compare.

        Args:
            records: What was recorded before.
            teller: Knows the exercises, and which failures tell by themselves where they come from.
        """
        failed = records.failed
        unclear = [test for test in failed if test in records.ended]
        unclear = [test for test in unclear if not teller.through(failed[test])][:WATCHED]
        if not unclear or not teller.places:
            return None
        passed = [test for test in records.tests if test not in failed]
        compared = passed[:: 1 + len(passed) // WATCHED]
        return self.run([*unclear, *compared], teller.places)[0]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.is_file():
        shutil.copyfile(source, target)


def digest_of(folder: Path) -> str:
    """The SHA-256 of all that is below a folder.

    Args:
        folder: The folder.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        kind = "link" if path.is_symlink() else "file" if path.is_file() else "folder"
        content = hashlib.sha256(path.read_bytes()).hexdigest() if kind == "file" else kind
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
