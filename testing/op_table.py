"""Every op and function of tt_tensor, declared once, for the tests of values and of gradients.

A case's function takes tensors of any class, so the same table serves tt_tensor, tt_autograd and
the comparison with PyTorch. Its reference is the same formula in NumPy's terms, written without
our kernels: it takes the array module first, which is ``numpy`` for values and
``autograd.numpy`` for an independent gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import op_references as reference
import op_samples as some
import tt_tensor as tt
from op_case import (
    A3,
    A23,
    A43,
    ALONG,
    BINARY,
    BITS,
    EMPTY,
    I3,
    NO_OPERAND,
    NO_SUCH_DIM,
    NO_TENSOR,
    REDUCED,
    UNARY,
    case,
    flat,
    no_tensor,
    over_all,
    pairs,
    torch_norm,
    torch_prod,
)
from op_case import Kink as Kink
from op_case import OpCase as OpCase
from op_case import Refused as Refused
from op_case import convert as convert
from op_case import run as run
from tt_tensor import ops

# Ops that no function of their own runs: indexed writing as a value, and what undoes indexing.


def setitem(x: Any, value: Any, index: Any) -> Any:
    return tt.apply(ops.SETITEM, x, value, index=bare(index))


def unindex(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    return tt.apply(ops.UNINDEX, x, index=bare(index), shape=shape)


def bare(index: Any) -> Any:
    """Return an index with the tensors and lists in it as arrays, which is how ops take it."""
    if isinstance(index, tuple):
        return tuple(map(bare, index))
    return np.asarray(index) if isinstance(index, tt.Tensor | list) else index


# fmt: off
ARITHMETIC = (
    case("add", lambda xp, a, b: xp.add(a, b), some.binary(some.real), BINARY),
    case("sub", lambda xp, a, b: xp.subtract(a, b), some.binary(some.real), BINARY),
    case("mul", lambda xp, a, b: xp.multiply(a, b), some.binary(some.real), BINARY),
    case("div", lambda xp, a, b: xp.true_divide(a, b), some.binary(some.nonzero), BINARY),
    case("pow", lambda xp, a, b: xp.power(a, b), some.powers, BINARY),
    case("remainder", lambda xp, a, b: xp.remainder(a, b), some.remainders, BINARY),
    case("maximum", lambda xp, a, b: xp.maximum(a, b), some.apart, BINARY, torch=pairs("maximum")),
    case("minimum", lambda xp, a, b: xp.minimum(a, b), some.apart, BINARY, torch=pairs("minimum")),
    case("neg", lambda xp, x: xp.negative(x), some.unary(some.real), UNARY),
    case("abs", lambda xp, x: xp.abs(x), some.unary(some.nonzero), UNARY),
    case("square", lambda xp, x: xp.square(x), some.unary(some.real), UNARY),
    case("reciprocal", lambda xp, x: 1 / x, some.unary(some.nonzero), UNARY),
    case("clip", lambda xp, x, a=None, b=None: xp.clip(x, a, b), some.limits, (
        NO_TENSOR,
        Refused((A23,), ValueError, "expected min or max or both"),
        Refused((A23, A43), ValueError, "do not broadcast"),
    ), hips=False),
    case("clone", lambda xp, x: xp.array(x), some.unary(some.real), UNARY),
    case("cast", lambda xp, x, dtype: x.astype(dtype), some.casts, function=lambda x, d: x.to(d),
         refused=(Refused((A23, "complex64"), TypeError, "^to: dtype complex64 is not supported"),
                  Refused((A23, "number"), TypeError, "^to: 'number' is no dtype")),
         torch=lambda torch, x, dtype: x.to(getattr(torch, np.dtype(dtype).name))),
    flat("sign", lambda xp, x: xp.sign(x), some.unary(some.nonzero), UNARY),
    flat("floor", lambda xp, x: xp.floor(x), some.unary(some.fraction), UNARY),
    flat("ceil", lambda xp, x: xp.ceil(x), some.unary(some.fraction), UNARY),
    flat("round", lambda xp, x, decimals=0: xp.round(x, decimals), some.rounded, UNARY),
    flat("floor_divide", lambda xp, a, b: xp.floor_divide(a, b), some.remainders, BINARY),
)

MATH = (
    case("exp", lambda xp, x: xp.exp(x), some.unary(some.real), UNARY),
    case("expm1", lambda xp, x: xp.expm1(x), some.unary(some.real), UNARY),
    case("log", lambda xp, x: xp.log(x), some.unary(some.positive), UNARY),
    case("log1p", lambda xp, x: xp.log1p(x), some.unary(some.positive), UNARY),
    case("sqrt", lambda xp, x: xp.sqrt(x), some.unary(some.positive), UNARY),
    case("rsqrt", lambda xp, x: 1 / xp.sqrt(x), some.unary(some.positive), UNARY),
    case("sin", lambda xp, x: xp.sin(x), some.unary(some.real), UNARY),
    case("cos", lambda xp, x: xp.cos(x), some.unary(some.real), UNARY),
    case("tanh", lambda xp, x: xp.tanh(x), some.unary(some.real), UNARY),
    case("erf", reference.erf, some.unary(some.spread), UNARY, hips=False),
)

LOGIC = (
    flat("eq", lambda xp, a, b: xp.equal(a, b), some.binary(some.whole, scalar=1), BINARY,
         torch=pairs("eq")),
    flat("ne", lambda xp, a, b: xp.not_equal(a, b), some.binary(some.whole, scalar=1), BINARY,
         torch=pairs("ne")),
    flat("lt", lambda xp, a, b: xp.less(a, b), some.binary(some.whole, scalar=1), BINARY,
         torch=pairs("lt")),
    flat("le", lambda xp, a, b: xp.less_equal(a, b), some.binary(some.whole, scalar=1), BINARY,
         torch=pairs("le")),
    flat("gt", lambda xp, a, b: xp.greater(a, b), some.binary(some.whole, scalar=1), BINARY,
         torch=pairs("gt")),
    flat("ge", lambda xp, a, b: xp.greater_equal(a, b), some.binary(some.whole, scalar=1), BINARY,
         torch=pairs("ge")),
    flat("logical_and", lambda xp, a, b: xp.logical_and(a, b), some.binary(some.truth, scalar=1),
         BINARY, torch=pairs("logical_and")),
    flat("logical_or", lambda xp, a, b: xp.logical_or(a, b), some.binary(some.truth, scalar=1),
         BINARY, torch=pairs("logical_or")),
    flat("logical_xor", lambda xp, a, b: xp.logical_xor(a, b), some.binary(some.truth, scalar=1),
         BINARY, torch=pairs("logical_xor")),
    flat("logical_not", lambda xp, x: xp.logical_not(x), some.unary(some.truth), UNARY),
    flat("bitwise_and", lambda xp, a, b: xp.bitwise_and(a, b), some.binary(some.whole, scalar=5),
         BITS),
    flat("bitwise_or", lambda xp, a, b: xp.bitwise_or(a, b), some.binary(some.whole, scalar=5),
         BITS),
    flat("bitwise_xor", lambda xp, a, b: xp.bitwise_xor(a, b), some.binary(some.whole, scalar=5),
         BITS),
    flat("bitwise_not", lambda xp, x: xp.invert(x), some.unary(some.whole),
         (NO_TENSOR, Refused((A23,), TypeError, "not defined for float64"))),
    flat("isnan", lambda xp, x: xp.isnan(x), some.unary(some.odd), UNARY),
    flat("isinf", lambda xp, x: xp.isinf(x), some.unary(some.odd), UNARY),
    flat("isfinite", lambda xp, x: xp.isfinite(x), some.unary(some.odd), UNARY),
    case("where", lambda xp, c, a, b: xp.where(c, a, b), some.chosen, (
        Refused((A23, A23, 0.0), TypeError, "expected a condition of dtype bool"),
        Refused((A23 > 0, A43, 0.0), ValueError, "do not broadcast"),
        Refused((A23 > 0, "x", 0.0), TypeError, "got str"),
    ), hips=False),
)

REDUCTIONS = (
    case("sum", reference.reduction("sum"), some.reduced(some.real), REDUCED,
         torch=over_all("sum")),
    case("prod", reference.reduction("prod"), some.reduced(some.nonzero), REDUCED,
         torch=torch_prod),
    case("mean", reference.reduction("mean"), some.reduced(some.real, least=1), REDUCED,
         torch=over_all("mean")),
    case("var", reference.var, some.reduced(some.real, least=2, correction=1), REDUCED),
    case("var.biased", reference.var, some.reduced(some.real, least=1, correction=0)),
    case("std", lambda xp, x, **kw: xp.sqrt(reference.var(xp, x, **kw)),
         some.reduced(some.real, least=2, correction=1), REDUCED),
    case("max", reference.reduction("max"), some.reduced(some.distinct, least=1),
         (*REDUCED, EMPTY), torch="amax"),
    case("min", reference.reduction("min"), some.reduced(some.distinct, least=1),
         (*REDUCED, EMPTY), torch="amin"),
    case("logsumexp", reference.logsumexp, some.reduced(some.real, least=1), REDUCED,
         torch=over_all("logsumexp")),
    case("norm", reference.norm, some.reduced(some.real, least=1), (
        NO_TENSOR,
        Refused((A23, -1), ValueError, "expected p > 0"),
        Refused((A23, 2, 5), IndexError, "dim 5 is out of range"),
    ), torch=torch_norm),
    case("norm.1", reference.norm, some.reduced(some.nonzero, p=1), torch=torch_norm),
    case("norm.3", reference.norm, some.reduced(some.nonzero, least=1, p=3), torch=torch_norm),
    case("norm.inf", reference.norm, some.reduced(some.distinct, least=1, p=float("inf")),
         torch=torch_norm),
    case("cumsum", reference.cumsum, some.along(some.real),
         ALONG),
    flat("any", reference.reduction("any"), some.reduced(some.truth), REDUCED),
    flat("all", reference.reduction("all"), some.reduced(some.truth), REDUCED, op=ops.EVERY),
    flat("argmax", reference.reduction("argmax"), some.picked, (NO_TENSOR, NO_SUCH_DIM, EMPTY)),
    flat("argmin", reference.reduction("argmin"), some.picked, (NO_TENSOR, NO_SUCH_DIM, EMPTY)),
)

SHAPES = (
    case("reshape", lambda xp, x, shape: xp.reshape(x, shape), some.shaped(
        some.real, ((), (1, 1)), ((6,), (2, 3)), ((2, 3), (-1,)), ((2, 3, 4), (4, -1)),
        ((0, 3), (3, 0)), ((1,), ()),
    ), (
        NO_TENSOR,
        Refused((A23, (4, 2)), ValueError, r"\(4, 2\) holds 8 elements, the tensor has 6"),
        Refused((A23, (4, -1)), ValueError, r"6 elements do not divide into shape \(4, -1\)"),
        Refused((A23, (-1, -1)), ValueError, "more than one size to be worked out"),
        Refused((A23, (-2, 3)), ValueError, "negative size"),
        Refused((A23, (2.0, 3)), TypeError, "expected ints"),
    )),
    case("view", lambda xp, x, shape: xp.reshape(x, shape), some.views, (
        NO_TENSOR,
        Refused((A23.T, (6,)), ValueError, "memory layout allows no view of that shape"),
        Refused((A23, (4, 2)), ValueError, "holds 8 elements"),
    ), torch="Tensor.view"),
    case("flatten", reference.flatten, some.shaped(
        some.real, ((),), ((4,),), ((2, 3, 4),), ((2, 3, 4), 1), ((2, 3, 4), 0, -2), ((2, 0), 1),
    ), (
        NO_TENSOR, NO_SUCH_DIM,
        Refused((A23, 1, 0), ValueError, "start_dim 1 comes after end_dim 0"),
    )),
    case("unflatten", reference.unflatten, some.shaped(
        some.real, ((6,), 0, (2, 3)), ((2, 6), -1, (3, -1)), ((4, 2), 0, (2, 1, 2)),
    ), (
        no_tensor(0, (1,)),
        Refused((A23, 1, (2, 2)), ValueError, r"\(2, 2\) do not multiply to 3"),
        Refused((A23, 2, (2, 2)), IndexError, "dim 2 is out of range"),
        Refused((np.array(1.0), 0, (1,)), IndexError, "at least one dimension"),
    )),
    case("permute", lambda xp, x, dims: xp.transpose(x, dims), some.shaped(
        some.real, ((), ()), ((2, 3), (1, 0)), ((2, 3, 4), (2, 0, -2)), ((0, 3), (1, 0)),
    ), (
        NO_TENSOR,
        Refused((A23, (0, 0)), ValueError, "expected each of the 2 dimensions"),
        Refused((A23, (0, 2)), IndexError, "dim 2 is out of range"),
    ), hips=False),
    case("transpose", lambda xp, x, a, b: xp.swapaxes(x, a, b), some.shaped(
        some.real, ((4,), 0, -1), ((2, 3), 0, 1), ((2, 3, 4), -1, 0), ((0, 3), 0, 1),
    ), (no_tensor(0, 0), Refused((A23, 0, 2), IndexError, "dim 2 is out of range")), hips=False),
    case("swapaxes", lambda xp, x, a, b: xp.swapaxes(x, a, b), some.shaped(
        some.real, ((2, 3), 0, 1), ((2, 3, 4), 1, -1),
    ), hips=False),
    case("squeeze", reference.squeeze, some.shaped(
        some.real, ((),), ((1,),), ((2, 1, 3),), ((1, 3, 1), 0), ((1, 3, 1), (0, -1)), ((2, 3), 0),
    ), (NO_TENSOR, NO_SUCH_DIM)),
    case("unsqueeze", lambda xp, x, dim: xp.expand_dims(x, dim), some.shaped(
        some.real, ((), 0), ((3,), 0), ((3,), 1), ((2, 3), -1), ((2, 3), -3), ((2, 3), 1),
    ), (NO_TENSOR, Refused((A23, 3), IndexError, "dim 3 is out of range"))),
    case("expand", reference.expand, some.shaped(
        some.real, ((), (2,)), ((3,), (2, 3)), ((2, 1), (2, 4)), ((2, 1), (-1, 4)), ((1,), (0,)),
    ), (
        NO_TENSOR,
        Refused((A23, (2, 4)), ValueError, r"\(2, 3\) does not stretch to \(2, 4\)"),
        Refused((A23, (3,)), ValueError, "does not stretch"),
    ), torch="Tensor.expand"),
    case("broadcast_to", reference.expand, some.shaped(
        some.real, ((), (2,)), ((3,), (2, 3)), ((2, 1), (3, 2, 4)),
    ), (no_tensor((1,)),)),
    case("concat", lambda xp, ts, dim=0: xp.concatenate(ts, dim), some.joined(
        [(2,)], [(2,), (3,)], [(0,), (2,)],
    ), (
        Refused((A23,), TypeError, "expected a list or tuple of tensors"),
        Refused(([],), ValueError, "expected at least one tensor"),
        Refused(([A23, A3],), ValueError, "same number of dimensions"),
        Refused(([A23, np.ones((2, 4))],), ValueError, "equal sizes in every dimension but 0"),
        Refused(([A23, A23], 2), IndexError, "dim 2 is out of range"),
        Refused(([np.array(1.0)],), ValueError, "at least one dimension"),
    )),
    case("concat.last", lambda xp, ts, dim: xp.concatenate(ts, dim), some.joined(
        [(2, 1), (2, 3), (2, 0)], [(2, 2, 1), (2, 2, 2)], dim=-1,
    )),
    case("stack", lambda xp, ts, dim=0: xp.stack(ts, dim), some.joined([()], [(2,), (2,), (2,)]), (
        Refused((A23,), TypeError, "expected a list or tuple of tensors"),
        Refused(([],), ValueError, "expected at least one tensor"),
        Refused(([A23, A43],), ValueError, "expected tensors of equal shape"),
    )),
    case("stack.last", lambda xp, ts, dim: xp.stack(ts, dim), some.joined(
        [(2, 3), (2, 3)], [(1,)], dim=-1,
    )),
    case("split", reference.split, some.shaped(
        some.real, ((5,), 2), ((2, 6), 3, 1), ((2, 6), [1, 2, 3], -1), ((4, 2), 9), ((0, 2), 3),
    ), (
        no_tensor(1),
        Refused((A3, 0), ValueError, "expected a split size above 0"),
        Refused((A3, None), TypeError, "expected the split size to be an int"),
        Refused((A3, [1, 1]), ValueError, r"sections \[1, 1\] do not add up to 3"),
        Refused((np.array(1.0), 1), IndexError, "at least one dimension"),
        Refused((A3, 1, 1), IndexError, "dim 1 is out of range"),
    ), hips=False),
    case("chunk", reference.chunk, some.shaped(some.real, ((5,), 2), ((2, 6), 4, 1)), (
        no_tensor(1),
        Refused((A3, 0), ValueError, "expected chunks above 0"),
        Refused((A3, None), TypeError, "expected chunks to be an int"),
    ), hips=False),
    case("unbind", reference.unbind, some.shaped(some.real, ((3,),), ((2, 3),), ((2, 3), -1)), (
        NO_TENSOR, Refused((np.array(1.0),), IndexError, "at least one dimension"),
    ), hips=False),
    case("pad", reference.pad, some.shaped(
        some.real, ((3,), (1, 2)), ((2, 3), (0, 1)), ((2, 3), (1, 0, 2, 1)), ((2, 3), (-1, 2)),
        ((2, 3), (1, 1), "constant", 0.5), ((), ()), ((1, 2, 4), (2, 1), "reflect"),
        ((1, 2, 4), (3, 4), "circular"), ((1, 2, 4), (3, 5), "replicate"),
        ((1, 2, 3, 4), (1, 2, 2, 0), "reflect"), ((1, 2, 3, 4), (1, 2, 2, 0), "circular"),
        ((1, 2, 3, 4), (1, 2, 2, 0), "replicate"),
    ), (
        no_tensor((1, 1)),
        Refused((A3, (1,)), ValueError, "expected up to 1 pairs of widths"),
        Refused((A3, (1, 1, 1, 1)), ValueError, "expected up to 1 pairs of widths"),
        Refused((A3, (-2, -2)), ValueError, "cut more than shape"),
        Refused((A3, (1, 1), "mirror"), ValueError, "expected mode 'constant'"),
        Refused((A3, (3, 0), "reflect"), ValueError, "allows a padding of at most 2"),
        Refused((A3, (4, 0), "circular"), ValueError, "allows a padding of at most 3"),
        Refused((np.ones(0), (1, 0), "replicate"), ValueError, "allows a padding of at most 0"),
        Refused((I3, (1, 1), "constant", 0.5), TypeError, "a value that int64 can hold"),
    ), torch="nn.functional.pad", hips=False),
    case("flip", lambda xp, x, dims=None: xp.flip(x, dims), some.shaped(
        some.real, ((),), ((4,), (0,)), ((2, 3), (0, -1)), ((2, 3, 4), (1,)), ((2, 0), (1,)),
    ), (NO_TENSOR, NO_SUCH_DIM), torch=lambda torch, x, dims=None: torch.flip(
        x, tuple(range(x.ndim)) if dims is None else dims), hips=False),
    case("roll", lambda xp, x, shifts, dims=None: xp.roll(x, shifts, dims), some.shaped(
        some.real, ((4,), 1), ((2, 3), 2), ((2, 3), -1, 1), ((2, 3), (1, -2), (0, -1)), ((0,), 1),
    ), (
        no_tensor(1),
        Refused((A23, (1, 2), 0), ValueError, "as many shifts as dims"),
        Refused((A23, 1, 2), IndexError, "dim 2 is out of range"),
    ), hips=False),
    case("tile", lambda xp, x, repeats: xp.tile(x, repeats), some.shaped(
        some.real, ((), (2,)), ((3,), (2,)), ((2, 3), (2,)), ((3,), (2, 1, 2)), ((2, 3), (0, 1)),
    ), (NO_TENSOR, Refused((A3, (-1,)), ValueError, "repeats of at least 0")), hips=False),
    case("repeat", lambda xp, x, repeats: xp.tile(x, repeats), some.shaped(
        some.real, ((), (2,)), ((3,), (2,)), ((2, 3), (1, 2)), ((2, 3), (2, 1, 3)),
    ), (
        NO_TENSOR,
        Refused((A23, (2,)), ValueError, "expected at least 2 repeats"),
    ), torch="Tensor.repeat"),
)

INDEXING = (
    case("getitem", lambda xp, x, index: x[index], some.indexed(*some.INDICES), (
        Refused((A3, 3), IndexError, r"index 3 is out of range for dimension 0 of size 3"),
        Refused((A3, (0, 0)), IndexError, "2 indices for 1 dimension"),
        Refused((A3, "a"), IndexError, "expected ints, slices"),
        Refused((A3, A3), IndexError, "expected an index of integers or bools, got dtype float64"),
        Refused((A3, A3[:1] > 0), IndexError, r"a mask of shape \(1,\) .* sizes \(3,\)"),
        Refused((A3, 0.0), IndexError, "expected ints, slices"),
        Refused((A23, (I3[:2], I3)), IndexError, r"shapes \(2,\) and \(3,\) do not broadcast"),
        Refused((A23, (0, I3 + 1)), IndexError, "index 3 is out of range for dimension 1"),
        Refused((A23, (..., ...)), IndexError, "'...' only once"),
    ), torch=lambda torch, x, index: x[index]),
    case("getitem.numpy", lambda xp, x, index: x[index], some.indexed(*some.NUMPY_INDICES),
         torch=None),
    case("setitem", reference.setitem, some.written, (
        Refused((A23, A3[:2], 0), ValueError, r"\(2,\) does not broadcast to .* shape \(3,\)"),
        Refused((I3, 0.5, 0), TypeError, "a value that int64 can hold"),
        Refused((A3, "x", 0), TypeError, "got str"),
        Refused((A3, None, 0), TypeError, "a number as the value"),
        Refused((A3, 1.0, 3), IndexError, "index 3 is out of range for dimension 0 of size 3"),
    ), function=setitem, torch=None, hips=False),
    case("unindex", reference.unindex, some.unindexed, (), function=unindex, torch=None,
         hips=False),
    case("gather", reference.gather, some.gathered, (
        Refused((A3, 0, np.array([3])), IndexError, "index 3 is out of range for dimension 0"),
        Refused((A3, 0, np.array([0.5])), TypeError, "expected an index of integers"),
        Refused((A3, 0, 1), TypeError, "expected tensors only"),
        Refused((A23, 0, I3), ValueError, "same number of dimensions"),
        Refused((A23, 1, np.zeros((3, 1), int)), ValueError, "size 3 in dimension 0, input only 2"),
        Refused((A23, 2, I3), IndexError, "dim 2 is out of range"),
    ), hips=False),
    case("scatter_add", reference.scatter_add, some.scattered, (
        Refused((A3, 0, np.array([3]), A3[:1]), IndexError, "index 3 is out of range"),
        Refused((A3, 0, I3, A3[:2]), ValueError, "expected src of the shape of index"),
        Refused((A3, 1, I3, A3), IndexError, "dim 1 is out of range"),
    ), hips=False),
    case("take", reference.take, some.taken, (
        Refused((A3, np.array([-4])), IndexError, "index -4 is out of range"),
        Refused((A3, np.array([0.5])), TypeError, "expected an index of integers"),
    ), torch=lambda torch, x, index, dim=None: (
        torch.take(x, index) if dim is None else x[(slice(None),) * (dim % x.ndim) + (index,)])),
    case("index_select", lambda xp, x, dim, index: reference.take(xp, x, index, dim),
         some.selected, (
        Refused((A23, 0, np.array([2])), IndexError, "index 2 is out of range for dimension 0"),
        Refused((A23, 0, np.array([[0]])), ValueError, "expected an index of one dimension"),
        Refused((A23, 2, I3), IndexError, "dim 2 is out of range"),
    )),
    case("tril", lambda xp, x, k=0: xp.tril(x, k), some.matrices, (
        NO_TENSOR, Refused((A3,), ValueError, "expected at least two dimensions"),
    )),
    case("triu", lambda xp, x, k=0: xp.triu(x, k), some.matrices, (
        NO_TENSOR, Refused((A3,), ValueError, "expected at least two dimensions"),
    )),
    case("sort", reference.sort, some.sorted_ways, (NO_TENSOR, NO_SUCH_DIM),
         op=None, torch="sort", hips=False),
    case("topk", reference.topk, some.topped, (
        no_tensor(1),
        Refused((A3, "x"), TypeError, "expected k to be an int, got str"),
        Refused((A3, 4), ValueError, "expected k from 0 to 3, the size of dimension 0"),
        Refused((A23, 1, 2), IndexError, "dim 2 is out of range"),
    ), op=ops.ARGTOPK, hips=False),
    flat("argsort", lambda xp, x, *a, **kw: reference.order(x, *a, **kw), some.sorted_with_equals,
         (NO_TENSOR, NO_SUCH_DIM)),
    flat("one_hot", reference.one_hot, some.classes, (
        NO_TENSOR,
        Refused((A3,), TypeError, "expected class indices of an integer dtype"),
        Refused((I3, 2), ValueError, "expected classes from 0 to 1, got 0 to 2"),
        Refused((np.array([-1]),), ValueError, "expected classes of at least 0, got -1 to -1"),
    ), torch="nn.functional.one_hot"),
)

PRODUCTS = (
    case("matmul", lambda xp, a, b: xp.matmul(a, b), some.products(
        ((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (5, 3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)),
        ((2, 0), (0, 3)), ((0, 3), (3, 2)),
    ), (
        NO_OPERAND,
        Refused((A23, A23), ValueError, r"the first ends in 3, the second has 2 rows"),
        Refused((A23, 2.0), ValueError, "multiply by a scalar with"),
        Refused((np.ones((2, 2, 3)), np.ones((3, 3, 1))), ValueError, "batch.*do not broadcast"),
    )),
    case("dot", lambda xp, a, b: xp.dot(a, b), some.products(((3,), (3,)), ((0,), (0,))), (
        NO_TENSOR_PAIR := Refused(([1.0], A3), TypeError, "expected a Tensor, got list"),
        Refused((A3, A3[:2]), ValueError, "expected two vectors of one length"),
        Refused((A23, A23), ValueError, "expected two vectors of one length"),
    )),
    case("outer", lambda xp, a, b: xp.outer(a, b), some.products(((3,), (2,)), ((0,), (2,))), (
        NO_TENSOR_PAIR, Refused((A23, A3), ValueError, "expected two vectors"),
    )),
    case("einsum", lambda xp, equation, *xs: xp.einsum(equation, *xs), some.equations, (
        Refused((A23, A23), TypeError, "expected an equation first"),
        Refused(("ij",), ValueError, "expected operands"),
        Refused(("ij,jk->ik", A23), ValueError, "names 2 operands, got 1"),
        Refused(("ij,jk->ik", A23, A23), ValueError, "letter 'j' is 3 before and 2 in operand 1"),
        Refused(("ijk->i", A23), ValueError, "does not name the 2 dimensions of operand 0"),
        Refused(("ij->k", A23), ValueError, "output letter 'k'"),
        Refused(("ij->ii", A23), ValueError, "must stand once in the output"),
        Refused(("i1->i", A23), ValueError, "expected letters"),
        Refused(("ii->i", np.ones((1, 3))), ValueError, "asks for a diagonal"),
        Refused(("......", A23), ValueError, "does not name"),
    )),
    case("einsum.diagonal", lambda xp, equation, *xs: xp.einsum(equation, *xs), some.diagonals,
         hips=False),
)

ACTIVATIONS = (
    case("relu", lambda xp, x: xp.maximum(x, 0), some.unary(some.nonzero), UNARY),
    case("leaky_relu", lambda xp, x, slope=0.01: xp.where(x > 0, x, x * slope),
         some.slopes, UNARY, torch="nn.functional.leaky_relu"),
    case("sigmoid", lambda xp, x: 1 / (1 + xp.exp(-1.0 * x)), some.unary(some.spread), UNARY),
    case("silu", lambda xp, x: x / (1 + xp.exp(-1.0 * x)), some.unary(some.spread), UNARY,
         torch="nn.functional.silu"),
    case("gelu", reference.gelu, some.unary(some.spread), (
        NO_TENSOR, Refused((A3, "sin"), ValueError, "expected approximate to be 'none' or 'tanh'"),
    ), torch="nn.functional.gelu", hips=False),
    case("gelu.tanh", reference.gelu, some.with_kwargs(some.spread, approximate="tanh"),
         torch="nn.functional.gelu"),
    case("softplus", reference.softplus, some.with_kwargs(some.spread, beta=2.0, threshold=20.0), (
        NO_TENSOR, Refused((A3, 0.0), ValueError, "expected beta > 0"),
    ), torch="nn.functional.softplus"),
    case("elu", reference.elu, some.with_kwargs(some.nonzero, alpha=1.5), UNARY,
         torch="nn.functional.elu"),
    case("softmax", reference.softmax, some.along(some.real), ALONG),
    case("log_softmax", reference.log_softmax, some.along(some.real), ALONG),
)
# fmt: on

CASES = (
    *ARITHMETIC, *MATH, *LOGIC, *REDUCTIONS, *SHAPES, *INDEXING, *PRODUCTS, *ACTIVATIONS,
)  # fmt: skip

# Where a derivative is a convention.

KINKS = (
    Kink("relu at 0", tt.relu, (np.zeros(1),), (np.zeros(1),)),
    Kink("leaky_relu at 0", tt.leaky_relu, (np.zeros(1), 0.1), (np.array([0.1]),)),
    Kink("elu at 0", tt.elu, (np.zeros(1), 0.5), (np.array([0.5]),)),
    Kink("abs at 0", tt.abs, (np.zeros(1),), (np.zeros(1),)),
    Kink("clip at its limits", tt.clip, (np.array([0.0, 1.0]), 0.0, 1.0), (np.ones(2),)),
    Kink("maximum of equals", tt.maximum, (np.ones(1), np.ones(1)), (np.full(1, 0.5),) * 2),
    Kink("minimum of equals", tt.minimum, (np.ones(1), np.ones(1)), (np.full(1, 0.5),) * 2),
    Kink("max of equals", tt.max, (np.array([1.0, 3.0, 3.0]),), (np.array([0.0, 0.5, 0.5]),)),
    Kink("min of equals", tt.min, (np.array([1.0, 1.0, 3.0]),), (np.array([0.5, 0.5, 0.0]),)),
    Kink("max of equals in rows", tt.max, (np.ones((2, 2)), 1), (np.full((2, 2), 0.5),)),
    Kink("norm at 0", tt.norm, (np.zeros(3),), (np.zeros(3),)),
    Kink("norm of order 1 at 0", tt.norm, (np.array([0.0, 2.0]), 1), (np.array([0.0, 1.0]),)),
    Kink("norm of order 3 at 0", tt.norm, (np.zeros(3), 3), (np.zeros(3),)),
    Kink(
        "norm of order inf of equals",
        tt.norm,
        (np.array([2.0, -2.0]), float("inf")),
        (np.array([0.5, -0.5]),),
    ),
    Kink("std of equals", tt.std, (np.ones(3),), (np.zeros(3),)),
    Kink("prod with a 0", tt.prod, (np.array([2.0, 0.0, 3.0]),), (np.array([0.0, 6.0, 0.0]),)),
    Kink("prod with two 0", tt.prod, (np.array([2.0, 0.0, 0.0]),), (np.zeros(3),)),
    Kink("square of 0 by pow", tt.pow, (np.zeros(1), 2), (np.zeros(1),)),
    Kink("pow of 0 at 0", tt.pow, (np.zeros(1), 0), (np.zeros(1),)),
    Kink("where takes no part", tt.where, (np.array([True]), np.ones(1), 0.0), (np.ones(1),)),
)
