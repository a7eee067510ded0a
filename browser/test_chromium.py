"""Which browser is taken, and what is said where there is none."""

from pathlib import Path

import pytest

from browser.chromium import NAMES, VARIABLE, find_browser


def program(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a browser."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)


def test_without_a_browser_it_fails_and_says_what_to_install() -> None:
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        find_browser()


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_on_the_path_is_found(name: str, tmp_path: Path) -> None:
    path = program(tmp_path, name)
    assert find_browser() == path


def test_the_one_that_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "chromium")
    monkeypatch.setenv(VARIABLE, program(tmp_path, "mine"))
    assert find_browser() == str(tmp_path / "mine")
    monkeypatch.setenv(VARIABLE, "nowhere")
    with pytest.raises(pytest.fail.Exception, match="'nowhere', which is no program"):
        find_browser()
