"""Structured pruning of attention: whole heads are removed, not set to zero."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tt_autograd import OpEvent
from tt_nn import Linear, Module, MultiheadAttention
from tt_nn.models import ModernGPT
from tt_nn.models.gpt import CausalSelfAttention
from tt_nn.models.modern_gpt import RotaryAttention

from ._choosing import shares_by_name, strongest
from ._importance import take_over
from ._resizing import Index, expand, keep, keep_inputs, keep_outputs, update_sizes
from ._watching import run_watched

M = TypeVar("M", bound=Module)
Array = NDArray[Any]
Attention = CausalSelfAttention | RotaryAttention | MultiheadAttention


def removable_heads(model: Module) -> dict[str, int]:
    """Return how many heads each attention has that could lose some.

    Where several heads of the query share one of key and value, these count.

    Args:
        model: The model.

    Example:
        >>> from tt_nn.models import GPT, GPTConfig
        >>> removable_heads(GPT(GPTConfig(vocab_size=65, n_layer=2)))
        {'blocks.0.attention': 4, 'blocks.1.attention': 4}
    """
    return {
        name: _count(module)
        for name, module in model.named_modules()
        if isinstance(module, Attention) and _is_whole(module)
    }


def prune_heads(
    model: M,
    *inputs: object,
    amount: float | Mapping[str, float] = 0.5,
    compensate: bool = True,
) -> M:
    r"""Return a model without the least important heads of its attentions.

    A head goes with its rows in the maps of query, key and value, its columns in the map after it,
    and its part of a cache. Its importance is the mean square of what it adds to the output,
    :math:`E \|W_h a_h\|^2`.

    Args:
        model: The model, such as a `GPT`, a `ModernGPT` or one with `MultiheadAttention`; it stays
            as it is. Attentions whose values are blended with each other's lose the same heads.
        *inputs: What it is called with, once: some samples of what it was trained on.
        amount: The share of heads to remove from each attention (rounded to whole ones; one always
            stays), or the share by attention, whose names `removable_heads` lists.
        compensate: Whether the weights of the heads that stay take over as much as they can from
            those that go, by least squares.

    Returns:
        The smaller model.

    Raises:
        ValueError: A share is not from 0 to less than 1, an attention cannot lose heads, attentions
            with blended values shall lose different shares, or there is none.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=4, n_embd=32))
        >>> smaller = prune_heads(model, tt.randint(0, 65, (8, 16)), amount=0.75)
        >>> smaller.blocks[0].attention.out_proj
        Linear(in_features=8, out_features=32, bias=True)

    References:
        Michel, Levy and Neubig, "Are sixteen heads really better than one?", 2019; Voita et al.,
        "Analyzing multi-head self-attention", 2019.
    """
    smaller = copy.deepcopy(model)
    found = _watched(smaller, inputs)
    if not found:
        raise ValueError(
            f"prune_heads: no attention of this {type(model).__name__} ran that can lose heads"
        )
    shares = shares_by_name("prune_heads", "attention that can lose heads", found, amount)
    for names in _together(smaller, found):
        wanted = {shares.get(name, 0.0) for name in names}
        if len(wanted) > 1:
            raise ValueError(
                "prune_heads: expected one amount for attentions whose values are blended: "
                f"{', '.join(names)}"
            )
        scores = np.sum([found[name].scores() for name in names], axis=0)
        kept = strongest(scores, wanted.pop())
        if len(kept) < len(scores):
            for name in names:
                found[name].remove(kept, compensate)
    return smaller


@dataclass(slots=True)
class _Heads:
    """An attention, and the mean products of what its heads hand to its last map."""

    attention: Attention
    gram: Array  # (heads * width, heads * width)

    @property
    def width(self) -> int:
        return len(self.gram) // _count(self.attention)

    def scores(self) -> Array:
        """Return the mean square of what each head adds to the output."""
        scores: Array = np.zeros(_count(self.attention))
        weight = self.attention.out_proj.weight.detach().numpy().astype(np.float64)
        for head in range(len(scores)):
            part = slice(head * self.width, (head + 1) * self.width)
            scores[head] = ((weight[:, part] @ self.gram[part, part]) * weight[:, part]).sum()
        return scores

    def remove(self, kept: Index, compensate: bool) -> None:
        """Cut out the heads that are not kept."""
        columns = expand(kept, self.width)
        if compensate:
            take_over(self.attention.out_proj, self.gram, columns)
        _keep_heads(self.attention, kept)
        keep_inputs(self.attention.out_proj, columns)
        update_sizes(self.attention)


def _count(attention: Attention) -> int:
    if isinstance(attention, MultiheadAttention):
        return attention.num_kv_heads
    return attention.n_head


def _is_whole(attention: Attention) -> bool:
    """Return whether the maps are what they were made as, and not replaced by another pass."""
    maps = [
        getattr(attention, name)
        for name in ("in_proj", "query", "key", "value", "out_proj")
        if hasattr(attention, name)
    ]
    return all(isinstance(each, Linear) for each in maps)


def _keep_heads(attention: Attention, kept: Index) -> None:
    """Keep the rows of some heads in what makes query, key and value."""
    count = _count(attention)
    if isinstance(attention, RotaryAttention):
        for layer in (attention.query, attention.key, attention.value):
            keep_outputs(layer, expand(kept, layer.out_features // count))
    elif isinstance(attention, CausalSelfAttention):
        dim = attention.head_dim
        rows = [part * count * dim + expand(kept, dim) for part in range(3)]
        keep_outputs(attention.in_proj, np.concatenate(rows))
    else:
        group = attention.num_heads // count
        query = expand(kept, group * attention.head_dim)
        key = expand(kept, attention.head_dim)
        first = attention.num_heads * attention.head_dim  # the first row of the keys
        second = first + count * attention.head_dim  # of the values
        rows = [query, first + key, second + key]
        if "in_proj_weight" in vars(attention):
            keep(attention, "in_proj_weight", np.concatenate(rows))
        else:
            keep(attention, "q_proj_weight", query)
            keep(attention, "k_proj_weight", key)
            keep(attention, "v_proj_weight", key)
        keep(attention, "in_proj_bias", np.concatenate(rows))


def _together(model: Module, names: Iterable[str]) -> list[list[str]]:
    """Return the names of attentions in groups, those that have to lose the same heads in one."""
    left = list(names)
    groups = []
    for path, module in model.named_modules():
        if isinstance(module, ModernGPT) and module.config.value_residual:
            start = f"{path}." if path else ""
            inside = [name for name in left if name.startswith(f"{start}blocks.")]
            if inside:
                groups.append(inside)
                left = [name for name in left if name not in inside]
    return groups + [[name] for name in left]


def _watched(model: Module, inputs: tuple[object, ...]) -> dict[str, _Heads]:
    """Run the model and return, by name, the attentions that ran and what their heads put out."""
    found: dict[str, _Heads] = {}
    by_weight: dict[int, tuple[str, Attention]] = {
        id(module.out_proj.weight.detach().numpy()): (name, module)
        for name, module in model.named_modules()
        if isinstance(module, Attention) and _is_whole(module)
    }

    def see(event: OpEvent) -> None:
        owner = by_weight.get(id(event.inputs[1])) if event.op.name == "linear" else None
        if owner is not None and event.phase == "forward":
            name, attention = owner
            rows = event.inputs[0].reshape((-1, event.shapes[1][1]))  # (positions, heads * width)
            rows = rows.astype(np.promote_types(rows.dtype, np.float32), copy=False)
            gram = (rows.T @ rows).astype(np.float64) / max(len(rows), 1)
            heads = found.setdefault(name, _Heads(attention, np.zeros_like(gram)))
            heads.gram += gram  # of all calls, should there be several

    run_watched(model, inputs, see)
    return found
