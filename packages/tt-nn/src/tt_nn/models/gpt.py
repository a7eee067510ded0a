"""GPT: a decoder that reads tokens and predicts, at each, the one that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import init
from tt_nn._activations.gelu import gelu
from tt_nn._arguments import check_sizes
from tt_nn._containers import ModuleList
from tt_nn._dropout import Dropout
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._normalisation.layer_norm import LayerNorm
from tt_nn._sequence.attention import attention_weights
from tt_nn._sequence.embedding import Embedding
from tt_nn._sequence.kv_cache import KVCache, LayerCache, cached_attention
from tt_nn._sequence.positions import LearnedPositions, SinusoidalPositions
from tt_nn._sequence.self_attention import self_attention, split_heads

from ._gpt_step import BLOCK_STEP


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a `GPT`; those of its attributes that are not given make a small one.

    Attributes:
        vocab_size: How many tokens there are.
        block_size: How many positions it can look at.
        n_layer: How many blocks.
        n_head: Heads of each attention.
        n_embd: Size of the vectors, a multiple of ``n_head``.
        dropout: The share of values that are dropped in training.
        bias: Whether linear maps and normalisations have biases.
        tie_weights: Whether a token's embedding also scores it as the next one.
        positions: ``"learned"``, as GPT's, or ``"sinusoidal"``, as the first transformer's.

    Raises:
        ValueError: A size is not a positive int, or a choice is none of those above.
    """

    vocab_size: int
    block_size: int = 128
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0
    bias: bool = True
    tie_weights: bool = True
    positions: Literal["learned", "sinusoidal"] = "learned"

    def __post_init__(self) -> None:
        check_sizes(
            "GPTConfig",
            vocab_size=self.vocab_size, block_size=self.block_size, n_layer=self.n_layer,
            n_head=self.n_head, n_embd=self.n_embd,
        )  # fmt: skip
        if self.n_embd % self.n_head:
            raise ValueError(
                f"GPTConfig: expected n_embd to be a multiple of n_head, got {self.n_embd} and "
                f"{self.n_head}"
            )
        if self.positions not in ("learned", "sinusoidal"):
            raise ValueError(
                f"GPTConfig: expected positions 'learned' or 'sinusoidal', got {self.positions!r}"
            )


class CausalSelfAttention(Module):
    """Each position gathers from itself and from those before it.

    Args:
        config: The sizes.

    Shape:
        ``(N, T, n_embd)``; the output's is the input's.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.head_dim = config.n_embd // config.n_head  # however many heads are left
        self.dropout = config.dropout
        # query, key and value of all heads in one product
        self.in_proj = Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.out_proj = Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Gather; with a cache, also from the positions that are there already."""
        qkv = self.in_proj(x)  # (N, T, 3 n_embd)
        if cache is None:
            dropout = self.dropout if self.training else 0.0
            y = self_attention(qkv, self.n_head, self.n_head, None, dropout, is_causal=True)
        else:
            scale = 1 / math.sqrt(self.head_dim)
            y = cached_attention(qkv, cache, self.n_head, self.n_head, scale)
        return self.out_proj(y)  # (N, T, n_embd)

    def weights(self, x: Tensor) -> Tensor:
        """Return how much each position takes of which: ``(N, n_head, T, T)``."""
        query, key, _ = split_heads(self.in_proj(x), self.n_head, self.n_head)
        weights: Tensor = attention_weights(query, key, is_causal=True)
        return weights.squeeze(2)  # (N, n_head, 1, T, T) -> (N, n_head, T, T)


class MLP(Module):
    """Two linear maps with a GELU between, the same at every position."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.down = Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position by itself."""
        return self.down(gelu(self.up(x), "tanh"))


class Block(Module):
    """Attention, then an MLP; each reads a normalised copy and adds to what flows by."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(config.n_embd, bias=config.bias)
        self.attention = CausalSelfAttention(config)
        self.norm2 = LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Add what attention and MLP find."""
        if cache is not None and x.numel() == x.shape[-1] and self._in_one_step(x):
            return self._step(x, cache)
        return self._add(x, cache)

    def _add(self, x: Tensor, cache: LayerCache | None) -> Tensor:
        """Add to x what attention finds in it, normalised, then what the MLP finds: pre-norm."""
        x = x + self.dropout(self.attention(self.norm1(x), cache))
        return x + self.dropout(self.mlp(self.norm2(x)))

    def _in_one_step(self, x: Tensor) -> bool:
        """Whether a single position may go through as one op: parts are ours, no one listens."""
        if self.training or tt.is_grad_enabled() or x.dtype.char not in "fd":
            return False
        if not self.norm1.eps or not self.norm2.eps:
            return False
        attention, mlp = self.attention, self.mlp
        for part, kind in (
            (self, Block), (self.norm1, LayerNorm), (self.norm2, LayerNorm),
            (attention, CausalSelfAttention), (mlp, MLP),
            (attention.in_proj, Linear), (attention.out_proj, Linear),
            (mlp.up, Linear), (mlp.down, Linear),
        ):  # fmt: skip
            if type(part) is not kind or part._forward_hooks or part._forward_pre_hooks:
                return False
        return True

    def _step(self, x: Tensor, cache: LayerCache) -> Tensor:
        attention, mlp, norm1, norm2 = self.attention, self.mlp, self.norm1, self.norm2
        layers = (norm1, attention.in_proj, attention.out_proj, norm2, mlp.up, mlp.down)
        parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
        params = {
            "cache": cache,
            "num_heads": attention.n_head,
            "scale": 1 / math.sqrt(attention.head_dim),
            "eps": (norm1.eps, norm2.eps),
        }
        return Tensor._apply(BLOCK_STEP, (x, *parameters), params)


class GPT(Module):
    """The decoder of GPT-2: learned positions, pre-norm blocks, GELU, tied embeddings.

    Weights start normal with standard deviation 0.02, those that end in the residual stream with
    0.02 / sqrt(2 n_layer); biases at zero.

    Args:
        config: The sizes.

    Shape:
        ``(N, T)`` tokens ``-> (N, T, vocab_size)`` scores of the token that follows each

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_embd=32))
        >>> model(tt.zeros(2, 16, dtype="int64")).shape
        (2, 16, 65)

    References:
        Radford et al., "Language models are unsupervised multitask learners", 2019.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.n_embd)
        self.positions: LearnedPositions | SinusoidalPositions
        if config.positions == "learned":
            self.positions = LearnedPositions(config.block_size, config.n_embd)
        else:
            self.positions = SinusoidalPositions(config.n_embd)
        self.dropout = Dropout(config.dropout)
        self.blocks = ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = LayerNorm(config.n_embd, bias=config.bias)
        self.head = Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tie_weights:
            self.head.weight = self.token_embedding.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        residual = 0.02 / math.sqrt(2 * self.config.n_layer)
        for name, module in self.named_modules():
            if isinstance(module, Embedding | Linear):
                ends = name.endswith(("out_proj", "down"))
                init.normal_(module.weight, std=residual if ends else 0.02)
            if isinstance(module, Linear) and isinstance(module.bias, Tensor):
                init.zeros_(module.bias)
            if isinstance(module, LayerNorm | LearnedPositions):
                module.reset_parameters()

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
        x = self._embed(tokens, 0 if cache is None else cache.length)
        if cache is None:
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))  # (N, T, vocab_size)
        with cache.all_or_nothing():
            for block, layer in zip(self.blocks, cache.layers, strict=True):
                x = block(x, layer)
            return self.head(self.norm(x))

    def attention_maps(self, tokens: tt_tensor.Tensor) -> list[Tensor]:
        """Return how much each position takes of which, block by block: (N, n_head, T, T)."""
        x = self._embed(tokens, 0)
        maps = []
        for block in self.blocks:
            maps.append(block.attention.weights(block.norm1(x)))
            x = block(x)
        return maps

    def _embed(self, tokens: tt_tensor.Tensor, offset: int) -> Tensor:
        """Return the tokens' vectors with those of positions ``offset`` and on: (N, T, n_embd).

        Raises:
            ValueError: They are not of shape (N, T), or reach beyond ``block_size``.
        """
        if tokens.ndim != 2 or offset + tokens.shape[1] > self.config.block_size:
            raise ValueError(
                f"GPT: expected tokens of shape (N, T) with T up to {self.config.block_size}, "
                f"got {tokens.shape}" + (f" after {offset} in the cache" if offset else "")
            )
        return self.dropout(self.positions(self.token_embedding(tokens), offset))
