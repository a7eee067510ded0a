"""The same GPT of characters with our packages and with PyTorch, for benchmarks."""

from __future__ import annotations

from typing import Any

VOCABULARY, LAYERS, HEADS, WIDTH = 65, 4, 4, 128
# Of either side: memory that is freed stays with the process, and its pages are not faulted in
# anew in every step (see the manual page of mallopt).
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def ours(block_size: int) -> Any:
    """Return our model."""
    from tt_nn.models import GPT, GPTConfig

    return GPT(GPTConfig(VOCABULARY, block_size, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH))


def torch(block_size: int) -> Any:
    """Return PyTorch's, with its fused attention and a cache of room for the whole block."""
    import torch as peer

    nn, functional = peer.nn, peer.nn.functional

    class Attention(nn.Module):  # type: ignore[name-defined, misc]  # a peer known at run time
        def __init__(self) -> None:
            super().__init__()
            self.in_proj = nn.Linear(WIDTH, 3 * WIDTH)
            self.out_proj = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any, cache: Any, start: int) -> Any:
            n, t, c = x.shape
            parts = self.in_proj(x).view(n, t, 3, HEADS, c // HEADS)
            q, k, v = parts.permute(2, 0, 3, 1, 4)  # (N, heads, T, head size)
            if cache is not None:
                keys, values = cache
                keys[:, :, start : start + t] = k
                values[:, :, start : start + t] = v
                k, v = keys[:, :, : start + t], values[:, :, : start + t]
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
            return self.out_proj(y.transpose(1, 2).reshape(n, t, c))

    class Block(nn.Module):  # type: ignore[name-defined, misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any, cache: Any, start: int) -> Any:
            x = x + self.attention(self.norm1(x), cache, start)
            hidden = functional.gelu(self.up(self.norm2(x)), approximate="tanh")
            return x + self.down(hidden)

    class GPT(nn.Module):  # type: ignore[name-defined, misc]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.positions = nn.Embedding(block_size, WIDTH)
            self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
            self.head.weight = self.tokens.weight
            nn.init.normal_(self.tokens.weight, std=0.02)

        def forward(self, tokens: Any, caches: Any = None, start: int = 0) -> Any:
            x = self.tokens(tokens) + self.positions.weight[start : start + tokens.shape[1]]
            for i, block in enumerate(self.blocks):
                x = block(x, None if caches is None else caches[i], start)
            return self.head(self.norm(x))

        def new_caches(self, samples: int) -> Any:
            shape = (samples, HEADS, block_size, WIDTH // HEADS)
            return [(peer.empty(shape), peer.empty(shape)) for _ in self.blocks]

    return GPT()
