"""Sessions of the project: ``nox`` runs tests and typecheck, ``nox -s run`` the program."""

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "typecheck"]

PROJECT = nox.project.load_toml("pyproject.toml")
CONSTRAINTS = Path("constraints.txt")  # where the tt-* packages come from; none: your index


def install(session: nox.Session, group: str | None = None) -> None:
    """Install the project with what it needs, and what a group of its own lists."""
    held = ["-c", str(CONSTRAINTS)] if CONSTRAINTS.exists() else []
    tools = nox.project.dependency_groups(PROJECT, group) if group else ()
    session.install(*held, ".", *tools)


@nox.session
def tests(session: nox.Session) -> None:
    """Test the project as it is installed."""
    install(session, "tests")
    session.run("pytest", *session.posargs)


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types of the sources and the tests."""
    install(session, "typecheck")
    session.run("mypy", "src", "tests")


@nox.session
def run(session: nox.Session) -> None:
    """Train, measure, shrink and report; arguments after ``--`` go to ``capstone train``."""
    install(session)
    session.run("capstone", "train", *session.posargs)
