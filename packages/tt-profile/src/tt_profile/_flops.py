"""Floating-point operations of a call, counted from the ops that really ran.

The convention:

- a matrix product costs two for each multiply-accumulate, and ``linear`` one more for each
  bias added;
- an op that moves, selects or creates values costs nothing;
- a reduction or a loss costs its steps, listed in `READS`, for each element it reads;
- any other op costs its steps for each element it returns: those in `STEPS`, or one. One step
  is one call of a function on one number, whatever the function: ``exp`` counts as ``add`` does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tt_tensor
from tt_tensor import OpEvent

Formula = Callable[[OpEvent], int]


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs of one call.

    Attributes:
        by_op: FLOPs of each op that ran, by the op's name.
        calls: How often each op ran.
    """

    by_op: Mapping[str, int]
    calls: Mapping[str, int]

    @property
    def total(self) -> int:
        """FLOPs of all ops together."""
        return sum(self.by_op.values())


def count_flops(function: Callable[..., object], *inputs: object) -> FlopCount:
    """Count the FLOPs of the forward ops that run in ``function(*inputs)``.

    Nothing is derived from the kind of model: an observer sees each op and the shapes it was
    given, so a layer of your own counts as ours do.

    Args:
        function: A model or any other callable.
        inputs: What it is called with.

    Returns:
        The count, in total and by op.

    Example:
        >>> import tt_tensor as tt
        >>> count_flops(tt.matmul, tt.ones(8, 3), tt.ones(3, 5)).total  # 2 * 8 * 3 * 5
        240
    """
    by_op: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def count(event: OpEvent) -> None:
        if event.phase == "forward":
            by_op[event.op.name] += flops_of(event)
            calls[event.op.name] += 1

    with tt_tensor.observe(count):
        function(*inputs)
    return FlopCount(dict(by_op), dict(calls))


def flops_of(event: OpEvent) -> int:
    """FLOPs of one forward op, by the convention at the top of this module."""
    name = event.op.name
    if name in FREE:
        return 0
    if name in FORMULAS:
        return FORMULAS[name](event)
    if name in READS:
        return READS[name] * math.prod(event.shapes[0])
    return STEPS.get(name, 1) * _output_size(event)


def _output_size(event: OpEvent) -> int:
    return 0 if event.output is None else event.output.size


def _matmul(event: OpEvent) -> int:
    """2 * rows * columns * inner, over the batch; the inner dimension is the left one's last."""
    return 2 * _output_size(event) * event.shapes[0][-1]


def _linear(event: OpEvent) -> int:
    """2 * B * in * out, and B * out for the bias."""
    has_bias = len(event.inputs) > 2 and event.inputs[2] is not None
    return _output_size(event) * (2 * event.shapes[1][-1] + has_bias)


def _bilinear(event: OpEvent) -> int:
    """y_k = x1' W_k x2 + b_k: for each output a product with W_k, then one with x2."""
    _, in1, in2 = event.shapes[2]
    has_bias = len(event.inputs) > 3 and event.inputs[3] is not None
    return _output_size(event) * (2 * in1 * in2 + 2 * in2 + has_bias)


def _conv(event: OpEvent) -> int:
    """For each output a product with a filter, (out, in / groups, ...), and one for the bias."""
    has_bias = len(event.inputs) > 2 and event.inputs[2] is not None
    return _output_size(event) * (2 * math.prod(event.shapes[1][1:]) + has_bias)


def _conv_transpose(event: OpEvent) -> int:
    """For each input a product with a filter, (in, out / groups, ...); one more for the bias."""
    has_bias = len(event.inputs) > 2 and event.inputs[2] is not None
    products = 2 * math.prod(event.shapes[0]) * math.prod(event.shapes[1][1:])
    return products + _output_size(event) * has_bias


def _pool(event: OpEvent) -> int:
    """For each output a step for each element of its window."""
    height, width = event.params["kernel_size"]
    return _output_size(event) * int(height * width)


def _attention(event: OpEvent) -> int:
    """For each pair of a query and a key that it sees: their product, its scaling, softmax, value.

    Query, key and value are (..., T, D), (..., S, D) and (..., S, Dv).
    """
    length, keys, dim = event.shapes[0][-2], event.shapes[1][-2], event.shapes[0][-1]
    value_dim = event.shapes[2][-1]
    pairs = length * keys
    if event.params["is_causal"]:  # query t sees keys 0 to t
        pairs = sum(min(t + 1, keys) for t in range(length))
    heads = _output_size(event) // max(length * value_dim, 1)
    return heads * pairs * (2 * dim + 2 * value_dim + 1 + STEPS["softmax"])


def _self_attention(event: OpEvent) -> int:
    """The same where query, key and value of all heads stand side by side: (N, T, features)."""
    samples, length, features = event.shapes[0]
    heads = int(event.params["num_heads"])
    dim = features // (heads + 2 * int(event.params["num_kv_heads"]))
    pairs = length * (length + 1) // 2 if event.params["is_causal"] else length**2
    return samples * heads * pairs * (4 * dim + 1 + STEPS["softmax"])


def _cached_attention(event: OpEvent) -> int:
    """The same for the last positions of a sequence, whose keys are all in the cache by now."""
    samples, length, features = event.shapes[0]
    heads = int(event.params["num_heads"])
    dim = features // (heads + 2 * int(event.params["num_kv_heads"]))
    keys = int(event.params["cache"].length)
    pairs = length * keys - length * (length - 1) // 2
    return samples * heads * pairs * (4 * dim + 1 + STEPS["softmax"])


def _einsum(event: OpEvent) -> int:
    """For each tuple of indices: a multiplication for each further operand, and an addition.

    The op's equation names every dimension, so the sizes of its letters say how many there are.
    """
    terms = str(event.params["equation"]).partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, event.shapes, strict=True):
        sizes.update(zip(term, shape, strict=True))
    return len(terms) * math.prod(sizes.values())


FORMULAS: Mapping[str, Formula] = {
    "matmul": _matmul,
    "linear": _linear,
    "bilinear": _bilinear,
    "einsum": _einsum,
    "conv2d": _conv,
    "conv_transpose2d": _conv_transpose,
    "scaled_dot_product_attention": _attention,
    "self_attention": _self_attention,
    "cached_attention": _cached_attention,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
}

READS: Mapping[str, int] = {
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "any", "all"), 1),
    **dict.fromkeys(("argmax", "argmin", "cumsum"), 1),
    "norm": 2,  # square, sum
    "var": 4,  # sum, subtract, square, sum
    "std": 4,
    "logsumexp": 4,  # maximum, subtract, exp, sum
    "mse_loss": 3,  # subtract, square, sum
    "l1_loss": 3,  # subtract, absolute, sum
    "huber_loss": 6,  # subtract, absolute, both branches, choose, sum
    "smooth_l1_loss": 6,
    "binary_cross_entropy": 8,  # two logs, two complements, two products, add, sum
    "binary_cross_entropy_with_logits": 8,  # maximum, product, absolute, exp, log1p, two adds, sum
    "cross_entropy": 5,  # log_softmax; one of its values for each example is then selected
    "nll_loss": 0,  # selects
    "kl_div": 4,  # log, subtract, multiply, sum
}

STEPS: Mapping[str, int] = {
    "softmax": 5,  # maximum, subtract, exp, sum, divide
    "log_softmax": 5,  # maximum, subtract, exp, sum, subtract
    "sigmoid": 3,  # exp, add, divide
    "silu": 4,  # sigmoid, multiply
    "gelu": 5,  # scale, erf, add, multiply, halve
    "rsqrt": 2,  # square root, divide
    "batch_norm": 7,  # sum; subtract, square, sum; subtract, multiply, add
    "layer_norm": 7,
    "rms_norm": 4,  # square, sum, multiply twice
    "relu_squared": 2,
    "rotary_embedding": 3,  # two products, add
    "blend": 3,
}

FREE = frozenset(
    {
        *("reshape", "view", "permute", "expand", "concat", "stack", "pad", "flip", "roll", "tile"),
        *("getitem", "setitem", "unindex", "gather", "take", "index_select", "embedding"),
        *("one_hot", "tril", "triu", "clone", "cast", "where", "batch_first"),
    }
)
