"""Export to ONNX, checked and timed against onnxruntime: ``pip install "tt-profile[onnx]"``."""

from ._errors import ExportError as ExportError
from ._export import export as export
from ._run import check as check
from ._serving import Serving as Serving
from ._serving import compare_serving as compare_serving
from ._table import EXPORTED as EXPORTED
