"""What may be done to a model to make it faster or smaller: a fixed list, by name.

A submission names passes with their arguments; the one who verifies applies them. So a model in
the closed division comes with the reference's weights, and everything else is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tt_nn as nn
from tt_autograd import Tensor
from tt_profile.quantization import quantize

from ._checks import Kind, Rejected, fields, flag, integer, items, one_of, show
from ._language import check_model

MAX_PASSES = 8
BACKENDS = ("numpy", "numba")


@dataclass(frozen=True, slots=True)
class Pass:
    """A change that leaves the function that a model computes as it is, or nearly so.

    Attributes:
        apply: Returns the changed model, given an example of what it is called with.
        text: What it does, in a line.
        optional: The arguments that may be given, with their kinds.
    """

    apply: Callable[..., nn.Module]
    text: str
    optional: Mapping[str, Kind] = field(default_factory=dict)


def _fold(model: nn.Module, example: Tensor) -> nn.Module:
    folded = nn.fuse_bn_eval(model, example)
    if _kinds(folded) == _kinds(model):
        raise ValueError("no batch normalisation in it follows a layer that could take it in")
    return folded


def _kinds(model: nn.Module) -> list[type[nn.Module]]:
    return [type(module) for module in model.modules()]


def _int8(model: nn.Module, example: Tensor, **arguments: Any) -> nn.Module:
    return quantize(model, "int8", **arguments)


def _int4(model: nn.Module, example: Tensor, **arguments: Any) -> nn.Module:
    return quantize(model, "int4", **arguments)


def _remember(model: nn.Module, example: Tensor) -> nn.Module:
    if not hasattr(model, "new_cache"):
        raise ValueError("only a model that writes, GPT or ModernGPT, has keys and values to keep")
    return model  # it is generation that remembers: see `Configuration.use_cache`


PASSES: Mapping[str, Pass] = {
    "fold_batch_norm": Pass(_fold, "fold batch normalisation into the layer before it"),
    "int8_weights": Pass(_int8, "store weights as int8", {"per_channel": flag, "symmetric": flag}),
    "int4_weights": Pass(
        _int4, "store weights as int4 in groups", {"group_size": one_of((8, 16, 32, 64, 128))}
    ),
    "kv_cache": Pass(_remember, "keep keys and values while text is generated"),
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A model and how it is run: what `model.json` says.

    Attributes:
        model: Its description, see `tt_tito.benchmark.build`.
        passes: What is done to it, in order: objects with the key ``pass`` and arguments.
        backend: The kernels beside the matrix products: ``"numpy"`` or ``"numba"``.
        threads: How many threads large kernels use.
    """

    model: Mapping[str, object]
    passes: Sequence[Mapping[str, object]] = ()
    backend: str = "numpy"
    threads: int = 1

    @property
    def use_cache(self) -> bool:
        """Whether generation keeps keys and values."""
        return any(each["pass"] == "kv_cache" for each in self.passes)

    def as_json(self) -> dict[str, object]:
        """The contents of `model.json`."""
        return {
            "model": self.model,
            "passes": list(self.passes),
            "backend": self.backend,
            "threads": self.threads,
        }

    @staticmethod
    def parse(value: object, where: str = "model.json") -> Configuration:
        """Check a configuration that someone else wrote.

        Args:
            value: What was read.
            where: What it is, for errors.

        Raises:
            Rejected: It is none, or asks for what is not allowed.

        Example:
            >>> tree = {"layer": "Linear", "in_features": 64, "out_features": 10}
            >>> Configuration.parse({"model": tree}).threads
            1
        """

        def model(value: object, where: str) -> object:
            check_model(value, where)
            return value

        found = fields(
            value,
            where,
            {"model": model},
            {"passes": _passes, "backend": one_of(BACKENDS), "threads": integer(1, 64)},
        )
        return Configuration(**found)


def _passes(value: object, where: str) -> tuple[Mapping[str, object], ...]:
    seen: list[Mapping[str, object]] = []
    for i, each in enumerate(items(value, where, MAX_PASSES)):
        place = f"{where}[{i}]"
        name = each.get("pass") if isinstance(each, dict) else None
        if not isinstance(each, dict) or not isinstance(name, str) or name not in PASSES:
            known = ", ".join(PASSES)
            raise Rejected(f"{place}: {show(each)} is no pass; 'pass' is one of {known}.")
        if any(other["pass"] == name for other in seen):
            raise Rejected(f"{place}: the pass {name!r} stands there twice.")
        rest = {key: item for key, item in each.items() if key != "pass"}
        seen.append({"pass": name, **fields(rest, place, {}, PASSES[name].optional)})
    return tuple(seen)


def apply_passes(
    model: nn.Module, passes: Sequence[Mapping[str, Any]], example: Tensor
) -> nn.Module:
    """Return a model with the passes applied in order, in evaluation mode.

    Args:
        model: The model.
        passes: As in a `Configuration`.
        example: What it is called with.

    Raises:
        Rejected: One of them does not fit the model.
    """
    model.eval()
    for each in passes:
        arguments = {key: value for key, value in each.items() if key != "pass"}
        try:
            model = PASSES[each["pass"]].apply(model, example, **arguments)
        except (ValueError, TypeError) as error:
            raise Rejected(f"the pass {each['pass']!r} does not fit the model: {error}.") from None
    return model.eval()
