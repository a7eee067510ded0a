"""What packages need that run large kernels of their own beside this one's.

``parallel(function, total)`` runs ``function(start, stop)`` over pieces of ``range(total)`` in the
threads that `set_num_threads` started, or all at once if there are none.
``choose_backend(variable, extra)`` reads which `Backend` the environment asks for, and
``compiled(function)`` compiles a loop for the types it is given. ``launched()`` says which of
several processes this one is, and ``keep_place()`` keeps that from what it starts; where they share
a batch, ``sum_over_batch`` holds what adds up a float64 array of each, and the statistics of
`BatchNorm2d` are those of the whole batch. Users of modules need nothing from here.
"""

from ._compute.backend import Backend as Backend
from ._compute.backend import choose_backend as choose_backend
from ._compute.backend import compiled as compiled
from ._compute.processes import keep_place as keep_place
from ._compute.processes import launched as launched
from ._compute.processes import sum_over_batch as sum_over_batch
from ._compute.threads import parallel as parallel
