import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tooling import provenance

Install = Callable[..., None]


@pytest.fixture
def install(
    tmp_path: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Install:
    """Record a distribution as an installer does, in an environment that holds nothing else."""
    (tmp_path / "dist").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path / "site")])

    def record(name: str, version: str, url: str | None) -> None:
        info = f"site/{name.replace('-', '_')}-{version}.dist-info"
        write(f"{info}/METADATA", f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
        if url is not None:
            write(f"{info}/direct_url.json", json.dumps({"url": url, "archive_info": {}}))

    return record


def test_wheels_of_the_folder_pass(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dist = tmp_path / "dist"
    install("tt-a", "0.1.0", f"{dist.as_uri()}/tt_a-0.1.0-py3-none-any.whl")
    install("tt_b", "0.2.0", f"{dist.as_uri()}/tt_b-0.2.0-py3-none-any.whl")
    install("numpy", "2.4.0", None)
    assert provenance.main(str(dist), "tt-a") == 0
    assert capsys.readouterr().out == f"from {dist}: tt-a 0.1.0 tt-b 0.2.0\n"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "tt-b 9.0 came from an index"),
        ("https://example.org/tt_b-9.0-py3-none-any.whl", "came from https://example.org/"),
        ("{parent}/dist-of-another/tt_b.whl", "came from file:///"),
        ("{parent}/tt_b.whl", "came from file:///"),
    ],
)
def test_a_stranger_fails_and_is_named(
    install: Install,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    url: str | None,
    reason: str,
) -> None:
    dist = tmp_path / "dist"
    install("tt-a", "0.1.0", f"{dist.as_uri()}/tt_a-0.1.0-py3-none-any.whl")
    install("tt-b", "9.0", url and url.format(parent=tmp_path.as_uri()))
    assert provenance.main(str(dist)) == 1
    assert reason in capsys.readouterr().err


def test_a_package_that_is_not_there_fails(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert provenance.main(str(tmp_path / "dist"), "tt-a") == 1
    assert "tt-a is not installed" in capsys.readouterr().err
