"""What quantization and loading refuse, and what they expected."""

from collections.abc import Callable

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile.quantization import load_quantized, quantize

pytestmark = pytest.mark.module_15


def with_nan() -> nn.Module:
    layer = nn.Linear(2, 2)
    with tt.no_grad():
        layer.weight[0, 0] = float("nan")
    return nn.Sequential(layer)


ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no model": (lambda: quantize(tt.ones(2, 2)), TypeError, "Module"),  # type: ignore[type-var]
    "dtype": (
        lambda: quantize(nn.Linear(2, 2), "int3"),  # type: ignore[arg-type]
        ValueError,
        "'int8' or 'int4'",
    ),
    "groups": (lambda: quantize(nn.Linear(2, 2), "int4", group_size=5), ValueError, "group_size"),
    "int4 per tensor": (
        lambda: quantize(nn.Linear(2, 2), "int4", per_channel=False),
        ValueError,
        "per_channel",
    ),
    "int4 inputs": (
        lambda: quantize(nn.Linear(2, 2), "int4", activations=True, calibration=[]),
        ValueError,
        "int8",
    ),
    "no calibration": (
        lambda: quantize(nn.Linear(2, 2), activations=True),
        ValueError,
        "calibration batches",
    ),
    "calibration of weights": (
        lambda: quantize(nn.Linear(2, 2), calibration=[tt.ones(2)]),
        ValueError,
        "activations=True",
    ),
    "no batches": (
        lambda: quantize(nn.Sequential(nn.Linear(2, 2)), activations=True, calibration=[]),
        ValueError,
        "never reached layer '0'",
    ),
    "batches of NaN": (
        lambda: quantize(
            nn.Linear(2, 2), activations=True, calibration=[tt.tensor([float("nan"), 0.0])]
        ),
        ValueError,
        "NaN",
    ),
    "weights of NaN": (lambda: quantize(with_nan()), ValueError, r"'0\.weight' has NaN"),
    "nothing": (lambda: quantize(nn.ReLU()), ValueError, "no weights to quantize"),
    "twice": (
        lambda: quantize(quantize(nn.Linear(2, 2))),
        ValueError,
        "quantized already",
    ),
    "folded afterwards": (
        lambda: nn.fuse_bn_eval(
            quantize(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval())
        ),
        ValueError,
        "layer '0' to keep its weight; QuantizedConv2d .* fold before quantizing",
    ),
    "exclude": (lambda: quantize(nn.Linear(2, 2), exclude=["x"]), ValueError, "no module 'x'"),
    "one name": (lambda: quantize(nn.Linear(2, 2), exclude="x"), TypeError, "list of names"),
    "a path": (
        lambda: load_quantized(nn.Linear(2, 2), "file"),  # type: ignore[arg-type]
        TypeError,
        "tt_nn.load",
    ),
    "another size": (
        lambda: load_quantized(nn.Linear(2, 3), quantize(nn.Linear(2, 2)).state_dict()),
        ValueError,
        "no weight of shape",
    ),
    "another size of int4": (
        lambda: load_quantized(nn.Linear(5, 2), quantize(nn.Linear(2, 2), "int4").state_dict()),
        ValueError,
        "no weight of shape",
    ),
    "not quantized": (
        lambda: load_quantized(nn.Linear(2, 3), nn.Linear(2, 2).state_dict()),
        ValueError,
        "shapes differ",
    ),
    "no scale": (
        lambda: load_quantized(
            nn.Linear(2, 2), {"quantized_weight.values": tt.zeros(2, 2, dtype="int8")}
        ),
        ValueError,
        "no weight of shape",
    ),
    "floats for values": (
        lambda: load_quantized(
            nn.Linear(2, 2),
            {**quantize(nn.Linear(2, 2)).state_dict(), "quantized_weight.values": tt.zeros(2, 2)},
        ),
        ValueError,
        "values are float32",
    ),
    "input": (lambda: quantize(nn.Linear(2, 2))(tt.ones(3)), ValueError, r"\(\.\.\., 2\)"),
    "index": (
        lambda: quantize(nn.Embedding(2, 2))(tt.tensor([2])),
        IndexError,
        "out of range for 2",
    ),
}


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_expected(
    call: Callable[[], object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()
