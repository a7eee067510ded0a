"""Floating-point operations of derivatives, counted from the nodes that backward really visited.

The convention is that of `_flops`, applied to the vector-Jacobian products:

- a gradient of a matrix product is a matrix product of as many multiply-accumulates, and is
  counted only where it was asked for: the first layer's input needs none;
- an element-wise op costs its steps, listed in `SLOPES`, for each element and each input that
  needs a gradient, and an addition for each element where broadcasting is undone;
- a normalisation or attention, whose gradients come together, costs what stands at its function;
- an op that is not listed, such as one of your own, costs what its forward pass did for each
  gradient that was asked for.

The additions where the gradients of several uses of a value meet are no ops, and not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from tt_tensor import OpEvent

from ._flops import FREE, MACS, Call, attended, flops_of, resampling

Needs = tuple[bool, ...]


def backward_macs_of(call: Call, event: OpEvent) -> int:
    """Multiply-accumulates of the matrix products in the derivative of one call."""
    name, needs = call.name, event.needs
    if name in ("scaled_dot_product_attention", "self_attention"):
        return _attention_macs(call, event)
    if name == "matmul":
        # The gradient of a matrix beside a vector is an outer product, which adds nothing up.
        left, right = (len(shape) for shape in call.shapes)
        return MACS[name](call) * ((needs[0] and right > 1) + (needs[1] and left > 1))
    if name == "bilinear" or name not in MACS:
        return 0
    if name == "einsum":
        operands, tuples = _einsum_tuples(call, event)
        return tuples if operands == 2 else 0
    return MACS[name](call) * sum(needs[:2])


def backward_flops_of(call: Call, event: OpEvent) -> int:
    """FLOPs of the derivative of one call, by the convention at the top of this module.

    Args:
        call: The forward call.
        event: The backward event that is of this call.
    """
    name, needs, size = call.name, event.needs, call.size
    if name in TOGETHER:
        return TOGETHER[name](call, event)
    if name in SLOPES:
        steps = SLOPES[name]
        return sum(
            size * steps[min(i, len(steps) - 1)] + _undone(call, i)
            for i, needed in enumerate(needs)
            if needed
        )
    if name in READ_SLOPES:
        return READ_SLOPES[name] * math.prod(call.shapes[0]) * sum(needs)
    return 0 if name in FREE else flops_of(call) * sum(needs)


def _undone(call: Call, index: int) -> int:
    """Additions that fold a gradient of the output's shape back into that of an input."""
    shape, out = call.shapes[index], call.out
    inner = out[len(out) - len(shape) :]  # once the leading dimensions are summed
    return (inner != out) * call.size + (shape != inner) * math.prod(inner)


def _products(call: Call, event: OpEvent) -> int:
    """For input and weight a product as large as the forward one; for a bias a sum."""
    return 2 * backward_macs_of(call, event) + call.size * (sum(event.needs[2:]))


def _matmul(call: Call, event: OpEvent) -> int:
    """Two products, outer ones beside a vector; and the batch is summed where one has none."""
    (left, right), needs = call.shapes, event.needs
    rows_only = len(right) == 2 < len(left)  # its gradient is one product over all rows
    return (
        2 * backward_macs_of(call, event)
        + (needs[0] and len(right) == 1) * math.prod(left)
        + (needs[1] and len(left) == 1) * math.prod((*call.out[:-1], left[0], *call.out[-1:]))
        + (needs[0] and _batch(call) != left[:-2]) * math.prod((*_batch(call), *left[-2:]))
        + (needs[1] and _batch(call) != right[:-2] and not rows_only)
        * math.prod((*_batch(call), *right[-2:]))
    )


def _batch(call: Call) -> tuple[int, ...]:
    matrices = sum(len(shape) > 1 for shape in call.shapes)
    return call.out[: len(call.out) - matrices]


def _bilinear(call: Call, event: OpEvent) -> int:
    """Each gradient of g_k x1' W_k x2 is a sum of products of three over k, i and j."""
    _, in1, in2 = call.shapes[2]
    return 3 * call.size * in1 * in2 * sum(event.needs[:3]) + call.size * sum(event.needs[3:])


def _attention_macs(call: Call, event: OpEvent) -> int:
    """For each pair the gradients of weight, value, query and key, and what is made again.

    Of long sequences the weights are not kept: their products are made a second time.
    """
    pairs, dim, value_dim = attended(call)
    return pairs * (2 * value_dim + 2 * dim + dim * _made_again(event))


def _made_again(event: OpEvent) -> bool:
    kept = (value for value in event.inputs if value is not None)
    return any(getattr(value, "exponentials", value) is None for value in kept)


def _attention(call: Call, event: OpEvent) -> int:
    """The products; softmax's slope, two steps for a pair; and exp and two more if made again."""
    steps = 2 + 3 * _made_again(event)
    return 2 * backward_macs_of(call, event) + attended(call)[0] * steps


def _norm(steps: int) -> Callable[[Call, OpEvent], int]:
    """Return the cost of a normalisation: that of its input, and of what scales and shifts it."""

    def count(call: Call, event: OpEvent) -> int:
        weights = 2 * event.needs[-2] + event.needs[-1] if len(event.needs) > 2 else 0
        return call.size * (steps * event.needs[0] + weights)

    return count


def _batch_norm(call: Call, event: OpEvent) -> int:
    """With mean and variance given, g times the scale; for the weight, g times the normalised."""
    if not call.has(3):
        return _norm(9)(call, event)
    needs = event.needs
    return call.size * (needs[0] + 4 * needs[3] + needs[4])


def _rms_norm(call: Call, event: OpEvent) -> int:
    """The input's slope, and for the weight g times the normalised."""
    return call.size * (7 * event.needs[0] + 2 * event.needs[1])


def _pool(call: Call, event: OpEvent) -> int:
    """The winner of each window takes its gradient; of a mean, all do."""
    return call.size if call.name == "max_pool2d" else flops_of(call)


def _einsum_tuples(call: Call, event: OpEvent) -> tuple[int, int]:
    """Return how many operands there are, and the tuples of indices of all gradients together.

    The gradient of an operand is an einsum of the output's with the other operands.
    """
    left, _, output = str(call.params["equation"]).partition("->")
    terms = left.split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, call.shapes, strict=True):
        sizes.update(zip(term, shape, strict=True))
    tuples = 0
    for i, needed in enumerate(event.needs):
        if needed:
            named = set(output).union(*terms[:i], *terms[i + 1 :])
            tuples += math.prod(sizes[letter] for letter in named)
    return len(terms), tuples


def _einsum(call: Call, event: OpEvent) -> int:
    """For each tuple of indices: a multiplication for each further operand, and an addition."""
    return math.prod(_einsum_tuples(call, event))


def _pow(call: Call, event: OpEvent) -> int:
    """That of the base is g n x ** (n - 1), where a tensor n is looked at twice.

    That of the exponent is g out log(x), where x is looked at for zeros.
    """
    base, exponent = (
        math.prod(shape) if needed or shape != () else 0  # a plain number is looked at by Python
        for shape, needed in zip(call.shapes, event.needs, strict=True)
    )
    steps = (3 * call.size + 2 * exponent, 2 * call.size + 2 * base)
    return sum((steps[i] + _undone(call, i)) * event.needs[i] for i in (0, 1))


def _clip(call: Call, event: OpEvent) -> int:
    """A comparison with each limit that there is; both hold, multiply."""
    limits = sum(limit is not None for limit in event.inputs[2:4])
    return call.size * (2 + limits)


def _gelu(call: Call, event: OpEvent) -> int:
    """The slope, of the exact function or of its approximation."""
    return call.size * {"none": 11, "tanh": 18}[call.params["approximate"]]


def _norm_slope(call: Call, event: OpEvent) -> int:
    """For p = 2 divide and multiply; for p = 1 take the sign; else powers of the ratio."""
    read, p = math.prod(call.shapes[0]), call.params["p"]
    return read * (2 if p in (1, 2) else 7) + call.size * (p not in (1, math.inf))


def _var(call: Call, event: OpEvent) -> int:
    """Sum, subtract, scale, multiply; for each result a division, and three more of a root."""
    return 4 * math.prod(call.shapes[0]) + call.size * (4 if call.name == "std" else 1)


def _of_output(steps: int) -> Callable[[Call, OpEvent], int]:
    """Return the cost of steps for each element of the output, whatever the input's shape."""

    def count(call: Call, event: OpEvent) -> int:
        return steps * call.size

    return count


TOGETHER: Mapping[str, Callable[[Call, OpEvent], int]] = {
    "matmul": _matmul,
    "linear": _products,
    "int8_linear": _products,
    "int4_linear": _products,
    "conv2d": _products,
    "conv_transpose2d": _products,
    "bilinear": _bilinear,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "self_attention": _attention,
    # subtract, scale; sums of g and g * h (three steps); subtract twice, multiply twice
    "layer_norm": _norm(9),
    "group_norm": _norm(9),
    "batch_norm": _batch_norm,
    "rms_norm": _rms_norm,
    "embedding": _of_output(1),  # each gradient is added to the row that its index picked
    "gather": _of_output(1),
    "scatter_add": _of_output(0),
    "tile": _of_output(1),
    "pow": _pow,
    "clip": _clip,
    "gelu": _gelu,
    "norm": _norm_slope,
    "var": _var,
    "std": _var,
    "cumsum": lambda call, event: call.size * (call.out != ()),
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "max_pool2d_gather": _of_output(1),  # its gradient is scattered
    "max_pool2d_scatter": _of_output(0),  # its gradient is gathered
    "interpolate": lambda call, event: call.size * resampling(call)[1],
    "interpolate_back": lambda call, event: math.prod(call.shapes[0]) * resampling(call)[0],
    "sum": _of_output(0),
    "mean": _of_output(1),
}

# Steps for each element of the output: one number for every input, or one for each.
SLOPES: Mapping[str, tuple[int, ...]] = {
    "add": (0, 0),
    "fake_quantize": (1,),
    "sub": (0, 1),
    "mul": (1, 1),
    "div": (1, 3),
    "remainder": (0, 3),
    "maximum": (6, 6),
    "minimum": (6, 6),
    "neg": (1,),
    "abs": (2,),
    "square": (2,),
    "reciprocal": (3,),
    "sqrt": (2,),
    "rsqrt": (4,),
    "exp": (1,),
    "expm1": (2,),
    "log": (1,),
    "log1p": (2,),
    "sin": (2,),
    "cos": (3,),
    "tanh": (3,),
    "erf": (5,),
    "relu": (2,),
    "relu_squared": (3,),
    "leaky_relu": (2,),
    "sigmoid": (3,),
    "silu": (8,),
    "softplus": (7,),
    "elu": (3,),
    "softmax": (4,),
    "log_softmax": (4,),
    "dropout": (1,),
    "rotary_embedding": (3,),
    "blend": (1, 1, 2),
    "expand": (0,),
    "where": (0, 0, 0),
}

# Steps for each element that a reduction or a loss has read, for each input.
READ_SLOPES: Mapping[str, int] = {
    "prod": 2,
    "max": 4,
    "min": 4,
    "logsumexp": 3,
    "mse_loss": 2,
    "l1_loss": 3,
    "huber_loss": 3,
    "smooth_l1_loss": 4,
    "binary_cross_entropy": 6,
    "binary_cross_entropy_with_logits": 5,
    "cross_entropy": 2,
    "kl_div": 2,
    "nll_loss": 0,
}
