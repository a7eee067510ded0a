"""Clean environments in which every `tt-*` is a wheel named by its URL, and is proven to be it.

Constraints name the wheel of each package of the course, the learner's where she has one. An
installer that reads them takes a package from that file or not at all, whatever the indexes offer.
What was installed is then compared with the wheels, by the installer's own record
(``direct_url.json``, PEP 610) and byte for byte.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from tt_tito._errors import TitoError

from ._build import build_wheel, course_packages, needed
from ._process import Ended, clean_environment, launch
from ._progress import doing

Owner = Literal["mine", "course"]


@dataclass(frozen=True, slots=True)
class Source:
    """A `tt-*` distribution that is installed, and the wheel that it was shown to come from.

    Attributes:
        name: The distribution's name.
        version: Its version.
        owner: Whose it is: the learner's (``mine``) or the course's.
        wheel: The wheel.
        sha256: The wheel's digest.
    """

    name: str
    version: str
    owner: Owner
    wheel: Path
    sha256: str


class Venv:
    """A virtual environment.

    Args:
        folder: Its folder.
        trusted: Whether what runs in it may share files with the installer's cache. If not, each
            file is a copy, so that code in it cannot change what others install. All but the
            learner's files are compiled then: hers would be by a process that nothing limits.
    """

    def __init__(self, folder: Path, *, trusted: bool = True) -> None:
        self.folder = folder
        self.trusted = trusted
        self.sources: tuple[Source, ...] = ()

    @property
    def python(self) -> Path:
        """Its Python."""
        inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return self.folder / inside

    @property
    def site(self) -> Path:
        """The folder that packages are installed in."""
        base = str(self.folder)
        return Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))

    def create(self) -> None:
        """Make it, with the Python that runs this and without any package."""
        if uv := find_uv():
            options = ("--quiet", "--no-project", "--python", sys.executable)
            _run([*uv, "venv", *options, str(self.folder)], self.folder.parent)
        else:
            bare = ["--without-pip"] if _has("pip") else []
            _run([sys.executable, "-m", "venv", *bare, str(self.folder)], self.folder.parent)

    def install(
        self, wheels: Mapping[str, Path], *requirements: str, mine: Sequence[str] = ()
    ) -> None:
        """Install requirements with every `tt-*` from the wheels given, and prove it.

        Args:
            wheels: The wheel of each package of the course, by the package's name.
            *requirements: What to install.
            mine: The names of those wheels that are the learner's.

        Raises:
            TitoError: If something cannot be installed, or is not what it was to be.
        """
        constraints = self.folder / "constraints.txt"
        lines = [f"{name} @ {wheel.absolute().as_uri()}\n" for name, wheel in wheels.items()]
        constraints.write_text("".join(lines), encoding="utf-8")
        _run([*self._installer(), "-c", str(constraints), *requirements], self.folder)
        self.sources = tuple(self._prove(wheels, mine))
        if not self.trusted:
            self._compile_all_but([wheels[name] for name in mine])

    def _installer(self) -> list[str]:
        if uv := find_uv():
            apart = [] if self.trusted else ["--link-mode", "copy", "--no-compile-bytecode"]
            return [*uv, "pip", "install", "--quiet", "--python", str(self.python), *apart]
        quiet = ["install", "--quiet", "--disable-pip-version-check"]
        if not self.trusted:
            quiet.append("--no-compile")
        if _has("pip"):
            return [sys.executable, "-P", "-m", "pip", "--python", str(self.python), *quiet]
        return [str(self.python), "-P", "-m", "pip", *quiet]

    def _compile_all_but(self, wheels: Sequence[Path]) -> None:
        """Compile what is installed, since the environment may be read-only when it is used."""
        folders = {self.site / name for wheel in wheels for name in _top_level(wheel)}
        command = [sys.executable, "-P", "-m", "compileall", "-qq", "-j", "0", str(self.site)]
        if folders:
            command += ["-x", "|".join(rf"{re.escape(str(path))}([/\\]|$)" for path in folders)]
        # What cannot be compiled is a file of a library that no one imports.
        launch(command, folder=self.folder, environment=clean_environment())

    def _prove(self, wheels: Mapping[str, Path], mine: Sequence[str]) -> Iterator[Source]:
        for distribution in sorted(distributions(path=[str(self.site)]), key=lambda d: d.name):
            name = canonicalize_name(distribution.name)
            if name not in wheels and not name.startswith("tt-"):
                continue
            wheel = wheels.get(name)
            reason = "is no package of the course" if wheel is None else None
            if wheel is not None:
                reason = stranger(distribution, wheel) or difference(self.site, wheel)
            if wheel is None or reason:
                raise TitoError(
                    f"{name} {distribution.version}, as it was installed, {reason}. Nothing was "
                    "run. Look for an index or a setting that offers a package of that name."
                )
            owner: Owner = "mine" if name in mine else "course"
            yield Source(name, distribution.version, owner, wheel, _sha256(wheel))


def stranger(distribution: Distribution, wheel: Path) -> str | None:
    """Say why a distribution did not come from a wheel, by the installer's record, if so."""
    record = distribution.read_text("direct_url.json")
    if record is None:
        return "came from an index"
    try:
        entry = json.loads(record)
        url = urlsplit(str(entry["url"]))
        archive = entry.get("archive_info", {})
        digest = archive.get("hashes", {}).get("sha256")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "has a damaged direct_url.json"
    if url.scheme != "file" or Path(url2pathname(url.path)).resolve() != wheel.resolve():
        return f"came from {entry['url']}"
    if digest is not None and digest != _sha256(wheel):
        return f"came from another state of {wheel.name}"
    return None


def difference(site: Path, wheel: Path) -> str | None:
    """Say how what is installed differs from what a wheel holds, if it does."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    packages = _top_level(wheel)
    for name, content in members.items():
        if name.endswith((".dist-info/RECORD", "/")):  # RECORD is the installer's to write
            continue
        path = site / name
        if not path.is_file() or path.read_bytes() != content:
            return f"is not what its wheel holds: {name} differs"
    for package in sorted(packages):
        for path in (site / package).rglob("*"):
            name = path.relative_to(site).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and name not in members:
                return f"has the file {name}, which its wheel does not hold"
    return None


@contextmanager
def environment(
    root: Path,
    requirements: Sequence[str],
    mine: Mapping[str, Path],
    *,
    cache: Path,
    trusted: bool = True,
    keep: Path | None = None,
) -> Iterator[Venv]:
    """Make a clean environment with exactly some requirements; it is gone afterwards.

    Args:
        root: The checkout.
        requirements: What to install.
        mine: The learner's packages: name to folder. They take the place of the course's.
        cache: Where wheels are kept.
        trusted: False where code of strangers will run in it (see `Venv`).
        keep: Where to make it, to stay; a temporary folder if None.

    Raises:
        TitoError: If a package cannot be built or installed.
    """
    packages = course_packages(root)
    wanted = needed(packages, requirements)
    wheels = {
        name: build_wheel(mine[name], cache / "mine", project=folder)
        if name in mine and name in wanted
        else build_wheel(folder, cache / "course")
        for name, folder in packages.items()
        if name in wanted or name.startswith("tt-")  # no index may offer what is not wanted either
    }
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as temporary:
        folder = keep or Path(temporary, "environment")
        venv = Venv(folder.resolve(), trusted=trusted)
        with doing("making a clean environment"):
            venv.create()
            venv.install(wheels, *requirements, mine=tuple(wanted & mine.keys()))
        yield venv


def find_uv() -> list[str] | None:
    """The command that runs uv, if it is on the PATH or a package beside this one."""
    if path := shutil.which("uv"):
        return [path]
    return [sys.executable, "-P", "-m", "uv"] if _has("uv") else None


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run(command: list[str], folder: Path) -> Ended:
    folder.mkdir(parents=True, exist_ok=True)
    ended = launch(command, folder=folder, environment=clean_environment())
    if ended.code != 0:
        raise TitoError(
            "The environment cannot be made: "
            f"{Path(command[0]).name} ended with {ended.code}.\n{ended.output.strip()}"
        )
    return ended


def _top_level(wheel: Path) -> set[str]:
    """The names in site-packages of what a wheel holds, beside its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    return {name.partition("/")[0] for name in names if ".dist-info/" not in name}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
