"""What a model costs, measured or counted in this run: parameters, FLOPs, memory, time, growth."""

from ._flops import FlopCount as FlopCount
from ._flops import count_flops as count_flops
from ._layers import LayerProfile as LayerProfile
from ._layers import count_parameters as count_parameters
from ._layers import profile_layers as profile_layers
from ._measure import Timing as Timing
from ._measure import peak_memory as peak_memory
from ._measure import time_it as time_it
from ._scaling import Scaling as Scaling
from ._scaling import ScalingRow as ScalingRow
from ._scaling import fit_exponent as fit_exponent
from ._scaling import scaling as scaling
