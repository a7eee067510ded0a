"""Matrices: products, triangles, outer products and Einstein's summation."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np

from ._arithmetic import MUL
from ._op import Array, Op, Operand, T, apply, shape_of
from ._shaping import RESHAPE


def _explain_matmul(input: Any, other: Any) -> str:
    a, b = np.shape(input), np.shape(other)
    if not a or not b:
        return "expected tensors with at least one dimension; multiply by a scalar with *"
    inner = b[-2] if len(b) > 1 else b[0]
    if a[-1] != inner:
        return (
            f"shapes {a} and {b} do not chain: the first ends in {a[-1]}, "
            f"the second has {inner} rows"
        )
    return f"the leading (batch) dimensions of {a} and {b} do not broadcast"


def _matmul(input: Array, other: Array) -> Array:
    """Multiply matrices, ``(..., n, k) @ (..., k, m) -> (..., n, m)``; vectors as in NumPy."""
    return np.asarray(np.matmul(input, other))


def _triangle(function: Any) -> Any:
    def kernel(input: Array, diagonal: int) -> Array:
        if input.ndim < 2:
            raise ValueError("expected at least two dimensions")
        return np.asarray(function(input, diagonal))

    return kernel


MATMUL = Op("matmul", _matmul, ("input", "other"), explain=_explain_matmul)
TRIL = Op("tril", _triangle(np.tril))
TRIU = Op("triu", _triangle(np.triu))


def matmul(input: T, other: Operand) -> T:
    """Multiply matrices, ``input @ other``, batched over leading dimensions.

    Args:
        input: Left factor; a vector counts as one row.
        other: Right factor; a vector counts as one column.

    Shape:
        ``(..., n, k) @ (..., k, m) -> (..., n, m)``, the leading dimensions broadcast;
        ``(k,) @ (k,) -> ()``.

    Raises:
        ValueError: The shapes do not chain, or one is a scalar.

    Example:
        >>> import tt_tensor as tt
        >>> tt.matmul(tt.tensor([[1.0, 2.0]]), tt.tensor([[3.0], [4.0]]))
        tensor([[11.]])
    """
    return apply(MATMUL, input, other)


def dot(input: T, other: T) -> T:
    """Multiply two vectors and add up, ``sum_i input[i] * other[i]``.

    Args:
        input: A vector.
        other: A vector of the same length.

    Shape:
        ``(n,), (n,) -> ()``.

    Raises:
        ValueError: They are not vectors of one length.

    Example:
        >>> import tt_tensor as tt
        >>> tt.dot(tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0]))
        tensor(11.)
    """
    a, b = shape_of("dot", input), shape_of("dot", other)
    if len(a) != 1 or a != b:
        raise ValueError(f"dot: expected two vectors of one length, got shapes {a} and {b}")
    return apply(MATMUL, input, other)


def outer(input: T, vec2: T) -> T:
    """Multiply every element of one vector with every one of another.

    Args:
        input: The vector whose elements stand for rows.
        vec2: The vector whose elements stand for columns.

    Shape:
        ``(n,), (m,) -> (n, m)``.

    Raises:
        ValueError: One of them is not a vector.

    Example:
        >>> import tt_tensor as tt
        >>> tt.outer(tt.tensor([1, 2]), tt.tensor([3, 4]))
        tensor([[3, 4],
                [6, 8]])
    """
    a, b = shape_of("outer", input), shape_of("outer", vec2)
    if len(a) != 1 or len(b) != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {a} and {b}")
    return apply(MUL, apply(RESHAPE, input, shape=(a[0], 1)), vec2)  # (n, 1) * (m,) -> (n, m)


def tril(input: T, diagonal: int = 0) -> T:
    """Keep what lies on and below a diagonal of the last two dimensions; the rest is zero.

    Args:
        input: Matrices, ``(..., n, m)``.
        diagonal: Which diagonal: 0 is the main one, above it are positive numbers.

    Raises:
        ValueError: There are fewer than two dimensions.

    Example:
        >>> import tt_tensor as tt
        >>> tt.tril(tt.tensor([[1, 2], [3, 4]]))
        tensor([[1, 0],
                [3, 4]])
    """
    return apply(TRIL, input, diagonal=diagonal)


def triu(input: T, diagonal: int = 0) -> T:
    """Keep what lies on and above a diagonal of the last two dimensions; the rest is zero.

    Args:
        input: Matrices, ``(..., n, m)``.
        diagonal: Which diagonal: 0 is the main one, above it are positive numbers.

    Raises:
        ValueError: There are fewer than two dimensions.

    Example:
        >>> import tt_tensor as tt
        >>> tt.triu(tt.tensor([[1, 2], [3, 4]]))
        tensor([[1, 2],
                [0, 4]])
    """
    return apply(TRIU, input, diagonal=diagonal)


def _einsum(*operands: Array, equation: str) -> Array:
    # With a plan, products of matrices go to BLAS: 5 to 7 times as fast for two operands. Making
    # it takes as long as some thousand elements without one.
    plan = len(operands) > 2 or (len(operands) == 2 and sum(x.size for x in operands) > 2000)
    return np.asarray(np.einsum(equation, *operands, optimize=plan))


def _explain_einsum(*operands: Array, equation: str) -> str | None:
    terms = equation.partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for i, (term, operand) in enumerate(zip(terms, operands, strict=True)):
        for letter, n in zip(term, operand.shape, strict=False):
            if sizes.setdefault(letter, n) != n:
                return f"letter {letter!r} is {sizes[letter]} before and {n} in operand {i}"
    return None


EINSUM = Op("einsum", _einsum, ("*operands",), explain=_explain_einsum)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@lru_cache(maxsize=512)
def explicit_equation(equation: str, ndims: tuple[int, ...]) -> str:
    """Return an equation with its output written out and each ``...`` replaced by letters.

    Raises:
        ValueError: The equation does not fit operands with these numbers of dimensions.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {equation!r} names {len(terms)} operands, got {len(ndims)}")
    unused = [c for c in _LETTERS if c not in equation]
    rest = [n - len(term.replace("...", "")) for term, n in zip(terms, ndims, strict=True)]
    hidden = max([n for term, n in zip(terms, rest, strict=True) if "..." in term] or [0])
    spare = "".join(unused[: max(hidden, 0)])
    full = []
    for i, (term, n) in enumerate(zip(terms, rest, strict=True)):
        if n < 0 or (n and "..." not in term) or term.count(".") not in (0, 3):
            raise ValueError(
                f"einsum: {term!r} in {equation!r} does not name the {ndims[i]} dimensions "
                f"of operand {i}"
            )
        full.append(term.replace("...", spare[len(spare) - n :] if n else ""))
    letters = "".join(full)
    if not letters.isalpha() and letters:
        raise ValueError(f"einsum: expected letters, ',', '...' and '->' in {equation!r}")
    if arrow:
        output = right.replace("...", spare)
    else:
        counts = Counter(letters)
        output = spare + "".join(c for c in sorted(counts) if counts[c] == 1 and c not in spare)
    wrong = [c for c in output if c not in letters or output.count(c) > 1]
    if wrong:
        raise ValueError(
            f"einsum: output letter {wrong[0]!r} of {equation!r} must stand once in the output "
            "and in an operand"
        )
    return f"{','.join(full)}->{output}"


def einsum(equation: str, *operands: T) -> T:
    """Multiply and add up over named dimensions, by Einstein's summation convention.

    Args:
        equation: Such as ``"bij,bjk->bik"``; ``...`` stands for leading dimensions.
        *operands: A tensor for each comma-separated term.

    Raises:
        ValueError: The equation is malformed or does not fit the shapes.

    Example:
        >>> import tt_tensor as tt
        >>> tt.einsum("ij,j->i", tt.tensor([[1.0, 2.0], [3.0, 4.0]]), tt.tensor([1.0, 1.0]))
        tensor([3., 7.])
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation first, got {type(equation).__name__}")
    if not operands:
        raise ValueError(f"einsum: expected operands beside {equation!r}")
    shapes = [shape_of("einsum", operand) for operand in operands]
    full = explicit_equation(equation, tuple(map(len, shapes)))
    # Dimensions that '...' broadcasts with size 1 are dropped, so that every letter has one size.
    terms, output = full.partition("->")[0].split(","), full.partition("->")[2]
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
            if n != shape[term.index(letter)]:
                raise ValueError(
                    f"einsum: {term!r} of {equation!r} asks for a diagonal; got shape {shape}"
                )
    squeezed = []
    for i, (operand, shape) in enumerate(zip(operands, shapes, strict=True)):
        drop = {d for d, letter in enumerate(terms[i]) if shape[d] == 1 != sizes[letter]}
        if drop:
            kept = tuple(n for d, n in enumerate(shape) if d not in drop)
            operand = apply(RESHAPE, operand, shape=kept)
            terms[i] = "".join(c for d, c in enumerate(terms[i]) if d not in drop)
        squeezed.append(operand)
    return apply(EINSUM, squeezed[0], *squeezed[1:], equation=f"{','.join(terms)}->{output}")
