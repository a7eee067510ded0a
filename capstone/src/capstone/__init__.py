"""A model that reads digits: trained, measured, made small, and told about."""

from ._costs import Costs as Costs
from ._costs import measure as measure
from ._digits import Digits as Digits
from ._digits import Images as Images
from ._digits import read_digits as read_digits
from ._files import load_models as load_models
from ._files import read_record as read_record
from ._files import save as save
from ._models import MODELS as MODELS
from ._models import cnn as cnn
from ._models import make_model as make_model
from ._models import mlp as mlp
from ._report import Report as Report
from ._run import Result as Result
from ._run import run as run
from ._shrinking import WAYS as WAYS
from ._shrinking import Attempt as Attempt
from ._shrinking import shrink as shrink
from ._training import Epoch as Epoch
from ._training import accuracy as accuracy
from ._training import train as train
