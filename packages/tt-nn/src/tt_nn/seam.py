"""What packages need that run large kernels of their own beside this one's.

``parallel(function, total)`` runs ``function(start, stop)`` over pieces of ``range(total)`` in the
threads that `set_num_threads` started, or all at once if there are none. Users of modules need
nothing from here.
"""

from ._threads import parallel as parallel
