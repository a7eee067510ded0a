"""How parameters start: functions that fill a tensor in place, without a record.

Each returns the tensor it was given. Random numbers are the default generator's, or those of
``generator``.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Generator, Tensor, default_generator, no_grad

T = TypeVar("T", bound=Tensor)
Array = NDArray[np.floating]
Mode = Literal["fan_in", "fan_out"]

_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
    **{f"{conv}{n}d": 1.0 for conv in ("conv", "conv_transpose") for n in (1, 2, 3)},
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the scale of values through a nonlinearity.

    Args:
        nonlinearity: ``"linear"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"``,
            ``"selu"`` or the name of a convolution, such as ``"conv2d"``.
        param: The slope of ``"leaky_relu"`` below 0, 0.01 unless given.

    Raises:
        ValueError: The nonlinearity is not known.

    Example:
        >>> round(calculate_gain("relu"), 4)
        1.4142
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: unknown {nonlinearity!r}; expected one of {known}")
    return _GAINS[nonlinearity]


def zeros_(tensor: T) -> T:
    """Fill with 0.

    Example:
        >>> import tt_autograd as tt
        >>> zeros_(tt.empty(2))
        tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: T) -> T:
    """Fill with 1.

    Example:
        >>> import tt_autograd as tt
        >>> ones_(tt.empty(2))
        tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def constant_(tensor: T, val: float) -> T:
    """Fill with one number.

    Example:
        >>> import tt_autograd as tt
        >>> constant_(tt.empty(2), 0.5)
        tensor([0.5000, 0.5000])
    """
    with no_grad():
        return tensor.fill_(val)


def eye_(tensor: T) -> T:
    """Fill a matrix with ones on the diagonal and zeros elsewhere.

    Raises:
        ValueError: It is no matrix.

    Example:
        >>> import tt_autograd as tt
        >>> eye_(tt.empty(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got shape {tensor.shape}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Fill with numbers drawn uniformly from ``a`` to ``b``.

    Raises:
        ValueError: ``a`` is above ``b``.

    Example:
        >>> import tt_autograd as tt
        >>> x = uniform_(tt.empty(100), -1, 1)
        >>> bool((x >= -1).all()), bool((x <= 1).all())
        (True, True)
    """
    if not a <= b:
        raise ValueError(f"uniform_: expected a <= b, got a={a} and b={b}")
    return _fill(tensor, a + (b - a) * _generator(generator).random(tensor.shape))


def normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> T:
    """Fill with numbers drawn from a normal distribution.

    Raises:
        ValueError: ``std`` is negative.

    Example:
        >>> import tt_autograd as tt
        >>> normal_(tt.empty(2, 3)).shape
        (2, 3)
    """
    _check_std("normal_", std)
    return _fill(tensor, _generator(generator).normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> T:
    """Fill with numbers drawn from a normal distribution, all between ``a`` and ``b``.

    What falls outside is drawn again.

    Raises:
        ValueError: ``std`` is not above 0, or less than a thousandth of the distribution lies
            between ``a`` and ``b``.

    Example:
        >>> import tt_autograd as tt
        >>> bool((trunc_normal_(tt.empty(1000)).abs() <= 2).all())
        True
    """
    _check_std("trunc_normal_", std)
    below, above = (math.erf((end - mean) / (std * math.sqrt(2) or 1)) for end in (a, b))
    if not (above - below) / 2 >= 1e-3:
        raise ValueError(
            f"trunc_normal_: expected std > 0 and a good part of the distribution between a and "
            f"b, got mean={mean}, std={std}, a={a}, b={b}"
        )
    # The bounds hold for the numbers as the tensor's dtype has them.
    low, high = tensor.dtype.type(a), tensor.dtype.type(b)
    draw = _generator(generator)
    values = draw.normal(mean, std, tensor.shape).astype(tensor.dtype)
    outside = (values < low) | (values > high)
    while outside.any():
        values[outside] = draw.normal(mean, std, int(outside.sum()))
        outside = (values < low) | (values > high)
    return _fill(tensor, values)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    r"""Fill uniformly from :math:`\pm \text{gain} \sqrt{6 / (\text{fan in} + \text{fan out})}`.

    Raises:
        ValueError: The tensor has fewer than two dimensions.

    Example:
        >>> import tt_autograd as tt
        >>> bool((xavier_uniform_(tt.empty(3, 3)).abs() <= 1).all())
        True

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", 2010.
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    r"""Fill normally, with standard deviation :math:`\text{gain} \sqrt{2 / (\text{fans})}`.

    Raises:
        ValueError: The tensor has fewer than two dimensions.

    Example:
        >>> import tt_autograd as tt
        >>> xavier_normal_(tt.empty(3, 4)).shape
        (3, 4)

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", 2010.
    """
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (fan_in + fan_out)), generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    r"""Fill uniformly from :math:`\pm \text{gain} \sqrt{3 / \text{fan}}`.

    Args:
        tensor: The tensor to fill.
        a: The slope below 0 of the nonlinearity that follows, if that is ``"leaky_relu"``.
        mode: ``"fan_in"`` keeps the scale of values forward, ``"fan_out"`` that of gradients.
        nonlinearity: What `calculate_gain` takes.
        generator: Where the random numbers come from.

    Raises:
        ValueError: The tensor has fewer than two dimensions, or an argument is not known.

    Example:
        >>> import tt_autograd as tt
        >>> kaiming_uniform_(tt.empty(3, 4), nonlinearity="relu").shape
        (3, 4)

    References:
        He et al., "Delving deep into rectifiers", 2015.
    """
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    bound = math.sqrt(3) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    r"""Fill normally, with standard deviation :math:`\text{gain} / \sqrt{\text{fan}}`.

    The arguments are those of `kaiming_uniform_`.

    Raises:
        ValueError: The tensor has fewer than two dimensions, or an argument is not known.

    Example:
        >>> import tt_autograd as tt
        >>> kaiming_normal_(tt.empty(3, 4), nonlinearity="relu").shape
        (3, 4)

    References:
        He et al., "Delving deep into rectifiers", 2015.
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Fill with a random orthogonal matrix times ``gain``.

    Of a tensor with more than two dimensions, the first counts the rows. Rows are orthogonal to
    one another if there are no more of them than columns, and columns otherwise.

    Raises:
        ValueError: The tensor has fewer than two dimensions.

    Example:
        >>> import tt_autograd as tt
        >>> q = orthogonal_(tt.empty(3, 5))
        >>> bool(((q @ q.T - tt.eye(3)).abs() < 1e-6).all())
        True

    References:
        Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks", 2013.
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least two dimensions, got {tensor.shape}")
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    drawn = _generator(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # so that every orthogonal matrix is as likely as any other
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def _generator(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator()).numpy


def _fill(tensor: T, values: Array) -> T:
    with no_grad():
        return tensor.copy_(values)


def _check_std(name: str, std: float) -> None:
    if not std >= 0:
        raise ValueError(f"{name}: expected std of at least 0, got {std}")


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs each output has, and how many outputs each input."""
    if tensor.ndim < 2:
        raise ValueError(
            f"{name}: expected at least two dimensions (outputs, inputs, ...), got shape "
            f"{tensor.shape}"
        )
    outputs, inputs, *kernel = tensor.shape
    area = math.prod(kernel)
    return inputs * area, outputs * area


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: Mode, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(name, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))
