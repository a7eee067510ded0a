"""The reference tasks: for each a model, its weights, the data it is judged by, and how.

A reference model is written in the language of submissions, so that both are made in one way. Its
weights are those that ship with the repository beside the milestones' scripts, found as the
scripts are: in the checkout that the current folder is in, or that ``--root`` names.

The data come from tt-data. tt-tito runs the milestones of learners who have not reached that stage,
so it does not depend on it: the extra ``tt-tito[benchmark]`` brings it, and it is imported by name
when a task is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn
from tt_autograd import Generator
from tt_tito._errors import MissingDataError, TitoError

from ._checks import Rejected
from ._language import build
from ._tensors import digest

Quality = Literal["accuracy", "loss"]


@dataclass(frozen=True, slots=True)
class Data:
    """What a model is judged by, as it is kept.

    Attributes:
        inputs: Images (N, C, H, W), uint8, or tokens (N, T), int64.
        targets: Labels (N,), or the token after each (N, T).
        divisor: What pixels are divided by; 0 for tokens.
        mean: What is then taken off each channel.
        std: What is then divided by in each channel.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    divisor: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest of inputs and targets."""
        return digest({"inputs": self.inputs, "targets": self.targets})

    def prepared(self, part: slice) -> NDArray[Any]:
        """Inputs as a model is called with them."""
        inputs = self.inputs[part]
        if not self.divisor:
            return inputs
        shape = (-1, 1, 1)  # against (N, C, H, W)
        mean, std = (np.array(each, np.float32).reshape(shape) for each in (self.mean, self.std))
        prepared: NDArray[Any] = (inputs.astype(np.float32) / np.float32(self.divisor) - mean) / std
        return prepared


@dataclass(frozen=True, slots=True)
class Task:
    """A task that models compete in.

    Attributes:
        name: Its name.
        title: The same in words.
        model: The reference model, in the language of submissions.
        weights: The file of its weights, in the checkout.
        prefix: What their names in it begin with.
        data: Reads the data, given the folder that the user named, if any.
        quality: What judges a model: ``"accuracy"``, or ``"loss"`` in nats.
        batch: How many inputs are given at once where throughput is measured.
    """

    name: str
    title: str
    model: Mapping[str, object]
    weights: str
    prefix: str
    data: Callable[[Path | None], Data]
    quality: Quality
    batch: int

    def reference(self, root: Path) -> nn.Module:
        """Make the reference model with its weights, in single precision.

        Args:
            root: The checkout.

        Raises:
            TitoError: The weights are not there, or not those of this model.
        """
        path = root / self.weights
        if not path.is_file():
            raise MissingDataError(
                f"The reference weights of {self.name}, {path}, are not there. They ship with the "
                "repository; name a checkout that has them with --root."
            )
        try:
            state = nn.load(path)
            model = build(self.model)
            own = {k.removeprefix(self.prefix): v for k, v in state.items()
                   if k.startswith(self.prefix)}  # fmt: skip
            model.load_state_dict(own)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, Rejected) as error:
            raise TitoError(f"The reference weights {path} do not fit: {error}") from error
        return model.eval()


def _layer(name: str, **arguments: object) -> dict[str, object]:
    return {"layer": name, **arguments}


def _sequential(*layers: Mapping[str, object]) -> dict[str, object]:
    return _layer("Sequential", layers=list(layers))


def _linear(inputs: int, outputs: int) -> dict[str, object]:
    return _layer("Linear", in_features=inputs, out_features=outputs)


def _conv(inputs: int, outputs: int, kernel: int) -> dict[str, object]:
    sizes = {"in_channels": inputs, "out_channels": outputs, "kernel_size": kernel}
    return _layer("Conv2d", **sizes, padding=kernel // 2)


def _pool(size: int) -> dict[str, object]:
    return _layer("MaxPool2d", kernel_size=size)


def _norm(kind: str, features: int) -> dict[str, object]:
    return _layer(kind, num_features=features)


_RELU, _FLATTEN = _layer("ReLU"), _layer("Flatten")

_MLP = _sequential(
    _FLATTEN, _linear(64, 128), _RELU, _linear(128, 64), _RELU, _linear(64, 10)
)  # fmt: skip
_CNN = _sequential(
    *(_conv(1, 16, 3), _RELU, _pool(2)),
    *(_conv(16, 32, 3), _RELU, _pool(2)),
    *(_FLATTEN, _linear(128, 10)),
)
_CIFAR = _sequential(
    *(_conv(3, 64, 5), _RELU, _pool(4), _norm("BatchNorm2d", 64)),
    *(_conv(64, 128, 5), _RELU, _pool(2), _norm("BatchNorm2d", 128)),
    *(_FLATTEN, _linear(2048, 352), _norm("BatchNorm1d", 352), _RELU, _linear(352, 10)),
)
_BLOCK = 128  # tokens that the language model sees
_GPT = _layer("ModernGPT", vocab_size=65, block_size=_BLOCK, n_layer=4, n_head=4, n_embd=128)


def _tt_data() -> Any:
    if find_spec("tt_data") is None:
        raise TitoError(
            "The benchmark's data come from tt-data, which is not installed: "
            "pip install 'tt-tito[benchmark]'"
        )
    return import_module("tt_data")


def _digits(mean: float) -> Callable[[Path | None], Data]:
    """The digits that milestones 03 and 04 hold out."""

    def read(folder: Path | None) -> Data:
        tt_data = _tt_data()
        *_, held_out = tt_data.random_split(tt_data.Digits(), [0.7, 0.1, 0.2], Generator(1986))
        images, labels = (
            np.asarray(each.numpy()) for each in held_out.gather(np.arange(len(held_out)))
        )
        return Data(images, labels, 16.0, (mean,), (0.376,))

    return read


def _cifar(folder: Path | None) -> Data:
    """The test images of CIFAR-10."""
    tt_data = _tt_data()
    try:
        test = tt_data.CIFAR10(train=False, data_dir=folder, download=False)
    except tt_data.DataError as error:
        raise MissingDataError(
            f"CIFAR-10 is not there. {error} 'tito data fetch cifar-10' downloads it; --data-dir "
            "names the folder that its folder is in."
        ) from error
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    return Data(test.data.numpy(), test.targets.numpy(), 255.0, mean, std)


def _shakespeare(folder: Path | None) -> Data:
    """The last tenth of the plays, cut into blocks."""
    plays = _tt_data().TinyShakespeare(train=False)
    tokens = np.asarray(plays.encode(plays.text).numpy())
    count = (len(tokens) - 1) // _BLOCK
    inputs, targets = (
        tokens[start : start + count * _BLOCK].reshape(count, _BLOCK) for start in (0, 1)
    )
    return Data(inputs, targets)


_MILESTONES = "milestones"
TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            "digits-mlp", "Digits, multilayer perceptron", _MLP,
            f"{_MILESTONES}/03_1986_mlp_revival/mlp_digits.safetensors", "hidden_layers.",
            _digits(0.305), "accuracy", 64,
        ),
        Task(
            "digits-cnn", "Digits, convolutional network", _CNN,
            f"{_MILESTONES}/04_1998_cnn_revolution/cnn_digits.safetensors", "convolutional.",
            _digits(0.0), "accuracy", 64,
        ),
        Task(
            "cifar10-cnn", "CIFAR-10, convolutional network", _CIFAR,
            f"{_MILESTONES}/04_1998_cnn_revolution/lecun_cifar10.safetensors", "",
            _cifar, "accuracy", 64,
        ),
        Task(
            "shakespeare-gpt", "Shakespeare, transformer", _GPT,
            f"{_MILESTONES}/05_2017_transformer_era/vaswani_shakespeare_fast.safetensors", "",
            _shakespeare, "loss", 8,
        ),
    )
}  # fmt: skip
