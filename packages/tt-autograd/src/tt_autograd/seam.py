"""What a package needs that changes the memory of tensors by other means than ops.

An optimizer that writes into the arrays of parameters says so with ``changes.note(array, name,
tracked=False)``, once for all memory that one array owns, so that a backward pass that still needs
the old values refuses to run. Users of tensors need nothing from here.
"""

from ._tape import changes as changes
