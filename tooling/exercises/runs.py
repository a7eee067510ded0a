"""Runs of pytest on a module's tests, with other text in some files of its packages."""

import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tt_tito.course import (
    Curriculum,
    Module,
    blanked,
    encode,
    package_folder,
    package_of,
    preceded,
)

LIMIT = 900  # seconds for one run, after which it counts as one that does not end
BESIDE = ("recorder.py", "touched.py")  # what stands beside the packages in a run

Changes = Mapping[str, Mapping[Path, str]]  # by package: the new text of its files


@dataclass(frozen=True)
class Run:
    """How a run of tests ended.

    Attributes:
        tests: The ids of the tests that were chosen.
        failed: What went wrong, by the id of the test.
        skipped: The ids of those that were skipped.
        broken: Why files could not be collected, and why the run did not end.
        touched: The exercises that each test runs; under ``""`` those run outside of tests.
    """

    tests: list[str]
    failed: dict[str, str]
    skipped: list[str]
    broken: dict[str, str]
    touched: dict[str, list[str]]


class Runs:
    """Runs the tests of modules against changed packages.

    Args:
        curriculum: The modules.
        folder: Where to lay out the changed packages.
        cache: Where to keep how runs ended, by all that they depend on; None keeps nothing.
    """

    def __init__(self, curriculum: Curriculum, folder: Path, cache: Path | None = None) -> None:
        self.curriculum = curriculum
        self.root = curriculum.root
        self.folder = folder
        self.compiled = folder / "compiled"
        self.cache = cache
        self._lock = Lock()
        self._digests: dict[Path, str] = {}

    def reference(self, module: Module) -> Run:
        """Run all tests of a module on the reference, with its exercises noting who runs them."""
        notes = {
            package: preceded(
                package_folder(self.root, package),
                {
                    exercise: f'__import__("touched").touch("{exercise}")'
                    for exercise in module.exercises_in(package)
                },
            )
            for package in module.packages
        }
        return self._run(module, notes, None, first=False)

    def without(
        self,
        module: Module,
        exercises: Sequence[str],
        only: Sequence[str] | None = None,
        *,
        first: bool = False,
    ) -> Run:
        """Run tests of a module with the bodies of some exercises taken out.

        Args:
            module: The module.
            exercises: Their names.
            only: The ids of the tests; None means all.
            first: Whether to stop at the first failure.
        """
        changes = {
            package: blanked(package_folder(self.root, package), module, inside)
            for package in module.packages
            if (inside := [name for name in exercises if package_of(name) == package])
        }
        return self._run(module, changes, only, first=first)

    def _run(
        self, module: Module, changes: Changes, only: Sequence[str] | None, *, first: bool
    ) -> Run:
        if self.cache is None:
            return self._run_afresh(module, changes, only, first=first)
        kept = self.cache / f"{self._key(module, changes, only, first)}.json"
        if kept.is_file():
            return Run(**json.loads(kept.read_text(encoding="utf-8")))
        run = self._run_afresh(module, changes, only, first=first)
        if "" not in run.broken:
            self.cache.mkdir(parents=True, exist_ok=True)
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(vars(run)), encoding="utf-8")
            fresh.replace(kept)
        return run

    def _run_afresh(
        self, module: Module, changes: Changes, only: Sequence[str] | None, *, first: bool
    ) -> Run:
        with tempfile.TemporaryDirectory(
            dir=self.folder, prefix=f"{module.number}-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            packages = folder / "packages"
            packages.mkdir()
            for package, files in changes.items():
                self._lay(package, files, packages)
            for beside in BESIDE:
                shutil.copy2(Path(__file__).with_name(beside), packages)
            return self._pytest(module, folder, packages, only, first=first)

    def _pytest(
        self,
        module: Module,
        folder: Path,
        packages: Path,
        only: Sequence[str] | None,
        *,
        first: bool,
    ) -> Run:
        record, touched, output = (folder / name for name in ("record", "touched", "output"))
        environment = {
            **{name: value for name, value in os.environ.items() if name[:7] != "PYTEST_"},
            "PYTHONPATH": os.pathsep.join([str(packages), str(self.compiled)]),
            "RECORD": str(record),
            "TOUCHED": str(touched),
        }
        if only is None:
            folders = [package_folder(self.root, package) for package in module.packages]
            paths = [f"{path.relative_to(self.root).as_posix()}/tests" for path in folders]
        else:
            (folder / "only").write_text(json.dumps(only), encoding="utf-8")
            environment["ONLY"] = str(folder / "only")
            paths = sorted({test.partition("::")[0] for test in only})
        plugins = ("-p", "touched", "-p", "recorder", "-p", "no:cacheprovider")
        command = [
            *(sys.executable, "-m", "pytest", *paths, "-m", module.marker, *plugins),
            # The root's settings hold in the capstone too, which is a project of its own.
            *("-c", str(self.root / "pyproject.toml"), f"--basetemp={folder / 'tmp'}"),
            *("-q", "--tb=native"),  # other tracebacks cost more than the tests
            *(("-x",) if first else ()),
        ]
        with output.open("wb") as stream:
            try:
                code = subprocess.run(
                    command,
                    cwd=self.root,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    timeout=LIMIT,
                ).returncode
            except subprocess.TimeoutExpired:
                return Run([], {}, [], {"": f"pytest did not end in {LIMIT} seconds"}, {})
        if not record.is_file():
            last = "\n".join(output.read_text(errors="replace").splitlines()[-15:])
            return Run([], {}, [], {"": f"pytest ended with code {code}:\n{last}"}, {})
        found = json.loads(record.read_text(encoding="utf-8"))
        return Run(**found, touched=_read_touched(touched))

    def _lay(self, package: str, files: Mapping[Path, str], target: Path) -> None:
        """Copy a package's modules, with their compiled forms, and put the changed files in."""
        for module in self.compile(package):
            shutil.copytree(module, target / module.name)
        for file, text in files.items():
            inside = target / file.relative_to("src")
            for stale in inside.parent.glob(f"__pycache__/{inside.stem}.*.pyc"):
                stale.unlink()
            inside.write_bytes(encode(text))

    def compile(self, package: str) -> list[Path]:
        """Return copies of a package's modules with their compiled forms beside them."""
        source = package_folder(self.root, package) / "src"
        copies = []
        with self._lock:
            for module in sorted(source.iterdir()):
                copy = self.compiled / module.name
                if not copy.is_dir():
                    shutil.copytree(module, copy, ignore=shutil.ignore_patterns("__pycache__"))
                    compileall.compile_dir(copy, quiet=2)
                copies.append(copy)
        return copies

    def _key(
        self, module: Module, changes: Changes, only: Sequence[str] | None, first: bool
    ) -> str:
        """Return a digest of all that a run depends on."""
        beneath = self.curriculum.beneath(module.packages)
        folders = {name: package_folder(self.root, name) for name in beneath}
        paths = [
            *(folder / "src" for folder in folders.values()),
            *(folders[package] / "tests" for package in module.packages),
            *(self.root / name for name in ("testing", "conftest.py", "pyproject.toml")),
            *(Path(__file__).with_name(name) for name in ("runs.py", *BESIDE)),
        ]
        parts = [sys.version, module.marker, json.dumps([module.packages, only, first])]
        parts += map(self._digest, paths)
        for package, files in sorted(changes.items()):
            parts += [f"{package}/{file}\0{text}" for file, text in sorted(files.items())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            digest = hashlib.sha256()
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(f"{file}\0".encode() + file.read_bytes() + b"\0")
            self._digests[path] = digest.hexdigest()
        return self._digests[path]


def _read_touched(file: Path) -> dict[str, list[str]]:
    """Read the exercises that each test runs, as `touched.py` notes them."""
    touched: dict[str, list[str]] = {}
    if file.is_file():
        for line in sorted(set(file.read_text(encoding="utf-8").splitlines())):
            exercise, _, test = line.partition(" ")
            touched.setdefault(test, []).append(exercise)
    return touched
