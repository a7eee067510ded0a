"""The course's map, `curriculum.toml`: each module's packages, marker and exercises."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tt_tito._errors import TitoError

FILE = "curriculum.toml"
CAPSTONE = "capstone"  # the project of module 20: a folder of its own, beside those of packages/

KEYS = ("name", "packages", "marker", "exercises")
NUMBER = re.compile(r"\d\d")
NAME = re.compile(r"[a-z][a-z0-9_]*")
PACKAGE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the course.

    Attributes:
        number: Two digits, such as ``"02"``.
        name: Its name, such as ``"tensor"``.
        packages: The packages that it builds, lowest first.
        marker: The pytest marker of its tests.
        exercises: The functions to write, each by its qualified name.
    """

    number: str
    name: str
    packages: tuple[str, ...]
    marker: str
    exercises: tuple[str, ...]

    def exercises_in(self, package: str) -> tuple[str, ...]:
        """Return the exercises that stand in one package.

        Args:
            package: The package's name, such as ``"tt-nn"``.

        Example:
            >>> exercises = ("tt_tensor.relu", "tt_nn.ReLU.forward")
            >>> module = Module("03", "activations", ("tt-tensor", "tt-nn"), "module_03", exercises)
            >>> module.exercises_in("tt-nn")
            ('tt_nn.ReLU.forward',)
        """
        return tuple(name for name in self.exercises if package_of(name) == package)

    @property
    def guide(self) -> str:
        """The path of its guide in the checkout, with forward slashes."""
        return f"docs/modules/{self.number}_{self.name}.md"


@dataclass(frozen=True, slots=True)
class Curriculum:
    """The modules of a checkout, in order.

    Attributes:
        root: The checkout's folder.
        modules: The modules by number.
    """

    root: Path
    modules: tuple[Module, ...]

    def module(self, number: str) -> Module:
        """Find a module by its number; ``2`` and ``02`` are the same.

        Args:
            number: The number.

        Raises:
            TitoError: If there is no such module.
        """
        for module in self.modules:
            if module.number == number.zfill(2):
                return module
        known = ", ".join(module.number for module in self.modules)
        raise TitoError(f"There is no module {number!r}; there are {known}.")

    def of_package(self, package: str) -> tuple[Module, ...]:
        """Return the modules that build a package.

        Args:
            package: The package's name, such as ``"tt-nn"``.
        """
        return tuple(module for module in self.modules if package in module.packages)

    def beneath(self, packages: Iterable[str]) -> tuple[str, ...]:
        """Return packages of the course and those that they depend on, lowest first.

        Only what a package cannot do without counts, not its extras.

        Args:
            packages: Their names.

        Raises:
            TitoError: If a package's ``pyproject.toml`` is missing or malformed.
        """
        found: list[str] = []
        for package in packages:
            if package not in found:
                below = self.beneath(self._dependencies(package))
                found += [name for name in (*below, package) if name not in found]
        return tuple(found)

    def later(self, number: str) -> tuple[str, ...]:
        """Return the exercises that a module must stand without: those of later modules.

        A later module has a higher number; but where it belongs to a package that this module's
        packages import, it may be used.

        Args:
            number: The module's number.
        """
        module = self.module(number)
        return tuple(
            exercise
            for other in self.modules
            if other.number > module.number
            for package in module.packages
            for exercise in other.exercises_in(package)
        )

    def _dependencies(self, package: str) -> list[str]:
        file = package_folder(self.root, package) / "pyproject.toml"
        project = _read_toml(file).get("project")
        entries = project.get("dependencies", []) if isinstance(project, dict) else None
        if not isinstance(entries, list):
            raise TitoError(f"{file}: [project] has no list 'dependencies'.")
        try:
            names = [canonicalize_name(Requirement(entry).name) for entry in entries]
        except (InvalidRequirement, TypeError) as error:
            raise TitoError(f"{file}: a dependency is not a requirement: {error}.") from error
        return [name for name in names if name.startswith("tt-")]


def read_curriculum(root: Path) -> Curriculum:
    """Read the modules of a checkout.

    Args:
        root: The folder that holds ``curriculum.toml``.

    Raises:
        TitoError: If the file is missing or malformed; the message names what is wrong.
    """
    file = root / FILE
    table = _read_toml(file)
    if unknown := sorted(table.keys() - {"module"}):
        raise TitoError(f"{file}: {unknown[0]!r} is not known; it holds tables [module.NN] only.")
    entries = table.get("module")
    if not isinstance(entries, dict) or not entries:
        raise TitoError(f"{file} names no module; each is a table such as [module.02].")
    modules = tuple(_module(file, number, entry) for number, entry in entries.items())
    _check_order(file, modules)
    return Curriculum(root, modules)


def package_of(exercise: str) -> str:
    """Return the name of the package that an exercise stands in.

    Args:
        exercise: Its qualified name.

    Example:
        >>> package_of("tt_nn.Linear.forward")
        'tt-nn'
    """
    return exercise.partition(".")[0].replace("_", "-")


def package_folder(root: Path, package: str) -> Path:
    """Return the folder of a package's project in a checkout; it need not exist.

    Args:
        root: The checkout's folder.
        package: The package's name, or ``"capstone"``.

    Example:
        >>> package_folder(Path("checkout"), "tt-nn").as_posix()
        'checkout/packages/tt-nn'
        >>> package_folder(Path("checkout"), "capstone").as_posix()
        'checkout/capstone'
    """
    return root / CAPSTONE if package == CAPSTONE else root / "packages" / package


def _read_toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TitoError(
            f"{file} is missing. Change into a checkout of the repository, or name it with --root."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TitoError(f"{file} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise TitoError(f"{file} is not valid TOML: {error}.") from error


def _module(file: Path, number: str, entry: object) -> Module:
    where = f"{file}: module {number}"
    if not NUMBER.fullmatch(number):
        raise TitoError(f"{where}: the number must be two digits, as in [module.02].")
    if not isinstance(entry, dict):
        raise TitoError(f"{where} must be a table with {', '.join(KEYS)}; got {entry!r}.")
    if missing := [key for key in KEYS if key not in entry]:
        raise TitoError(f"{where} has no {missing[0]!r}; a module has {', '.join(KEYS)}.")
    if unknown := sorted(entry.keys() - set(KEYS)):
        raise TitoError(f"{where} has {unknown[0]!r}; a module has only {', '.join(KEYS)}.")
    name = _text(where, entry, "name", NAME, "tensor")
    marker = _text(where, entry, "marker", NAME, "module_02")
    packages = _texts(where, entry, "packages", PACKAGE, "tt-nn")
    exercises = _texts(where, entry, "exercises", None, "tt_nn.Linear.forward")
    for exercise in exercises:
        parts = exercise.split(".")
        if len(parts) < 2 or not all(part.isidentifier() for part in parts):
            raise TitoError(
                f"{where}: the exercise {exercise!r} is not the qualified name of a function, such "
                "as 'tt_nn.Linear.forward'."
            )
        if package_of(exercise) not in packages:
            raise TitoError(
                f"{where}: the exercise {exercise!r} stands in {package_of(exercise)}, which is "
                f"not among the module's packages ({', '.join(packages)})."
            )
    return Module(number, name, packages, marker, exercises)


def _text(
    where: str, entry: Mapping[str, object], key: str, form: re.Pattern[str], example: str
) -> str:
    value = entry[key]
    if not isinstance(value, str) or not form.fullmatch(value):
        raise TitoError(f"{where}: {key} must be a string such as {example!r}; got {value!r}.")
    return value


def _texts(
    where: str, entry: Mapping[str, object], key: str, form: re.Pattern[str] | None, example: str
) -> tuple[str, ...]:
    values = entry[key]
    if not isinstance(values, list) or not values:
        raise TitoError(f"{where}: {key} must be a list that is not empty; got {values!r}.")
    for value in values:
        if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
            raise TitoError(f"{where}: {key} must hold strings such as {example!r}; got {value!r}.")
    return tuple(values)


def _check_order(file: Path, modules: tuple[Module, ...]) -> None:
    """Refuse modules out of order, and names, markers and exercises that are given twice."""
    numbers = [module.number for module in modules]
    for before, after in pairwise(numbers):
        if after < before:
            raise TitoError(f"{file}: module {after} stands after module {before}.")
    seen: dict[tuple[str, str], str] = {}
    for module in modules:
        for what in (
            ("name", module.name),
            ("marker", module.marker),
            *(("exercise", exercise) for exercise in module.exercises),
        ):
            if what in seen:
                where = f"modules {seen[what]} and {module.number}"
                if seen[what] == module.number:
                    where = f"module {module.number}, twice"
                raise TitoError(f"{file}: the {what[0]} {what[1]!r} is given by {where}.")
            seen[what] = module.number
