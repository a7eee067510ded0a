"""Training with several processes on MPI, which ``mpiexec`` starts: ``pip install tt-optim[mpi]``.

``world()`` is None in a program that was started alone; else it holds the processes of the run.
"""

from ._agreement import DisagreementError as DisagreementError
from ._membership import world as world
from ._parallel import DistributedDataParallel as DistributedDataParallel
from ._parallel import Part as Part
from ._parallel import Splittable as Splittable
from ._parallel import split as split
from ._peers import RankLostError as RankLostError
from ._world import Request as Request
from ._world import World as World
