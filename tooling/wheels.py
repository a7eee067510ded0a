"""Wheels of every package in ``dist/``, and the constraints that pin the packages to them.

``dist/constraints.txt`` names each wheel by its URL. An installer that reads it takes a package of
this workspace from that file or not at all, whatever the indexes offer.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tooling.packages import Package, WorkspaceError, requirement_name

CONSTRAINTS = "constraints.txt"
_DIGEST = ".sources"


def sources_digest(packages: Iterable[Package]) -> str:
    """Return a hash of everything that goes into the wheels."""
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted([*package.path.glob("*"), *package.path.glob("src/**/*")]):
            if file.is_file() and file.parent.name != "__pycache__":
                name = f"{package.name}/{file.relative_to(package.path).as_posix()}"
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def up_to_date(packages: Iterable[Package], dist: Path) -> bool:
    """Tell whether the wheels in ``dist`` were built from the sources as they are now."""
    packages = tuple(packages)
    if not (dist / _DIGEST).is_file() or len(list(dist.glob("*.whl"))) != len(packages):
        return False
    return (dist / _DIGEST).read_text(encoding="utf-8") == sources_digest(packages)


def publish(
    packages: Iterable[Package], dist: Path, build: Callable[[Package, Path], object]
) -> None:
    """Build every package and put the wheels and the constraints into ``dist``.

    Each file appears by an atomic rename, so that a process that installs at the same time reads
    the old file or the new one, never half of one.

    Args:
        packages: The packages to build.
        dist: The folder of the result.
        build: Builds the wheel of the package that it is given into the folder that it is given.

    Raises:
        WorkspaceError: When a package did not give exactly one wheel.
    """
    packages = tuple(packages)
    digest = sources_digest(packages)  # before the build: a later edit makes the wheels stale
    with tempfile.TemporaryDirectory(dir=dist, prefix=".build-") as folder:
        new = Path(folder)
        for package in packages:
            build(package, new)
        built = {requirement_name(wheel.name.partition("-")[0]): wheel for wheel in new.iterdir()}
        if built.keys() != {package.name for package in packages}:
            raise WorkspaceError(
                f"expected one wheel for each of {', '.join(p.name for p in packages)}, "
                f"got {', '.join(sorted(wheel.name for wheel in built.values())) or 'none'}"
            )
        for wheel in built.values():
            os.replace(wheel, dist / wheel.name)
        names = {wheel.name for wheel in built.values()}
        lines = [f"{name} @ {(dist / built[name].name).as_uri()}\n" for name in sorted(built)]
        (new / CONSTRAINTS).write_text("".join(lines), encoding="utf-8")
        os.replace(new / CONSTRAINTS, dist / CONSTRAINTS)
        for wheel in dist.glob("*.whl"):
            if wheel.name not in names:
                wheel.unlink()
        (new / _DIGEST).write_text(digest, encoding="utf-8")
        os.replace(new / _DIGEST, dist / _DIGEST)


@contextmanager
def locked(dist: Path) -> Iterator[None]:
    """Let one process at a time build into ``dist``; the others wait for it."""
    dist.mkdir(exist_ok=True)
    with FileLock(dist / ".lock"):
        yield
