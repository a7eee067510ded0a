"""What packages need that change tensors by other means than ops, or declare ops of their own.

An optimizer that writes into the arrays of parameters says so with ``changes.note(array, name,
tracked=False)``, once for all memory that one array owns, so that a backward pass that still needs
the old values refuses to run; ``layout`` of an array that is noted often need be asked for only
once. ``identity`` is the product of an input whose slope is 1, such as a bias, which backward need
not call. An observer that draws a ``next_number`` when an op has run gets one below that of the
op's node and above those of all earlier ones: in backward, an event's number then tells which call
it is of. A clock that must cost little sets ``visited`` instead, a context variable: what it holds
is told the number of each node when its derivative has run, and no event is made up. Where
``prompt`` is set, a leaf's post-accumulate hooks run as soon as its gradient is whole, while
backward goes on with what came before. Users of tensors need nothing from here.
"""

from ._modes import prompt as prompt
from ._modes import visited as visited
from ._rules import identity as identity
from ._tape import Layout as Layout
from ._tape import changes as changes
from ._tape import layout as layout
from ._tape import next_number as next_number
