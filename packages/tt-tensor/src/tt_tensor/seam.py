"""What a package needs that makes a tensor of its own out of this one's.

Such a package subclasses `tt_tensor.Tensor` and overrides ``_apply`` and ``_apply_inplace``, the
two points through which everything runs.

Where several processes share a batch, each sets ``rows`` to the `Rows` that are its own, and what
draws random numbers for every row of a batch draws them by ``for_rows``, or ``random_for_rows``
where they are many: then the parts see the same numbers as the whole would. ``share`` says whose
are which. Users of tensors need nothing from here.
"""

from ._modes import observers as observers
from ._rows import Rows as Rows
from ._rows import for_rows as for_rows
from ._rows import random_for_rows as random_for_rows
from ._rows import rows as rows
from ._rows import share as share
from ._tensor import as_operand as as_operand
