"""What a package needs that makes a tensor of its own out of this one's.

Such a package subclasses `tt_tensor.Tensor` and overrides ``_apply`` and ``_apply_inplace``, the
two points through which everything runs. Users of tensors need nothing from here.
"""

from ._format import format_tensor as format_tensor
from ._modes import observers as observers
from ._tensor import as_operand as as_operand
