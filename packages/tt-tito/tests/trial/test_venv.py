"""Clean environments: what is installed in them is what was meant, and that is proven."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tooling.index import served, write_index
from tt_tito._errors import TitoError
from tt_tito.trial import _venv
from tt_tito.trial._venv import Venv, difference, environment, stranger
from wheel_files import make_wheel

pytestmark = pytest.mark.environments

HIGHER = "0.1.99"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An index that offers every package of the course in a higher version."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    names = ("tt-tensor", "tt-autograd", "tt-nn")
    write_index([make_wheel(folder, name, HIGHER) for name in names], folder / "index")
    with served(folder / "index") as address:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{address}/simple/")
        monkeypatch.setenv("UV_INDEX", f"{address}/simple/")
        yield


@pytest.fixture(params=["uv", "pip"])
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to install, where it is to be had."""
    if request.param == "pip":
        monkeypatch.setattr(_venv, "find_uv", lambda: None)
    elif _venv.find_uv() is None:
        pytest.skip("needs uv")
    return str(request.param)


@pytest.fixture
def hers(course: Path, tmp_path: Path) -> Path:
    """A learner's tt-tensor."""
    folder = tmp_path / "her workspace" / "tt-tensor"
    shutil.copytree(course / "packages" / "tt-tensor" / "src", folder / "src")
    with (folder / "src" / "tt_tensor" / "__init__.py").open("a") as file:
        file.write("mine = True\n")
    return folder


def test_hers_where_she_has_them_and_the_courses_elsewhere(
    course: Path,
    hers: Path,
    tmp_path: Path,
    installer: str,
    hostile: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign = tmp_path / "foreign" / "tt_nn"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("raise SystemExit('foreign')")
    monkeypatch.setenv("PYTHONPATH", str(foreign.parent))
    requirements = ["tt-nn>=0.1,<0.2"]
    with environment(course, requirements, {"tt-tensor": hers}, cache=tmp_path / "cache") as venv:
        owners = {source.name: (source.owner, source.version) for source in venv.sources}
        assert owners == {
            "tt-autograd": ("course", "0.1.0"),
            "tt-nn": ("course", "0.1.0"),
            "tt-tensor": ("mine", "0.1.0"),
        }
        program = "import tt_nn, tt_tensor; print(tt_tensor.mine)"
        command = [str(venv.python), "-I", "-c", program]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "True\n"
        folder = venv.folder
    assert not folder.exists()


def test_what_is_not_needed_is_not_installed_nor_built(
    course: Path, hers: Path, tmp_path: Path
) -> None:
    shutil.rmtree(hers / "src")  # it could not be built
    mine = {"tt-nn": hers}
    with environment(course, ["tt-tensor"], mine, cache=tmp_path / "cache") as venv:
        assert [source.name for source in venv.sources] == ["tt-tensor"]


def test_an_environment_may_be_kept(course: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with environment(course, ["tt-tensor"], {}, cache=tmp_path / "cache", keep=keep):
        pass
    assert Venv(keep).python.is_file()


def test_what_a_stranger_wrote_is_not_compiled_outside_of_a_guard(
    course: Path, hers: Path, tmp_path: Path, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_COMPILE_BYTECODE", "1")
    mine = {"tt-tensor": hers}
    cache = tmp_path / "cache"
    with environment(course, ["tt-autograd"], mine, cache=cache, trusted=False) as venv:
        compiled = {path.parent.parent.name for path in venv.site.rglob("__pycache__/*.pyc")}
        assert "tt_autograd" in compiled
        assert "tt_tensor" not in compiled


def test_what_cannot_be_installed_says_why(course: Path, tmp_path: Path) -> None:
    wanted = ["tt-tensor>=3"]
    with (
        pytest.raises(TitoError, match=r"(?s)The environment cannot be made.*tt-tensor"),
        environment(course, wanted, {}, cache=tmp_path / "cache"),
    ):
        pass


# --- The proof ------------------------------------------------------------------------------------


@dataclass
class Case:
    """A distribution installed by hand, and the wheel that it is said to come from."""

    site: Path
    wheel: Path

    def record(self, content: object) -> Distribution:
        info = self.site / "tt_a-0.1.0.dist-info"
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (info / "direct_url.json").write_text(text)
        return Distribution.at(info)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    wheel = make_wheel(tmp_path, "tt-a", "0.1.0", source="x = 1\n")
    site = tmp_path / "site"
    shutil.unpack_archive(wheel, site, "zip")
    return Case(site, wheel)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "came from an index"),
        ("{", "damaged"),
        ([1], "damaged"),
        ({"url": "https://example.org/tt_a-0.1.0-py3-none-any.whl"}, "came from https://example"),
        ({"url": "file:///elsewhere/tt_a-0.1.0-py3-none-any.whl"}, "came from file:///elsewhere"),
        ("hash", "another state of tt_a-0.1.0"),
    ],
)
def test_a_stranger_is_told(case: Case, record: object, reason: str) -> None:
    if record == "hash":
        archive = {"hashes": {"sha256": "0" * 64}}
        record = {"url": case.wheel.as_uri(), "archive_info": archive}
    assert reason in str(stranger(case.record(record), case.wheel))


def test_what_came_from_the_wheel_is_none(case: Case) -> None:
    assert stranger(case.record({"url": case.wheel.as_uri()}), case.wheel) is None
    assert difference(case.site, case.wheel) is None


def test_a_changed_a_missing_and_an_added_file_are_told(case: Case) -> None:
    module = case.site / "tt_a" / "__init__.py"
    added = case.site / "tt_a" / "more.py"
    added.write_text("")
    assert "has the file tt_a/more.py" in str(difference(case.site, case.wheel))
    added.unlink()
    module.write_text("x = 2\n")
    assert "tt_a/__init__.py differs" in str(difference(case.site, case.wheel))
    module.unlink()
    assert "tt_a/__init__.py differs" in str(difference(case.site, case.wheel))
