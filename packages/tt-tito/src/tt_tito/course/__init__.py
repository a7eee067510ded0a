"""The learner's path: the modules of the course, their exercises, and what they unlock."""

from ._curriculum import CAPSTONE as CAPSTONE
from ._curriculum import Curriculum as Curriculum
from ._curriculum import Module as Module
from ._curriculum import package_folder as package_folder
from ._curriculum import package_of as package_of
from ._curriculum import read_curriculum as read_curriculum
from ._exercises import Place as Place
from ._exercises import blanked as blanked
from ._exercises import encode as encode
from ._exercises import fill as fill
from ._exercises import is_blank as is_blank
from ._exercises import locate as locate
from ._exercises import preceded as preceded
from ._exercises import reference_body as reference_body
from ._exercises import same_arguments as same_arguments
from ._exercises import same_code as same_code
