"""The course's instrument: the `tito` command, and the lab in which every milestone runs."""

from ._bar import Bound as Bound
from ._bar import at_least as at_least
from ._bar import at_most as at_most
from ._errors import MissingDataError as MissingDataError
from ._errors import TitoError as TitoError
from ._flags import Flags as Flags
from ._flags import Option as Option
from ._lab import Lab as Lab
from ._lab import Milestone as Milestone
from ._recipe import Recipe as Recipe
