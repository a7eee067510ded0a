"""The functions behind the layers and losses, by torch's names.

Import it as torch users do: ``from tt_nn import functional as F``.
"""

from tt_autograd import elu as elu
from tt_autograd import gelu as gelu
from tt_autograd import leaky_relu as leaky_relu
from tt_autograd import log_softmax as log_softmax
from tt_autograd import one_hot as one_hot
from tt_autograd import pad as pad
from tt_autograd import relu as relu
from tt_autograd import sigmoid as sigmoid
from tt_autograd import silu as silu
from tt_autograd import softmax as softmax
from tt_autograd import softplus as softplus
from tt_autograd import tanh as tanh

from ._binary import binary_cross_entropy as binary_cross_entropy
from ._binary import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ._cross_entropy import cross_entropy as cross_entropy
from ._divergence import kl_div as kl_div
from ._dropout import dropout as dropout
from ._linear import bilinear as bilinear
from ._linear import linear as linear
from ._nll import nll_loss as nll_loss
from ._regression import huber_loss as huber_loss
from ._regression import l1_loss as l1_loss
from ._regression import mse_loss as mse_loss
from ._regression import smooth_l1_loss as smooth_l1_loss
