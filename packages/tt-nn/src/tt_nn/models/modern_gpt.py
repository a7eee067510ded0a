"""A GPT with what was learned since: more from the same parameters and the same time."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import init
from tt_nn._activations.relu_squared import relu_squared
from tt_nn._arguments import check_sizes
from tt_nn._containers import ModuleList
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._normalisation.layer_norm import RMSNorm
from tt_nn._parameter import Parameter
from tt_nn._sequence.attention import attention_weights, causal_mask, scaled_dot_product_attention
from tt_nn._sequence.blend import blend
from tt_nn._sequence.embedding import Embedding
from tt_nn._sequence.kv_cache import KVCache, LayerCache
from tt_nn._sequence.positions import RotaryPositions

from ._modern_gpt_step import MODERN_BLOCK_STEP


@dataclass(frozen=True)
class ModernGPTConfig:
    """The sizes of a `ModernGPT`, and which of its short cuts it has.

    Attributes:
        vocab_size: How many tokens there are.
        block_size: How many positions it can look at.
        n_layer: How many blocks.
        n_head: Heads of each attention.
        n_embd: Size of the vectors; that of a head, ``n_embd / n_head``, is even.
        rope_base: What the frequencies of rotary positions fall with.
        smear: Whether each embedding takes a learned part of the one before.
        value_residual: Whether later blocks blend their values with the first one's.
        x0_residual: Whether each block blends its input with the embedding.

    Raises:
        ValueError: A size is not a positive int, or does not fit the others.
    """

    vocab_size: int
    block_size: int = 128
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    rope_base: float = 10000.0
    smear: bool = True
    value_residual: bool = True
    x0_residual: bool = True

    def __post_init__(self) -> None:
        check_sizes(
            "ModernGPTConfig",
            vocab_size=self.vocab_size, block_size=self.block_size, n_layer=self.n_layer,
            n_head=self.n_head, n_embd=self.n_embd,
        )  # fmt: skip
        if self.n_embd % (2 * self.n_head):
            raise ValueError(
                "ModernGPTConfig: expected n_embd to be an even multiple of n_head, "
                f"got {self.n_embd} and {self.n_head}"
            )


class RotaryAttention(Module):
    """Causal self-attention with normalised, rotated queries and keys.

    Args:
        config: The sizes.
        blends: Whether values are blended with those of the first block.

    Shape:
        ``(N, T, n_embd)``; the output's is the input's.
    """

    def __init__(self, config: ModernGPTConfig, blends: bool) -> None:
        super().__init__()
        size = config.n_embd
        self.n_head = config.n_head
        self.query = Linear(size, size, bias=False)
        self.key = Linear(size, size, bias=False)
        self.value = Linear(size, size, bias=False)
        self.out_proj = Linear(size, size, bias=False)
        self.norm = RMSNorm(size // config.n_head, elementwise_affine=False)
        self.rotary = RotaryPositions(size // config.n_head, config.rope_base)
        self.value_blend = Parameter([0.5, 0.5]) if blends else None

    def forward(
        self, x: Tensor, first_value: Tensor | None, cache: LayerCache | None
    ) -> tuple[Tensor, Tensor]:
        """Gather from each position and those before it.

        Args:
            x: ``(N, T, n_embd)``.
            first_value: The values of the first block, ``(N, n_head, T, head size)``; None there.
            cache: Where keys and values of earlier positions are, and these are added.

        Returns:
            What was gathered, and the values.
        """
        offset = 0 if cache is None else cache.length
        query, key = self._query_and_key(x, offset)
        value = self._by_head(self.value(x)).swapaxes(1, 2)
        if first_value is not None and self.value_blend is not None:
            value = blend(value, first_value, self.value_blend)
        keys, values, mask = key, value, None
        if cache is not None:
            keys, values = cache.append(key, value)
            mask = causal_mask(x.shape[1], keys.shape[2]) if offset else None
        y = scaled_dot_product_attention(query, keys, values, mask, is_causal=mask is None)
        # (N, n_head, T, head size) -> (N, T, n_head * head size)
        return self.out_proj(y.swapaxes(1, 2).flatten(2)), value

    def weights(self, x: Tensor) -> Tensor:
        """Return how much each position takes of which: ``(N, n_head, T, T)``."""
        return attention_weights(*self._query_and_key(x, 0), is_causal=True)

    def _query_and_key(self, x: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        query, key = (
            self.rotary(self.norm(self._by_head(each(x))).swapaxes(1, 2), offset)
            for each in (self.query, self.key)
        )
        return query, key  # (N, n_head, T, head size)

    def _by_head(self, x: Tensor) -> Tensor:
        samples, length, size = x.shape
        return x.reshape(samples, length, self.n_head, size // self.n_head)


class SquaredMLP(Module):
    """Two linear maps with a squared ReLU between, the same at every position."""

    def __init__(self, config: ModernGPTConfig) -> None:
        super().__init__()
        self.up = Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.down = Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position by itself."""
        return self.down(relu_squared(self.up(x)))


class ModernBlock(Module):
    """Attention, then an MLP; each reads a normalised copy and adds to what flows by."""

    def __init__(self, config: ModernGPTConfig, number: int) -> None:
        super().__init__()
        self.norm = RMSNorm(config.n_embd, elementwise_affine=False)
        self.attention = RotaryAttention(config, blends=config.value_residual and number > 0)
        self.mlp = SquaredMLP(config)
        self.x0_blend = Parameter([1.0, 0.0]) if config.x0_residual else None

    def forward(
        self, x: Tensor, x0: Tensor, first_value: Tensor | None, cache: LayerCache | None
    ) -> tuple[Tensor, Tensor]:
        """Add what attention and MLP find; return that, and the attention's values."""
        if cache is not None and x.numel() == x.shape[-1] and self._in_one_step(x):
            return self._step(x, x0, first_value, cache)
        return self._add(x, x0, first_value, cache)

    def _add(
        self, x: Tensor, x0: Tensor, first_value: Tensor | None, cache: LayerCache | None
    ) -> tuple[Tensor, Tensor]:
        """Start from the blend of x and x0; add what attention finds, then what the MLP finds.

        Each reads a normalised copy of what there is by then.

        Returns:
            The sum, and the attention's values.
        """
        x = self.blended(x, x0)
        gathered, value = self.attention(self.norm(x), first_value, cache)
        x = x + gathered
        return x + self.mlp(self.norm(x)), value

    def blended(self, x: Tensor, x0: Tensor) -> Tensor:
        """Return what the block starts from."""
        return x if self.x0_blend is None else blend(x, x0, self.x0_blend)

    def _in_one_step(self, x: Tensor) -> bool:
        """Whether a single position may go through as one op: parts are ours, no one listens."""
        if self.training or tt.is_grad_enabled() or x.dtype.char not in "fd":
            return False
        attention, mlp = self.attention, self.mlp
        for part, kind in (
            (self, ModernBlock), (self.norm, RMSNorm), (attention, RotaryAttention),
            (attention.norm, RMSNorm), (attention.rotary, RotaryPositions), (mlp, SquaredMLP),
            (attention.query, Linear), (attention.key, Linear), (attention.value, Linear),
            (attention.out_proj, Linear), (mlp.up, Linear), (mlp.down, Linear),
        ):  # fmt: skip
            if type(part) is not kind or part._forward_hooks or part._forward_pre_hooks:
                return False
            if isinstance(part, Linear) and part.weight.dtype != x.dtype:
                return False
        return self.norm.eps != 0 and attention.norm.eps != 0

    def _step(
        self, x: Tensor, x0: Tensor, first_value: Tensor | None, cache: LayerCache
    ) -> tuple[Tensor, Tensor]:
        attention, mlp = self.attention, self.mlp
        weights = (
            self.x0_blend,
            *(attention.query.weight, attention.key.weight, attention.value.weight),
            *(attention.value_blend, attention.out_proj.weight, mlp.up.weight, mlp.down.weight),
        )
        least = float(np.finfo(x.dtype).eps)
        params = {
            "cache": cache,
            "num_heads": attention.n_head,
            "base": float(attention.rotary.base),
            "eps": tuple(
                least if norm.eps is None else norm.eps for norm in (self.norm, attention.norm)
            ),
        }
        y = Tensor._apply(MODERN_BLOCK_STEP, (x, x0, first_value, *weights), params)
        _, values = cache.room  # (1, n_head, room, head size)
        return y, Tensor._wrap(values[:, :, cache.length - 1 : cache.length])


class ModernGPT(Module):
    """A decoder with rotary positions, RMSNorm, squared ReLU and short cuts for what is early.

    Queries and keys are normalised; later blocks see the embedding and the first block's values
    again; no biases, no gains, no tied head. Weights start normal, with standard deviation
    0.5 / sqrt(n_embd); those that end in the residual stream, and the head, at zero; embeddings
    with 1. Made for the Muon optimizer: see ``tt_optim.Muon``.

    Args:
        config: The sizes, and which of the short cuts it has.

    Shape:
        ``(N, T)`` tokens ``-> (N, T, vocab_size)`` scores of the token that follows each

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import ModernGPT, ModernGPTConfig
        >>> model = ModernGPT(ModernGPTConfig(vocab_size=65, block_size=16, n_embd=32))
        >>> model(tt.zeros(2, 16, dtype="int64")).shape
        (2, 16, 65)

    References:
        RMSNorm: Zhang and Sennrich, 2019. Rotary positions: Su et al., 2021. Squared ReLU: So et
        al., 2021. Normalised queries and keys: Henry et al., 2020. Value residual: Zhou et al.,
        2024. The selection: Jordan et al., "modded-nanogpt", 2024.
    """

    def __init__(self, config: ModernGPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.n_embd)
        self.smear = Parameter(tt.empty(config.n_embd)) if config.smear else None
        self.blocks = ModuleList(ModernBlock(config, i) for i in range(config.n_layer))
        self.norm = RMSNorm(config.n_embd, elementwise_affine=False)
        self.head = Linear(config.n_embd, config.vocab_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.token_embedding.reset_parameters()
        if self.smear is not None:
            init.constant_(self.smear, 0.3)
        for name, module in self.named_modules():
            if isinstance(module, Linear):
                if name.endswith(("out_proj", "down", "head")):
                    init.zeros_(module.weight)
                else:
                    init.normal_(module.weight, std=0.5 / math.sqrt(self.config.n_embd))
            if isinstance(module, RotaryAttention) and module.value_blend is not None:
                init.constant_(module.value_blend, 0.5)
            if isinstance(module, ModernBlock) and module.x0_blend is not None:
                with tt.no_grad():
                    module.x0_blend[0], module.x0_blend[1] = 1.0, 0.0

    @property
    def block_size(self) -> int:
        """How many positions it can look at."""
        return self.config.block_size

    def new_cache(self) -> KVCache:
        """Return an empty cache for `forward`."""
        return KVCache(self.config.n_layer, self.config.block_size)

    def forward(self, tokens: tt_tensor.Tensor, cache: KVCache | None = None) -> Tensor:
        """Score what follows each token.

        Args:
            tokens: ``(N, T)``.
            cache: What is known of tokens before these, to which these are added, unless an error
                is raised.

        Raises:
            ValueError: There are more tokens than ``block_size``, or the cache is of other texts.
            RuntimeError: The cache would be given what requires grad.
        """
        first_value = None
        with nullcontext() if cache is None else cache.all_or_nothing():
            x = x0 = self._embed(tokens, cache)
            for i, block in enumerate(self.blocks):
                x, value = block(x, x0, first_value, None if cache is None else cache.layers[i])
                if first_value is None:
                    first_value = value
            return self.head(self.norm(x))  # (N, T, vocab_size)

    def attention_maps(self, tokens: tt_tensor.Tensor) -> list[Tensor]:
        """Return how much each position takes of which, block by block: (N, n_head, T, T)."""
        x = x0 = self._embed(tokens, None)
        first_value = None
        maps = []
        for block in self.blocks:
            maps.append(block.attention.weights(block.norm(block.blended(x, x0))))
            x, value = block(x, x0, first_value, None)
            if first_value is None:
                first_value = value
        return maps

    def _embed(self, tokens: tt_tensor.Tensor, cache: KVCache | None) -> Tensor:
        offset = 0 if cache is None else cache.length
        if tokens.ndim != 2 or offset + tokens.shape[1] > self.config.block_size:
            raise ValueError(
                f"ModernGPT: expected tokens of shape (N, T) with T up to "
                f"{self.config.block_size}, got {tokens.shape}"
                + (f" after {offset} in the cache" if offset else "")
            )
        x = self.token_embedding(tokens)
        if self.smear is not None:
            before = None if cache is None else cache.previous
            if before is None:
                before = tt.zeros_like(x[:, :1])
            elif len(before) != len(x):  # one would be stretched to the other
                raise ValueError(
                    f"ModernGPT: expected as many texts as the cache is of, {len(before)}, got "
                    f"{len(x)}; use a new cache for other texts, or clear this one"
                )
            if cache is not None and x.shape[1]:
                cache.previous = x[:, -1:].detach()
            if x.shape[1] > 1:
                before = tt.concat([before, x[:, :-1]], dim=1)
            x = x + self.smear * before
        return self.norm(x)
