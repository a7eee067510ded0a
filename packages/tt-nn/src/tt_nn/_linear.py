"""Linear and bilinear maps: each one op, its derivative, and its layer."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Op, Tensor, defvjp, ops
from tt_autograd.seam import identity

from . import init
from ._apply import apply
from ._arguments import check_sizes
from ._compute.threads import parallel
from ._module import Module
from ._parameter import Parameter

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated

_LARGE = 1 << 24  # multiplications: 0.4 ms, of which handing half to a thread costs little
_MANY = 4  # times as many terms as rows or columns: sharing them is 7% faster than sharing columns


def _rows(x: Value) -> Value:
    """Join the leading dimensions: (..., n) -> (rows, n)."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


def _product(
    left: Value, right: Value, order: Literal["C", "F"] = "C", bias: Array | None = None
) -> Value:
    """Return ``left @ right + bias``, an array in ``order``.

    Threads share the rows or the columns of a large one, whichever there are more of: BLAS is slow
    at products of few. Where it sums over many more still, as the gradient of a weight does over
    the batch, they share the sum; their parts then take less memory than the operands.
    """
    if type(left) is not np.ndarray:
        return left @ right
    if left.size * right.shape[-1] < _LARGE:
        if order == "C":
            out = left @ right
        else:
            out = np.empty((len(left), right.shape[1]), np.result_type(left, right), order)
            np.matmul(left, right, out=out)
        if bias is not None:
            out += bias
        return out
    out = np.empty((len(left), right.shape[1]), np.result_type(left, right), order)

    def rows(start: int, stop: int) -> None:
        part = np.matmul(left[start:stop], right, out=out[start:stop])
        if bias is not None:
            part += bias

    def columns(start: int, stop: int) -> None:
        part = np.matmul(left, right[:, start:stop], out=out[:, start:stop])
        if bias is not None:
            part += bias[start:stop]

    def terms(start: int, stop: int) -> Array:
        part: Array = np.matmul(left[:, start:stop], right[start:stop], out=np.empty_like(out))
        return part

    if len(right) >= _MANY * max(out.shape):
        out, *others = parallel(terms, len(right))
        for part in others:
            out += part
        if bias is not None:
            out += bias
    elif len(out) >= out.shape[1]:
        parallel(rows, len(out))
    else:
        parallel(columns, out.shape[1])
    return out


def _linear(input: Array, weight: Array, bias: Array | None) -> Array:
    """Return ``input @ weight.T + bias``: (..., in), (out, in), (out,) -> (..., out).

    Raises:
        ValueError: The weight is no matrix, or the bias has not one number for each output;
            `_explain_linear` says what was expected.
    """
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError
    if input.ndim <= 2:
        out: Array = _product(input, weight.T, bias=bias)
    elif input.size == input.shape[-1]:
        out = input.reshape(-1).dot(weight.T)  # a single row, as in generation
        if bias is not None:
            out += bias
        out = out.reshape((*input.shape[:-1], len(weight)))  # (1, ..., out_features)
    else:
        out = _product(_rows(input), weight.T, bias=bias)  # one product over all rows
        out = out.reshape((*input.shape[:-1], len(weight)))  # (..., out_features)
    return out


def _linear_recorded(
    input: Array, weight: Array, bias: Array | None
) -> tuple[Array, Literal["C", "F"]]:
    """Return, beside the result, the order in memory of the weight, for its gradient's."""
    return _linear(input, weight, bias), "F" if weight.flags.fnc else "C"


def _explain_linear(input: Array, weight: Array, bias: Array | None) -> str | None:
    if np.ndim(weight) != 2:
        return "expected a weight of shape (out_features, in_features)"
    out_features, in_features = weight.shape
    if not np.ndim(input) or input.shape[-1] != in_features:
        return f"expected an input of shape (..., {in_features})"
    if bias is not None and np.shape(bias) != (out_features,):
        return f"expected a bias of shape ({out_features},)"
    return None


def _linear_input(g: Value, weight: Value) -> Value:
    if g.ndim <= 2:
        return _product(g, weight)
    return _product(_rows(g), weight).reshape((*g.shape[:-1], weight.shape[1]))  # (..., in)


def _linear_weight(g: Value, input: Value, aux: Literal["C", "F"]) -> Value:
    """Return the weight's gradient, in the order in memory of the weight."""
    if g.ndim != 2:
        g, input = _rows(g), _rows(input)
    return _product(g.T, input, aux)


LINEAR = Op(
    "linear",
    _linear,
    ("input", "weight", "bias"),
    recorded=_linear_recorded,
    explain=_explain_linear,
)
defvjp(
    LINEAR,
    input=_linear_input,
    weight=_linear_weight,
    bias=identity,
)


def linear(
    input: tt_tensor.Tensor, weight: tt_tensor.Tensor, bias: tt_tensor.Tensor | None = None
) -> Tensor:
    r"""Return :math:`x W^T + b`.

    Args:
        input: The values.
        weight: One row for each output.
        bias: One number for each output.

    Shape:
        ``(..., in_features), (out_features, in_features), (out_features,) -> (..., out_features)``

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_autograd as tt
        >>> linear(tt.tensor([1.0, 2.0]), tt.tensor([[3.0, 4.0]]), tt.tensor([0.5]))
        tensor([11.5000])
    """
    return apply(LINEAR, input, weight, bias)


class Linear(Module):
    r"""A linear map with a bias: :math:`y = x W^T + b`.

    Weight and bias start uniform in :math:`\pm 1 / \sqrt{\text{in\_features}}`, as torch's do.

    Args:
        in_features: Size of the input's last dimension.
        out_features: Size of the output's last dimension.
        bias: Whether there is a bias.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(..., in_features) -> (..., out_features)``

    Attributes:
        weight: ``(out_features, in_features)``.
        bias: ``(out_features,)``; None with ``bias=False``.

    Raises:
        ValueError: A size is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Linear(784, 10)(tt.ones(64, 784)).shape
        (64, 10)
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__()
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        # By columns in memory: inputs are multiplied by the transpose, and where that is
        # contiguous BLAS takes a fifth less (64 rows, 784 inputs, 128 outputs).
        empty = tt.empty(out_features, in_features, dtype=dtype).numpy()
        self.weight = Parameter(tt.from_numpy(np.asfortranarray(empty)))
        self.register_parameter(
            "bias", Parameter(tt.empty(out_features, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        _draw_bias(self, self.in_features)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return ``input @ weight.T + bias``."""
        return apply(LINEAR, input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={_has_bias(self)}"
        )


def _bilinear(input1: Array, input2: Array, weight: Array, bias: Array | None) -> Array:
    if weight.ndim != 3 or input1.shape[:-1] != input2.shape[:-1]:
        raise ValueError
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError
    rows = np.einsum("ni,oij,nj->no", _rows(input1), weight, _rows(input2), optimize=True)
    out: Array = rows.reshape((*input1.shape[:-1], len(weight)))  # (..., out_features)
    if bias is not None:
        out += bias
    return out


def _explain_bilinear(
    input1: Array, input2: Array, weight: Array, bias: Array | None
) -> str | None:
    if np.ndim(weight) != 3:
        return "expected a weight of shape (out_features, in1_features, in2_features)"
    out_features, in1, in2 = weight.shape
    a, b = np.shape(input1), np.shape(input2)
    if a[-1:] != (in1,) or b[-1:] != (in2,) or a[:-1] != b[:-1]:
        return f"expected inputs of shapes (..., {in1}) and (..., {in2}), equal but for the last"
    if bias is not None and np.shape(bias) != (out_features,):
        return f"expected a bias of shape ({out_features},)"
    return None


def _einsum_rows(equation: str, shape: tuple[int, ...], *operands: Value) -> Value:
    return ops.EINSUM(*operands, equation=equation).reshape(shape)


BILINEAR = Op(
    "bilinear", _bilinear, ("input1", "input2", "weight", "bias"), explain=_explain_bilinear
)
defvjp(
    BILINEAR,
    input1=lambda g, input2, weight, shape: _einsum_rows(
        "no,oij,nj->ni", shape, _rows(g), weight, _rows(input2)
    ),
    input2=lambda g, input1, weight, shape: _einsum_rows(
        "no,oij,ni->nj", shape, _rows(g), weight, _rows(input1)
    ),
    weight=lambda g, input1, input2, shape: _einsum_rows(
        "no,ni,nj->oij", shape, _rows(g), _rows(input1), _rows(input2)
    ),
    bias=identity,
)


def bilinear(
    input1: tt_tensor.Tensor,
    input2: tt_tensor.Tensor,
    weight: tt_tensor.Tensor,
    bias: tt_tensor.Tensor | None = None,
) -> Tensor:
    r"""Return :math:`y_k = x_1^T W_k x_2 + b_k`.

    Args:
        input1: The first values.
        input2: The second values.
        weight: One matrix for each output.
        bias: One number for each output.

    Shape:
        ``(..., in1), (..., in2), (out, in1, in2), (out,) -> (..., out)``

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_autograd as tt
        >>> bilinear(tt.tensor([1.0, 2.0]), tt.tensor([3.0]), tt.ones(1, 2, 1))
        tensor([9.])
    """
    return apply(BILINEAR, input1, input2, weight, bias)


class Bilinear(Module):
    r"""A bilinear map of two inputs: :math:`y_k = x_1^T W_k x_2 + b_k`.

    Weight and bias start uniform in :math:`\pm 1 / \sqrt{\text{in1\_features}}`, as torch's do.

    Args:
        in1_features: Size of the first input's last dimension.
        in2_features: Size of the second input's last dimension.
        out_features: Size of the output's last dimension.
        bias: Whether there is a bias.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(..., in1_features), (..., in2_features) -> (..., out_features)``

    Attributes:
        weight: ``(out_features, in1_features, in2_features)``.
        bias: ``(out_features,)``; None with ``bias=False``.

    Raises:
        ValueError: A size is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Bilinear(3, 4, 5)(tt.ones(2, 3), tt.ones(2, 4)).shape
        (2, 5)
    """

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            "Bilinear",
            in1_features=in1_features,
            in2_features=in2_features,
            out_features=out_features,
        )
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(tt.empty(out_features, in1_features, in2_features, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(tt.empty(out_features, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        _draw_bias(self, self.in1_features)

    def forward(self, input1: tt_tensor.Tensor, input2: tt_tensor.Tensor) -> Tensor:
        """Return the bilinear map of both inputs."""
        return apply(BILINEAR, input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={_has_bias(self)}"
        )


def _has_bias(layer: Linear | Bilinear) -> bool:
    return isinstance(layer.bias, Parameter)


def _draw_bias(layer: Linear | Bilinear, fan_in: int) -> None:
    if _has_bias(layer):
        bound = 1 / math.sqrt(fan_in)
        init.uniform_(layer.bias, -bound, bound)
