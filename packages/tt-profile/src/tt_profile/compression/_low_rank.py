"""Low-rank factorisation: one large product becomes two small ones."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tt_nn import Conv2d, Linear, Module, Parameter, Sequential

M = TypeVar("M", bound=Module)
Array = NDArray[Any]


def factorize(
    layer: Linear | Conv2d, *, rank: int | None = None, energy: float | None = None
) -> Sequential:
    r"""Return two layers that do about what one does, through fewer numbers between them.

    The weight's singular value decomposition :math:`W = U \Sigma V^T` is cut off after ``rank``
    values: the first layer has the weight :math:`\sqrt{\Sigma} V^T`, the second
    :math:`U \sqrt{\Sigma}` and the bias. No other two layers of that rank are closer to the one in
    the sum of squares. Of a convolution the first has its kernels, the second kernels of 1x1.

    Args:
        layer: A linear map, or a convolution without groups; it stays as it is.
        rank: How many singular values to keep.
        energy: In the place of ``rank``: the share of :math:`\sum \sigma_i^2` to keep at least.

    Returns:
        The two layers in a row.

    Raises:
        ValueError: Not one of ``rank`` and ``energy`` is given, it is out of range, or the
            convolution has groups.

    Example:
        >>> import tt_nn as nn
        >>> factorize(nn.Linear(64, 32), rank=4)
        Sequential(
          (0): Linear(in_features=64, out_features=4, bias=False)
          (1): Linear(in_features=4, out_features=32, bias=True)
        )

    References:
        Eckart and Young, "The approximation of one matrix by another of lower rank", 1936; Denton
        et al., "Exploiting linear structure within convolutional networks", 2014.
    """
    _check("factorize", rank, energy)
    if isinstance(layer, Conv2d) and layer.groups > 1:
        raise ValueError(f"factorize: expected a convolution without groups, got {layer!r}")
    weight = layer.weight.detach().numpy()
    matrix = weight.reshape((len(weight), -1)).astype(np.float64)  # (out, in * kernel)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    size = _rank(values, rank, energy)
    roots = np.sqrt(values[:size])
    first = right[:size] * roots[:, None]  # (rank, in * kernel)
    second = left[:, :size] * roots  # (out, rank)
    has_bias = isinstance(layer.bias, Parameter)
    both = pair_of_rank(layer, size, bias=has_bias).train(layer.training)
    state: dict[str, Any] = {
        "0.weight": first.reshape((size, *weight.shape[1:])),
        "1.weight": second.reshape((*second.shape, *(1,) * (weight.ndim - 2))),
    }
    if has_bias:
        state["1.bias"] = layer.bias
    both.load_state_dict(state)
    if not layer.weight.requires_grad:
        both.requires_grad_(False)
    return both


def low_rank(
    model: M,
    *,
    rank: int | None = None,
    energy: float | None = None,
    names: Collection[str] | None = None,
) -> M:
    """Return a model in which two small layers stand for each large one; see `factorize`.

    Only layers that get fewer weights by it are replaced. Those whose weight something else uses
    too, such as a tied embedding, stay.

    Args:
        model: The model; it stays as it is.
        rank: How many singular values to keep in each layer.
        energy: In the place of ``rank``: the share of their squares' sum to keep in each.
        names: The layers to replace; all linear maps and convolutions without groups unless given.

    Returns:
        The smaller model.

    Raises:
        ValueError: Not one of ``rank`` and ``energy`` is given, it is out of range, a name is not
            that of a layer that can be replaced, or no layer can, as in a quantized model.

    Example:
        >>> import tt_nn as nn
        >>> model = low_rank(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)), rank=8)
        >>> [type(module).__name__ for module in model]
        ['Sequential', 'ReLU', 'Linear']
    """
    _check("low_rank", rank, energy)
    smaller = copy.deepcopy(model)
    layers = _replaceable(smaller)
    if not layers:
        raise ValueError(
            f"low_rank: {type(model).__name__} has no layer that can be replaced; Linear and "
            "Conv2d without groups can be, unless quantized: factorise first, then quantize"
        )
    for name in layers if names is None else names:
        if name not in layers:
            raise ValueError(
                f"low_rank: {name!r} is no layer that can be replaced; "
                f"these are: {', '.join(layers)}"
            )
        layer = layers[name]
        both = factorize(layer, rank=rank, energy=energy)
        if _size(both) < _size(layer):
            smaller = replace(smaller, name, both)
    return smaller


def _check(function: str, rank: int | None, energy: float | None) -> None:
    if (rank is None) == (energy is None):
        raise ValueError(
            f"{function}: expected one of rank and energy, got rank={rank!r} and energy={energy!r}"
        )
    if rank is not None and rank < 1:
        raise ValueError(f"{function}: expected a rank of at least 1, got {rank!r}")
    if energy is not None and not 0 < energy <= 1:
        raise ValueError(f"{function}: expected energy above 0 and up to 1, got {energy!r}")


def _rank(values: Array, rank: int | None, energy: float | None) -> int:
    if rank is not None:
        return min(rank, len(values))
    shares = np.cumsum(values**2)
    wanted = energy * shares[-1] * (1 - 1e-12)  # the last share shall be enough for energy=1
    return min(int(np.searchsorted(shares, wanted)) + 1, len(values))


def pair_of_rank(layer: Linear | Conv2d, rank: int, *, bias: bool) -> Sequential:
    """Return two layers that take and give what one does, with so many numbers between them."""
    dtype = layer.weight.dtype
    if isinstance(layer, Linear):
        return Sequential(
            Linear(layer.in_features, rank, bias=False, dtype=dtype),
            Linear(rank, layer.out_features, bias=bias, dtype=dtype),
        )
    kernels = Conv2d(
        layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        bias=False, dtype=dtype,
    )  # fmt: skip
    return Sequential(kernels, Conv2d(rank, layer.out_channels, 1, bias=bias, dtype=dtype))


def replace(model: M, name: str, module: Module) -> M:
    """Put a module in the place of the one with this name, and return the model."""
    if not name:
        return module  # type: ignore[return-value]  # the model is the layer
    path, _, last = name.rpartition(".")
    setattr(model.get_submodule(path), last, module)
    return model


def _replaceable(model: Module) -> dict[str, Linear | Conv2d]:
    """Return the layers whose weight nothing else uses."""
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is Linear or (type(module) is Conv2d and module.groups == 1)
        if uses[id(module.weight)] == 1
    }


def _size(module: Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
