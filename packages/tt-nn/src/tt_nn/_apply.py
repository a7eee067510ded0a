"""How this package runs its ops."""

from __future__ import annotations

import tt_tensor
from tt_autograd import Op, Tensor


def apply(op: Op, input: tt_tensor.Tensor, *others: object, **params: object) -> Tensor:
    """Run ``op``; its result is differentiable, whichever kind of tensors it is given.

    Raises:
        TypeError: The first input is no tensor.
    """
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(
            f"{op.name}: expected a Tensor, got {type(input).__name__}; "
            "wrap the value in tensor(...)"
        )
    return Tensor._apply(op, (input, *others), params)
