"""The learner's workspace: her packages, made from the course's and never written over.

Her packages stand in `workspace/<package>`. Beside them, in `workspace/.tito`, are the record of
what she has completed and the backups. What is new is made aside and moved to its place in one
step, and before anything of hers changes there is a backup of it: whenever a command is killed,
each file of hers is as it was, or in a backup as it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tt_tito._errors import TitoError

from ._backups import Backup, backups, copy_into, copy_verified, find_backup, new_backup, same
from tt_tito.course._curriculum import CAPSTONE, Curriculum, Module, package_folder, read_curriculum
from tt_tito.course._exercises import blanked, is_blank, locate
from tt_tito.course._sources import parse_all
from ._fingerprint import Fingerprint, Snapshot
from ._observed import divide, refuse_unsure, was_started
from ._plan import Plan, encoded, exercise_by_exercise, put_back, replace_file
from ._state import MilestoneRecord, ModuleRecord, State, locked, now, read_state, write_state
from ._update import Update, left_by_update, take_in

FOLDER = "workspace"
OWN = ".tito"  # the folder in it that is tito's own
UNFINISHED = "unfinished-"  # what folders in that begin with in which something is being made
CACHES = ("__pycache__", ".*_cache", ".nox", ".venv", ".coverage", ".hypothesis", "*.egg-info")
NOT_HERS = ("tests", "CHANGELOG.md", "dist")  # the tests that count are the course's
NOT_COPIED = ("constraints.txt", "runs", "dist")  # what the capstone's own sessions leave


@dataclass(frozen=True, slots=True)
class Change:
    """What a command did to a workspace.

    Attributes:
        made: The packages that were made, or brought back, as a whole.
        changed: The exercises in her other packages whose bodies were replaced.
        kept: The exercises in them that she had changed already, and that were left alone.
        backup: What stood there before; None if nothing did.
        source: The backup that a module was restored from.
    """

    made: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    backup: Backup | None = None
    source: Backup | None = None


class Workspace:
    """A learner's packages and what is recorded of them.

    Args:
        curriculum: The course's map.
        folder: Where her packages are; it need not exist.
    """

    def __init__(self, curriculum: Curriculum, folder: Path) -> None:
        self.curriculum = curriculum
        self.folder = folder
        self.state = self._read()

    @classmethod
    def open(cls, root: Path, folder: Path | None = None) -> Workspace:
        """Open the workspace of a checkout.

        Args:
            root: The checkout's folder.
            folder: The workspace's, in place of ``workspace`` in the checkout.

        Raises:
            TitoError: If the curriculum cannot be read.
        """
        root = root.absolute()
        return cls(read_curriculum(root), (folder or root / FOLDER).absolute())

    @property
    def root(self) -> Path:
        """The checkout's folder."""
        return self.curriculum.root

    def package(self, name: str) -> Path | None:
        """Return her folder of a package, or None if she has none.

        Args:
            name: The package's name, such as ``"tt-nn"``.
        """
        folder = self.folder / name
        return folder if folder.is_dir() else None

    def packages(self) -> dict[str, Path]:
        """Return all packages of hers, lowest number of a module first."""
        names = dict.fromkeys(
            name for module in self.curriculum.modules for name in module.packages
        )
        return {name: folder for name in names if (folder := self.package(name)) is not None}

    def has(self, module: Module) -> bool:
        """Whether all packages of a module are in the workspace and the module was started."""
        return module.number in self.state.modules and all(map(self.package, module.packages))

    def check(self, number: str) -> None:
        """Refuse a module that was not started, or whose exercises cannot be found in her files.

        Raises:
            TitoError: If it was not started, or a file of hers does not parse or has an exercise no
                more; the message names the file and the line.
        """
        module = self.curriculum.module(number)
        if not self.has(module):
            raise TitoError(
                f"Module {module.number} is not in {self.folder}. 'tito module start "
                f"{module.number}' starts it."
            )
        for package in module.packages:
            for exercise in module.exercises_in(package):
                locate(self.folder / package, exercise)

    def parse(self, packages: Iterable[str]) -> None:
        """Refuse packages of hers with a file that is not Python.

        Args:
            packages: Their names.

        Raises:
            TitoError: If a file does not parse; the message names it and the line.
        """
        for package in packages:
            parse_all(self.folder / package)

    def unwritten(self, module: Module) -> tuple[str, ...]:
        """Return the exercises of a module that are still blank in her packages.

        Raises:
            TitoError: As for ``check``.
        """
        return tuple(
            exercise
            for package in module.packages
            if (folder := self.package(package))
            for exercise in module.exercises_in(package)
            if is_blank(folder, exercise)
        )

    # --- What her code is, and what is recorded of it ---------------------------------------------

    def snapshot(self) -> Snapshot:
        """Look at her packages as they are now."""
        return Snapshot(self.curriculum, self.packages())

    def fingerprint(self, modules: Iterable[Module]) -> Fingerprint:
        """Fingerprint her code of some modules, such as those that a milestone needs."""
        return self.snapshot().fingerprint(modules)

    def module_fingerprint(self, number: str) -> Fingerprint:
        """Fingerprint her code of a module and of the earlier ones that it rests on."""
        return self.snapshot().of_module(number)

    def digest(self, number: str) -> str:
        """Return the SHA-256 of a module's fingerprint.

        Starting or solving a later module does not change it.
        """
        return self.module_fingerprint(number).digest

    def module_completed(self, number: str, fingerprint: Fingerprint, *, tests: int) -> None:
        """Record that a module's tests passed.

        Args:
            number: The module's number.
            fingerprint: The code that they passed on, taken before they ran.
            tests: How many there were.

        Raises:
            TitoError: If her code has changed since then.
        """
        module = self.curriculum.module(number)
        with self._changing():
            self._unchanged(fingerprint, self.module_fingerprint(module.number), "tests")
            before = self.state.modules.get(module.number, ModuleRecord(now()))
            record = replace(before, completed=now(), fingerprint=fingerprint, tests=tests)
            self._write(self.state.with_module(module.number, record))

    def milestone_passed(
        self,
        number: str,
        modules: Iterable[Module],
        fingerprint: Fingerprint,
        *,
        packages: Mapping[str, str],
        mode: str,
    ) -> None:
        """Record that a milestone passed on her packages.

        Args:
            number: The milestone's number.
            modules: The modules that it needs.
            fingerprint: The fingerprint of these, taken before it ran.
            packages: Whose each package was, ``"mine"`` or ``"course"``.
            mode: How it ran, such as ``"full"``.

        Raises:
            TitoError: If her code has changed since then.
        """
        with self._changing():
            self._unchanged(fingerprint, self.fingerprint(modules), "milestone")
            record = MilestoneRecord(now(), fingerprint, dict(packages), mode)
            self._write(self.state.with_milestone(number, record))

    def peeked(self, exercise: str) -> None:
        """Record that a solution was looked at before its module was completed."""
        with self._changing():
            self._write(self.state.with_peek(exercise, now()))

    def _unchanged(self, before: Fingerprint, after: Fingerprint, what: str) -> None:
        if changes := before.changes(after):
            raise TitoError(
                f"Your code changed while the {what} ran ({', '.join(changes)}), so nothing was "
                "recorded. Give the command again."
            )

    # --- Start, reset, restore, update ------------------------------------------------------------

    def start(self, number: str) -> Change:
        """Start a module: make its packages, with its exercises blank.

        In a package that she has already, only exercises that are still the course's are made
        blank. What she wrote stays, and all of the package is in a backup first. Where the module
        was started before, nothing changes, but packages that are gone are made again.

        Args:
            number: The module's number.

        Raises:
            TitoError: If a file of hers does not parse or has an exercise no more; then nothing
                has changed. Or if something cannot be written.
        """
        module = self.curriculum.module(number)
        with self._changing() as aside:
            plan = Plan(aside)
            kept: list[str] = []
            for package in module.packages:
                folder = self.package(package)
                if folder is None:
                    plan.whole[package] = self._fresh(package, module, aside)
                elif module.number not in self.state.modules:
                    ours, hers = divide(self.root, module, package, folder)
                    kept += hers
                    plan.change(package, ours, encoded(blanked(folder, module, ours)))
            backup = self._carry_out(plan, "start", module)
        return Change(tuple(plan.whole), tuple(plan.exercises), tuple(kept), backup)

    def reset(self, number: str) -> Change:
        """Make the exercises of a module blank again, and keep what she wrote in a backup.

        A package in which she started no other module is moved to the backup as it is and made
        anew. In a package with other modules, only this one's exercises change. Where nothing would
        change, no backup is made.

        Args:
            number: The module's number.

        Raises:
            TitoError: If the module was never started, or a file of hers in a package with
                other modules does not parse; then nothing has changed. Or if something cannot be
                moved or written.
        """
        module = self.curriculum.module(number)
        with self._changing() as aside:
            if module.number not in self.state.modules:
                raise TitoError(
                    f"There is nothing to reset: module {module.number} was never started in "
                    f"{self.folder}."
                )
            plan = Plan(aside)
            for package in module.packages:
                folder = self.package(package)
                if folder and self._others(package, module):
                    with exercise_by_exercise(package):
                        exercises = module.exercises_in(package)
                        written = [name for name in exercises if not is_blank(folder, name)]
                        plan.change(package, written, encoded(blanked(folder, module, written)))
                else:
                    fresh = self._fresh(package, module, aside)
                    if folder is None or not same(folder, fresh):
                        plan.whole[package] = fresh
            backup = self._carry_out(plan, "reset", module)
        return Change(tuple(plan.whole), tuple(plan.exercises), backup=backup)

    def restore(self, number: str, date: str | None = None) -> Change:
        """Bring back what a backup has of a module.

        A package in which she started no other module comes back as a whole. In a package with
        other modules, only this one's exercises come back. What they replace is in a backup first.

        Args:
            number: The module's number.
            date: The backup's date or how it begins; None means the last that a reset of the module
                made.

        Raises:
            TitoError: If there is no such backup, or a file in a package with other modules does
                not parse; then nothing has changed. Or if something cannot be moved or written.
        """
        module = self.curriculum.module(number)
        source = find_backup(self.backups(module), module.number, date)
        with self._changing() as aside:
            plan = Plan(aside)
            for package in module.packages:
                if package not in source.packages:
                    continue
                folder, kept = self.package(package), source.path / package
                if folder and self._others(package, module):
                    with exercise_by_exercise(package):
                        for exercise in module.exercises_in(package):
                            locate(folder, exercise)  # an error names her file, not a copy
                        copy_verified(folder, aside / package)
                        plan.change(package, *put_back(module, kept, aside / package))
                else:
                    copy_verified(kept, aside / package)
                    if folder is None or not same(folder, aside / package):
                        plan.whole[package] = aside / package
            backup = self._carry_out(plan, "restore", module)
        return Change(tuple(plan.whole), tuple(plan.exercises), backup=backup, source=source)

    def update(self, number: str) -> Update:
        """Take in the course's packages as they are now, for a module and for what it rests on.

        Each package that she has is made anew, with her bodies of all exercises of the modules that
        she has started, and with what only she has. What stood there is in a backup, as a whole.
        Where nothing would change, no backup is made.

        Args:
            number: The module's number.

        Raises:
            TitoError: If the module was never started, a package of it is gone, a file of hers does
                not parse, or nothing is recorded and her work cannot be told from an earlier
                version of the course; then nothing has changed. Or if something cannot be moved or
                written.
        """
        module = self.curriculum.module(number)
        packages = self.curriculum.beneath(module.packages)
        with self._changing() as aside:
            if not self._is_recorded:
                refuse_unsure(self.curriculum, module, packages, self.folder)
            if module.number not in self.state.modules:
                raise TitoError(
                    f"There is nothing to update: module {module.number} was never started in "
                    f"{self.folder}."
                )
            plan, done = Plan(aside), Update()
            for package in packages:
                hers = self.package(package)
                found = [] if hers else backups(self._backups)
                left = None if hers else left_by_update(found, package, module, self.folder)
                hers = left.path / package if left else hers
                if hers is None:
                    continue
                fresh = self._fresh(package, module, aside)
                taken = take_in(self.curriculum, package, fresh, hers, self.state.modules)
                if left or not same(hers, fresh):
                    plan.whole[package] = fresh
                    sources = (left,) if left and left not in done.sources else ()
                    done += replace(taken, sources=sources)
            return replace(done, backup=self._carry_out(plan, "update", module))

    def backups(self, module: Module) -> list[Backup]:
        """List the backups that hold a package of a module, the oldest first."""
        return [
            backup
            for backup in backups(self._backups)
            if set(backup.packages) & set(module.packages)
        ]

    def _others(self, package: str, module: Module) -> list[Module]:
        """The other modules of a package that she has started."""
        return [
            other
            for other in self.curriculum.of_package(package)
            if other != module and other.number in self.state.modules
        ]

    def _fresh(self, package: str, module: Module, aside: Path) -> Path:
        """Make the course's package aside, with the exercises of a module blank."""
        place, fresh = self.folder / package, aside / package
        if os.path.lexists(place) and not place.is_dir():
            raise TitoError(f"{place} is in the way: move it elsewhere; it is not a folder.")
        source = package_folder(self.root, package)
        if not source.is_dir():
            raise TitoError(f"{self.root} has no package {package}: {source} is missing.")
        unwanted = NOT_COPIED if package == CAPSTONE else NOT_HERS

        def ignore(folder: str, names: list[str]) -> set[str]:
            top = unwanted if Path(folder) == source else ()
            return {name for name in names if name in top or any(map(Path(name).match, CACHES))}

        # copyfile leaves times and rights behind: a checkout may be one that cannot be written.
        shutil.copytree(source, fresh, ignore=ignore, copy_function=shutil.copyfile)
        for other in (module, *self._others(package, module)):
            texts = blanked(fresh, other, other.exercises_in(package))
            for file, data in encoded(texts).items():
                (fresh / file).write_bytes(data)
        return fresh

    def _carry_out(self, plan: Plan, occasion: str, module: Module) -> Backup | None:
        """Make a backup of all that a plan touches, then do what it says."""
        touched = [name for name in (*plan.whole, *plan.files) if self.package(name)]
        backup = new_backup(self._backups, occasion, module.number) if touched else None
        for package in plan.files:
            assert backup
            copy_into(backup.path, self.folder / package)
        for package, whole in plan.whole.items():
            if backup and package in touched:
                (self.folder / package).rename(backup.path / package)
            whole.rename(self.folder / package)
        for package, files in plan.files.items():
            for file, data in files.items():
                replace_file(self.folder / package / file, data, plan.aside / file.name)
        if module.number not in self.state.modules or not self._is_recorded:
            record = self.state.modules.get(module.number, ModuleRecord(now()))
            self._write(self.state.with_module(module.number, record))
        return backup

    # --- The folder that is tito's own ------------------------------------------------------------

    @property
    def _own(self) -> Path:
        return self.folder / OWN

    @property
    def _backups(self) -> Path:
        return self._own / "backups"

    @contextmanager
    def _changing(self) -> Iterator[Path]:
        """Change the workspace alone, from the state as it is now, with an empty folder aside."""
        with locked(self._own):
            self.state = self._read()
            for left in self._own.glob(f"{UNFINISHED}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with TemporaryDirectory(
                prefix=UNFINISHED, dir=self._own, ignore_cleanup_errors=True
            ) as folder:
                yield Path(folder)

    def _write(self, state: State) -> None:
        write_state(self._own, state)
        self.state = state

    def _read(self) -> State:
        state = read_state(self._own)
        return self._observed() if state is None else state

    def _observed(self) -> State:
        """What the folders show where nothing is recorded: which modules were started."""
        started = [
            module.number
            for module in self.curriculum.modules
            if was_started(self.curriculum, module, self.folder)
        ]
        return State({number: ModuleRecord(now()) for number in started})

    @property
    def _is_recorded(self) -> bool:
        return read_state(self._own) is not None
