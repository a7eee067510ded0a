"""Every op that can be exported, with its converter; and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping

from ._arrangement import ARRANGEMENT
from ._attention import ATTENTION
from ._elementwise import ELEMENTWISE, Converter
from ._layers import LAYERS
from ._normalisation import NORMALISATION
from ._reductions import REDUCTIONS

CONVERTERS: Mapping[str, Converter] = {
    **ELEMENTWISE,
    **ARRANGEMENT,
    **REDUCTIONS,
    **LAYERS,
    **NORMALISATION,
    **ATTENTION,
}

EXPORTED = frozenset(CONVERTERS)
"""The names of the ops that `export` knows: what a layer of your own may be made of."""

REASONS: Mapping[str, str] = {
    "cached_attention": (
        "a cache that changes from call to call is no part of a graph; call the model without one"
    ),
    "dropout": "it drops values although the model is in evaluation; pass training=self.training",
    "setitem": "a graph changes nothing in place; use where, cat or pad",
}
