"""Floating-point operations of a call, counted from the ops that really ran.

The convention:

- a matrix product costs two for each multiply-accumulate, and ``linear`` one more for each
  bias added;
- an op that moves, selects or creates values costs nothing;
- a reduction or a loss costs its steps, listed in `READS`, for each element it reads;
- any other op costs its steps for each element it returns: those in `STEPS`, or one. One step
  is one call of a function on one number, whatever the function: ``exp`` counts as ``add`` does.
  So is a comparison, of which sorting n numbers takes log2(n) for each. What a zero point adds to
  a number of few bits is not counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import tt_tensor
from tt_autograd import DTypeLike, no_grad
from tt_nn import Module
from tt_tensor import OpEvent

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs of one call.

    Attributes:
        by_op: FLOPs of each op that ran, by the op's name.
        calls: How often each op ran.
        macs_by_op: Multiply-accumulates of the matrix products in each op that has some: half of
            what most other counters call FLOPs, for they count nothing else.
    """

    by_op: Mapping[str, int]
    calls: Mapping[str, int]
    macs_by_op: Mapping[str, int]

    @property
    def total(self) -> int:
        """FLOPs of all ops together."""
        return sum(self.by_op.values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all matrix products together."""
        return sum(self.macs_by_op.values())


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
        >>> count = count_flops(tt.matmul, tt.ones(8, 3), tt.ones(3, 5))
        >>> count.total, count.macs  # 2 * 8 * 3 * 5, and half of it
        (240, 120)
    """
    by_op: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    macs: Counter[str] = Counter()

    def count(event: OpEvent) -> None:
        if event.phase == "forward":
            call = call_of(event)
            products = macs_of(call)
            by_op[call.name] += flops_of(call)
            calls[call.name] += 1
            if products:
                macs[call.name] += products

    with tt_tensor.observe(count):
        function(*inputs)
    return FlopCount(dict(by_op), dict(calls), dict(macs))


def estimate_flops(model: Module, input_shape: Shape, *, dtype: DTypeLike | None = None) -> int:
    """Say what a forward pass of a model costs for inputs of a shape, before there are any.

    The model runs once, on zeros, in evaluation mode and without gradients, and what runs is
    counted as `count_flops` does.

    Args:
        model: The model.
        input_shape: Shape of its input, batch included.
        dtype: Dtype of its input, the default one unless given; ``"int64"`` for tokens.

    Returns:
        The FLOPs of the pass.

    Example:
        >>> import tt_nn as nn
        >>> estimate_flops(nn.Linear(784, 10), (64, 784))  # 64 * (2 * 784 * 10 + 10)
        1004160
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        with no_grad():
            return count_flops(model.eval(), tt_tensor.zeros(*input_shape, dtype=dtype)).total
    finally:
        for module, training in modes:
            module.training = training


class Call(NamedTuple):
    """One call of a forward op, as far as its FLOPs depend on it.

    Attributes:
        name: The op's name.
        shapes: Shapes of its inputs; ``()`` for a scalar or one that is absent.
        out: Shape of its output.
        params: Its parameters.
    """

    name: str
    shapes: tuple[Shape, ...]
    out: Shape
    params: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Number of elements of the output."""
        return math.prod(self.out)

    def has(self, index: int) -> bool:
        """Whether an optional input, such as a bias, was given."""
        return len(self.shapes) > index and self.shapes[index] != ()


def call_of(event: OpEvent) -> Call:
    """Return what of a forward event its FLOPs depend on."""
    out = () if event.output is None else event.output.shape
    return Call(event.op.name, event.shapes, out, event.params)


def macs_of(call: Call) -> int:
    """Multiply-accumulates of the matrix products in one forward op."""
    products = MACS.get(call.name)
    return 0 if products is None else products(call)


def flops_of(call: Call) -> int:
    """FLOPs of one forward op, by the convention at the top of this module."""
    name = call.name
    if name in FREE:
        return 0
    if name in MACS:
        return 2 * MACS[name](call) + BESIDE.get(name, _nothing)(call)
    if name in READS:
        return READS[name] * math.prod(call.shapes[0])
    if name in FORMULAS:
        return FORMULAS[name](call)
    return STEPS.get(name, 1) * call.size


def _nothing(call: Call) -> int:
    return 0


def _bias(call: Call) -> int:
    """One for each output, if there is a bias."""
    return call.size * call.has(2)


def _matmul(call: Call) -> int:
    """Rows * columns * inner, over the batch; the inner dimension is the left one's last."""
    return call.size * call.shapes[0][-1]


def _linear(call: Call) -> int:
    """B * in * out."""
    return call.size * call.shapes[1][-1]


def _bilinear(call: Call) -> int:
    """y_k = x1' W_k x2 + b_k: for each output a product with W_k, then one with x2."""
    _, in1, in2 = call.shapes[2]
    return call.size * (in1 * in2 + in2)


def _conv(call: Call) -> int:
    """For each output a product with a filter, (out, in / groups, ...)."""
    return call.size * math.prod(call.shapes[1][1:])


def _conv_transpose(call: Call) -> int:
    """For each input a product with a filter, (in, out / groups, ...)."""
    return math.prod(call.shapes[0]) * math.prod(call.shapes[1][1:])


def _conv_weight(call: Call) -> int:
    """For each gradient of an output a product with the inputs that it was made of."""
    return math.prod(call.shapes[0]) * math.prod(call.out[1:])


def einsum_terms(call: Call) -> tuple[int, int]:
    """Return how many operands there are, and how many tuples of indices.

    The op's equation names every dimension, so the sizes of its letters say how many there are.
    """
    terms = str(call.params["equation"]).partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, call.shapes, strict=True):
        sizes.update(zip(term, shape, strict=True))
    return len(terms), math.prod(sizes.values())


def _einsum(call: Call) -> int:
    """For each tuple of indices of two operands one."""
    operands, tuples = einsum_terms(call)
    return tuples if operands == 2 else 0


def _einsum_of_others(call: Call) -> int:
    """For each tuple of indices: a multiplication for each further operand, and an addition."""
    operands, tuples = einsum_terms(call)
    return 0 if operands == 2 else operands * tuples


def attended(call: Call) -> tuple[int, int, int]:
    """Return the pairs of a query and a key that it sees, and the sizes of a key and a value.

    Query, key and value are (..., T, D), (..., S, D) and (..., S, Dv), or, of all heads, stand
    side by side: (N, T, features).
    """
    params = call.params
    if call.name == "scaled_dot_product_attention":
        length, keys, dim = call.shapes[0][-2], call.shapes[1][-2], call.shapes[0][-1]
        value_dim = call.shapes[2][-1]
        heads = call.size // max(length * value_dim, 1)
    else:
        samples, length, features = call.shapes[0]
        heads, keys = samples * int(params["num_heads"]), length
        dim = features // (int(params["num_heads"]) + 2 * int(params["num_kv_heads"]))
        value_dim = dim
    if call.name == "cached_attention":  # the last positions of a sequence, all of it in the cache
        keys = int(params["cache"].length)
        pairs = length * keys - length * (length - 1) // 2
    elif params["is_causal"]:  # query t sees keys 0 to t
        pairs = sum(min(t + 1, keys) for t in range(length))
    else:
        pairs = length * keys
    return heads * pairs, dim, value_dim


def _attention(call: Call) -> int:
    """For each pair the product of query and key, and one with the value."""
    pairs, dim, value_dim = attended(call)
    return pairs * (dim + value_dim)


def _attention_weights(call: Call) -> int:
    """For each pair the scaling of the product, and softmax."""
    return attended(call)[0] * (1 + STEPS["softmax"])


def _block_step(call: Call) -> int:
    """A position through a block of GPT: four products with a vector, and its attention.

    Its inputs are the position, then weight and bias of: norm, in, out, norm, up, down.
    """
    weights = sum(math.prod(call.shapes[i]) for i in (3, 5, 9, 11))
    return weights + 2 * call.shapes[5][1] * int(call.params["cache"].length)


def _beside_block_step(call: Call) -> int:
    """Biases, two norms, softmax, two additions, and GELU of what ``up`` returns."""
    biases = sum(math.prod(call.shapes[i]) for i in (4, 6, 10, 12) if call.has(i))
    norms = 2 * STEPS["layer_norm"] * call.size
    activations = STEPS["gelu"] * call.shapes[9][0]
    return biases + norms + _softmax_of_cached(call) + 2 * call.size + activations


def _modern_block_step(call: Call) -> int:
    """A position through a block of ModernGPT: six products with a vector, and its attention.

    Its inputs are the position, its embedding and the first block's value; the embedding's blend;
    weights of query, key and value; the value's blend; weights of out, up and down.
    """
    weights = sum(math.prod(call.shapes[i]) for i in (4, 5, 6, 8, 9, 10))
    return weights + 2 * call.shapes[8][1] * int(call.params["cache"].length)


def _beside_modern_block_step(call: Call) -> int:
    """Blends, norms, rotations, softmax, two additions, and what ``up`` returns squared."""
    width, hidden = call.shapes[8][1], call.shapes[9][0]
    blends = STEPS["blend"] * (call.size * call.has(3) + width * (call.has(2) and call.has(7)))
    norms = STEPS["rms_norm"] * (2 * call.size + 2 * width)
    rotations = 2 * STEPS["rotary_embedding"] * width
    activations = STEPS["relu_squared"] * hidden
    return blends + norms + rotations + _softmax_of_cached(call) + 2 * call.size + activations


def _softmax_of_cached(call: Call) -> int:
    """For each pair of the position and one in the cache the scaling, and softmax."""
    pairs = int(call.params["num_heads"]) * int(call.params["cache"].length)
    return pairs * (1 + STEPS["softmax"])


def _pool(call: Call) -> int:
    """For each output a step for each element of its window."""
    height, width = call.params["kernel_size"]
    return call.size * int(height * width)


def _pool_back(call: Call) -> int:
    """For each gradient a step for each element of the window that it goes to."""
    height, width = call.params["kernel_size"]
    return math.prod(call.shapes[0]) * int(height * width)


def resampling(call: Call) -> tuple[int, int]:
    """Return the steps for a number that is made of several, and for one that goes back to them.

    The first is a sum of products with weights, where there are any; of the second each product is
    added to what others have brought.
    """
    taps = call.params["taps"]
    products = sum(weights is not None for _, weights in taps)
    return products + len(taps) - 1, products + len(taps)


def _sort(call: Call) -> int:
    """For each output as many comparisons as a number takes that is merged in."""
    length = call.out[call.params["dim"]] if call.out else 1
    return call.size * max(length - 1, 0).bit_length()


def _topk(call: Call) -> int:
    """Each element is compared, and those that are chosen are sorted."""
    return math.prod(call.shapes[0]) + _sort(call)


def _batch_norm(call: Call) -> int:
    """Sum; subtract, square, sum; subtract, multiply, add: the last three if moments are given."""
    return call.size * (3 if call.has(3) else 7)


MACS: Mapping[str, Callable[[Call], int]] = {
    "matmul": _matmul,
    "linear": _linear,
    "int8_linear": _matmul,
    "int4_linear": _matmul,
    "quantized_linear": _matmul,
    "bilinear": _bilinear,
    "einsum": _einsum,
    "conv2d": _conv,
    "conv_transpose2d": _conv_transpose,
    "conv2d_weight": _conv_weight,
    "scaled_dot_product_attention": _attention,
    "self_attention": _attention,
    "cached_attention": _attention,
    "gpt_block_step": _block_step,
    "modern_gpt_block_step": _modern_block_step,
}

BESIDE: Mapping[str, Callable[[Call], int]] = {
    "linear": _bias,
    # each sum is scaled; of groups, each weight is
    "int8_linear": lambda call: call.size * (1 + call.has(4)),
    "int4_linear": lambda call: 2 * math.prod(call.shapes[1]) + call.size * call.has(4),
    "quantized_linear": lambda call: (
        STEPS["quantize"] * math.prod(call.shapes[0]) + call.size * (1 + call.has(6))
    ),
    "bilinear": lambda call: call.size * call.has(3),
    "einsum": _einsum_of_others,
    "conv2d": _bias,
    "conv_transpose2d": _bias,
    "scaled_dot_product_attention": _attention_weights,
    "self_attention": _attention_weights,
    "cached_attention": _attention_weights,
    "gpt_block_step": _beside_block_step,
    "modern_gpt_block_step": _beside_modern_block_step,
}

FORMULAS: Mapping[str, Callable[[Call], int]] = {
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "avg_pool2d_input": _pool_back,
    "interpolate": lambda call: call.size * resampling(call)[0],
    "interpolate_back": lambda call: math.prod(call.shapes[0]) * resampling(call)[1],
    "argsort": _sort,
    "argtopk": _topk,
    "batch_norm": _batch_norm,
    "scatter_add": lambda call: math.prod(call.shapes[2]),  # one for each that is added
}

READS: Mapping[str, int] = {
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "any", "all"), 1),
    **dict.fromkeys(("argmax", "argmin", "cumsum"), 1),
    "max_pool2d_scatter": 1,  # added to the winners
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
    "leaky_relu": 2,  # scale, maximum
    "elu": 5,  # minimum, expm1, scale, maximum, add
    "softplus": 8,  # scale, absolute, exp, log1p, maximum, add, divide, choose
    "gelu": 5,  # scale, erf, add, multiply, halve
    "rsqrt": 2,  # square root, divide
    "quantize": 3,  # multiply, round, clip
    "fake_quantize": 4,  # the same, and multiply
    "layer_norm": 7,  # sum; subtract, square, sum; subtract, multiply, add
    "group_norm": 7,
    "rms_norm": 4,  # square, sum, multiply twice
    "relu_squared": 2,
    "rotary_embedding": 3,  # two products, add
    "blend": 3,
}

FREE = frozenset(
    {
        *("reshape", "view", "permute", "expand", "concat", "stack", "pad", "flip", "roll", "tile"),
        *("getitem", "setitem", "unindex", "gather", "take", "index_select", "embedding"),
        *("one_hot", "tril", "triu", "clone", "cast", "where", "batch_first", "max_pool2d_gather"),
    }
)
