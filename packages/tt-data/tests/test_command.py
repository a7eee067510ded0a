from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from tt_data import MNIST

pytestmark = pytest.mark.module_10

Main = Callable[[Sequence[str]], int]


@pytest.fixture
def data() -> Main:
    """The command as `tito` finds it."""
    (entry_point,) = entry_points(group="tito.commands", name="data")
    main: Main = entry_point.load()
    return main


def test_list(
    data: Main,
    mnist_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TT_DATA_HOME", str(mnist_dir))
    (mnist_dir / "fashion-mnist").mkdir()
    (mnist_dir / "mnist" / "t10k-labels-idx1-ubyte").rename(
        mnist_dir / "fashion-mnist" / "t10k-labels-idx1-ubyte"
    )
    assert data(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"data sets in {mnist_dir}"
    assert [line.split() for line in lines[1:3]] == [
        ["digits", "ships", "with", "tt-data"],
        ["tiny-shakespeare", "ships", "with", "tt-data"],
    ]
    mnist, fashion, cifar = lines[3:]
    assert "mnist" in mnist
    assert "without t10k-labels-idx1-ubyte.gz; 'tito data fetch mnist' downloads it" in mnist
    assert "without train-images-idx3-ubyte.gz, train-labels" in fashion
    assert "cifar-10" in cifar
    assert "not there; 'tito data fetch cifar-10' downloads it (170 MB in all)" in cifar


def test_verify(data: Main, mnist_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data-dir", str(mnist_dir), "verify"]
    assert data(options) == 0
    assert capsys.readouterr().out.splitlines() == [
        "digits: in order",
        "tiny-shakespeare: in order",
        "mnist: in order, 20 images to train with and 7 to test",
        "fashion-mnist: not there",
        "cifar-10: not there",
    ]
    broken = mnist_dir / "mnist" / "t10k-labels-idx1-ubyte"
    broken.write_bytes(b"")
    assert data([*options, "digits", "MNIST"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == "digits: in order"
    assert second.startswith(f"mnist: {broken} is malformed: it is cut short")
    assert data([*options, "CIFAR10"]) == 1
    assert "cifar-10: data_batch_1.bin is not in" in capsys.readouterr().out


def test_fetch(
    data: Main,
    mirrors: Any,
    mnist_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--data-dir", str(mnist_dir), "fetch"]
    assert data([*options, "digits", "mnist"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "digits: ships with tt-data, nothing to fetch",
        f"mnist: in {mnist_dir / 'mnist'}",
    ]
    monkeypatch.setattr(MNIST, "mirrors", (mirrors.folder("503"),))
    (mnist_dir / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    assert data([*options, "mnist"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("tito data: train-labels-idx1-ubyte.gz could not be downloaded")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "imagenet"], "there is no data set 'imagenet'; there are digits, tiny"),
        (["fetch"], "NAME"),
        ([], "ACTION"),
    ],
)
def test_bad_arguments(
    data: Main, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        data(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
