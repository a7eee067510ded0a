"""The transformer of 2017: encoder and decoder layers, their stacks, and both together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Literal

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Tensor
from tt_nn import init
from tt_nn._activations.gelu import gelu
from tt_nn._activations.relu import relu
from tt_nn._containers import ModuleList
from tt_nn._dropout import Dropout
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._normalisation.layer_norm import LayerNorm

from .multihead import MultiheadAttention

Activation = Literal["relu", "gelu"] | Callable[[Tensor], Tensor]
Mask = tt_tensor.Tensor | None


def _activation(name: str, activation: Activation) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    known = {"relu": relu, "gelu": gelu}
    if activation not in known:
        raise ValueError(
            f"{name}: expected activation 'relu', 'gelu' or a function, got {activation!r}"
        )
    return known[activation]


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear maps; each adds to its input and is normalised.

    Args:
        d_model: Size of the vectors.
        nhead: Heads of the attention.
        dim_feedforward: Size between the two linear maps.
        dropout: The share of values that are dropped in training, of weights as well.
        activation: What is between the linear maps: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: What keeps normalisation from dividing by 0.
        batch_first: Whether inputs and output are ``(N, S, d_model)`` and not ``(S, N, d_model)``.
        norm_first: Whether to normalise what goes into each part and not what comes out, which
            lets deep stacks learn without warm-up.
        bias: Whether linear maps and normalisations have biases.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(S, N, d_model)``, or ``(S, d_model)``; the output's is the input's.

    Raises:
        ValueError: A size is not a positive int, or the activation is not known.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, batch_first=True)
        >>> layer(tt.ones(2, 5, 16)).shape
        (2, 5, 16)

    References:
        Vaswani et al., "Attention is all you need", 2017. ``norm_first``: Xiong et al., "On layer
        normalization in the transformer architecture", 2020.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=dtype)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.norm_first = norm_first
        self.activation = _activation("TransformerEncoderLayer", activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encode a sequence.

        Args:
            src: The sequence.
            src_mask: See `MultiheadAttention.forward`.
            src_key_padding_mask: The same.
            is_causal: The same.
        """

        def attend(x: Tensor) -> Tensor:
            out, _ = self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False,
                attn_mask=src_mask, is_causal=is_causal,
            )  # fmt: skip
            return self.dropout1(out)

        if self.norm_first:
            x = src + attend(self.norm1(src))
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(src + attend(src))
        return self.norm2(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to what an encoder found, then two linear maps.

    Args:
        d_model: Size of the vectors.
        nhead: Heads of each attention.
        dim_feedforward: Size between the two linear maps.
        dropout: The share of values that are dropped in training, of weights as well.
        activation: What is between the linear maps: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: What keeps normalisation from dividing by 0.
        batch_first: Whether inputs and output are ``(N, T, d_model)`` and not ``(T, N, d_model)``.
        norm_first: Whether to normalise what goes into each part and not what comes out.
        bias: Whether linear maps and normalisations have biases.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(T, N, d_model), (S, N, d_model) -> (T, N, d_model)``; without N for a single sample.

    Raises:
        ValueError: A size is not a positive int, or the activation is not known.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> layer = nn.TransformerDecoderLayer(d_model=16, nhead=4, batch_first=True)
        >>> layer(tt.ones(2, 5, 16), tt.ones(2, 7, 16)).shape
        (2, 5, 16)

    References:
        Vaswani et al., "Attention is all you need", 2017.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=dtype)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.norm_first = norm_first
        self.activation = _activation("TransformerDecoderLayer", activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode a sequence.

        Args:
            tgt: The sequence.
            memory: What the encoder found.
            tgt_mask: See `MultiheadAttention.forward`.
            memory_mask: The same, for the attention to ``memory``.
            tgt_key_padding_mask: As ``tgt_mask``.
            memory_key_padding_mask: As ``memory_mask``.
            tgt_is_causal: As ``tgt_mask``.
            memory_is_causal: As ``memory_mask``.
        """

        def attend(x: Tensor) -> Tensor:
            out, _ = self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False,
                attn_mask=tgt_mask, is_causal=tgt_is_causal,
            )  # fmt: skip
            return self.dropout1(out)

        def look_up(x: Tensor) -> Tensor:
            out, _ = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, need_weights=False,
                attn_mask=memory_mask, is_causal=memory_is_causal,
            )  # fmt: skip
            return self.dropout2(out)

        if self.norm_first:
            x = tgt + attend(self.norm1(tgt))
            x = x + look_up(self.norm2(x))
            return x + self._feed_forward(self.norm3(x))
        x = self.norm1(tgt + attend(tgt))
        x = self.norm2(x + look_up(x))
        return self.norm3(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: The layer that all are copies of; they all start with its weights.
        num_layers: How many.
        norm: What is applied to the last one's output.

    Shape:
        As the layer's.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4), num_layers=2)
        >>> encoder(tt.ones(5, 2, 16)).shape
        (5, 2, 16)
    """

    def __init__(
        self, encoder_layer: TransformerEncoderLayer, num_layers: int, norm: LayerNorm | None = None
    ) -> None:
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Run all layers; the masks are given to each."""
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, is_causal)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: The layer that all are copies of; they all start with its weights.
        num_layers: How many.
        norm: What is applied to the last one's output.

    Shape:
        As the layer's.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4), num_layers=2)
        >>> decoder(tt.ones(5, 2, 16), tt.ones(7, 2, 16)).shape
        (5, 2, 16)
    """

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: LayerNorm | None = None
    ) -> None:
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(decoder_layer) for _ in range(num_layers))
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Run all layers; memory and masks are given to each."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                tgt_is_causal, memory_is_causal,
            )  # fmt: skip
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """The encoder and decoder of the paper, without embeddings and the map to words.

    Args:
        d_model: Size of the vectors.
        nhead: Heads of each attention.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder.
        dim_feedforward: Size between the two linear maps of a layer.
        dropout: The share of values that are dropped in training, of weights as well.
        activation: What is between the linear maps: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: What keeps normalisation from dividing by 0.
        batch_first: Whether inputs and output are ``(N, length, d_model)`` and not
            ``(length, N, d_model)``.
        norm_first: Whether to normalise what goes into each part and not what comes out.
        bias: Whether linear maps and normalisations have biases.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(S, N, d_model), (T, N, d_model) -> (T, N, d_model)``; without N for a single sample.

    Raises:
        ValueError: A size is not a positive int, or the activation is not known.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> model = nn.Transformer(16, 4, 2, 2, batch_first=True)
        >>> mask = model.generate_square_subsequent_mask(5)
        >>> model(tt.ones(2, 7, 16), tt.ones(2, 5, 16), tgt_mask=mask).shape
        (2, 5, 16)

    References:
        Vaswani et al., "Attention is all you need", 2017.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        modes = (batch_first, norm_first, bias, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(*sizes, *modes), num_encoder_layers, norm()
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(*sizes, *modes), num_decoder_layers, norm()
        )
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all matrices anew, so that no two layers start alike."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    @staticmethod
    def generate_square_subsequent_mask(sz: int) -> Tensor:
        """Return the mask that hides later positions: what is added to scores.

        Example:
            >>> Transformer.generate_square_subsequent_mask(2)
            tensor([[  0., -inf],
                    [  0.,   0.]])
        """
        return tt.triu(tt.full((sz, sz), -math.inf), 1)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode ``src``, and decode ``tgt`` with what was found.

        Args:
            src: The sequence to encode.
            tgt: The sequence to decode, shifted by one to the right in training.
            src_mask: See `MultiheadAttention.forward`; for the encoder.
            tgt_mask: The same, for the decoder's attention to itself.
            memory_mask: The same, for its attention to what the encoder found.
            src_key_padding_mask: As ``src_mask``.
            tgt_key_padding_mask: As ``tgt_mask``.
            memory_key_padding_mask: As ``memory_mask``.
            src_is_causal: As ``src_mask``.
            tgt_is_causal: As ``tgt_mask``.
            memory_is_causal: As ``memory_mask``.
        """
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip
