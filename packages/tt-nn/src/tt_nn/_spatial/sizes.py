"""What convolutions and pools make of their arguments."""

from __future__ import annotations

import numpy as np

import tt_tensor

Pair = tuple[int, int]
Sizes = int | tuple[int, int]


def pair(op: str, name: str, value: object, at_least: int = 1) -> Pair:
    """Return one int as two, and check the values.

    Raises:
        ValueError: There are not one or two ints that are large enough.
    """
    values = value if isinstance(value, tuple | list) else (value, value)
    if len(values) != 2 or not all(_is_size(v, at_least) for v in values):
        raise ValueError(
            f"{op}: expected {name} to be an int >= {at_least} or a pair of them, got {value!r}"
        )
    return int(values[0]), int(values[1])


def single(op: str, name: str, value: object, at_least: int = 1) -> int:
    """Return an int, also out of a tuple of one, and check it.

    Raises:
        ValueError: It is none, or too small.
    """
    values = value if isinstance(value, tuple | list) else (value,)
    if len(values) != 1 or not _is_size(values[0], at_least):
        raise ValueError(f"{op}: expected {name} to be an int >= {at_least}, got {value!r}")
    return int(values[0])


def _is_size(value: object, at_least: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= at_least  # type: ignore[call-overload]  # an int by now


def check_input(op: str, input: object, ndim: int) -> None:
    """Refuse what is no tensor, or has no batch of images or sequences.

    Args:
        op: The name for errors.
        input: What is given.
        ndim: How many dimensions it has to have.

    Raises:
        TypeError: It is no tensor.
        ValueError: It has other dimensions.
    """
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(
            f"{op}: expected a Tensor, got {type(input).__name__}; wrap the value in tensor(...)"
        )
    if input.ndim != ndim:
        names = ("N", "C", *("L" if ndim == 3 else "HW"))
        hint = "; unsqueeze(0) makes a batch of one" if input.ndim == ndim - 1 else ""
        raise ValueError(
            f"{op}: expected an input of shape ({', '.join(names)}), got {input.shape}{hint}"
        )


def check_window_padding(op: str, kernel: tuple[int, ...], padding: tuple[int, ...]) -> None:
    """Refuse windows that could lie wholly on the padding.

    Raises:
        ValueError: The padding is more than half the window.
    """
    if any(2 * p > k for k, p in zip(kernel, padding, strict=True)):
        raise ValueError(
            f"{op}: expected padding of at most half the kernel_size {kernel}, got {padding}"
        )
