"""What packages need that run large kernels of their own beside this one's.

``parallel(function, total)`` runs ``function(start, stop)`` over pieces of ``range(total)`` in the
threads that `set_num_threads` started, or all at once if there are none.
``choose_backend(variable, extra)`` reads which `Backend` the environment asks for, and
``compiled(function)`` compiles a loop for the types it is given. Users of modules need nothing
from here.
"""

from ._compute.backend import Backend as Backend
from ._compute.backend import choose_backend as choose_backend
from ._compute.backend import compiled as compiled
from ._compute.threads import parallel as parallel
