"""The functions behind the layers and losses, by torch's names.

Import it as torch users do: ``from tt_nn import functional as F``.
"""

from tt_autograd import elu as elu
from tt_autograd import leaky_relu as leaky_relu
from tt_autograd import log_softmax as log_softmax
from tt_autograd import one_hot as one_hot
from tt_autograd import pad as pad
from tt_autograd import sigmoid as sigmoid
from tt_autograd import silu as silu
from tt_autograd import softmax as softmax
from tt_autograd import softplus as softplus
from tt_autograd import tanh as tanh

from ._adaptive_pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from ._adaptive_pooling import adaptive_max_pool2d as adaptive_max_pool2d
from ._attention import attention_weights as attention_weights
from ._attention import scaled_dot_product_attention as scaled_dot_product_attention
from ._batch_norm import batch_norm as batch_norm
from ._binary import binary_cross_entropy as binary_cross_entropy
from ._binary import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ._convolution import conv1d as conv1d
from ._convolution import conv2d as conv2d
from ._convolution import conv_transpose2d as conv_transpose2d
from ._cross_entropy import cross_entropy as cross_entropy
from ._divergence import kl_div as kl_div
from ._dropout import dropout as dropout
from ._dropout import dropout1d as dropout1d
from ._dropout import dropout2d as dropout2d
from ._embedding import embedding as embedding
from ._gelu import gelu as gelu
from ._group_norm import group_norm as group_norm
from ._instance_norm import instance_norm as instance_norm
from ._layer_norm import layer_norm as layer_norm
from ._layer_norm import rms_norm as rms_norm
from ._linear import bilinear as bilinear
from ._linear import linear as linear
from ._nll import nll_loss as nll_loss
from ._pooling import avg_pool1d as avg_pool1d
from ._pooling import avg_pool2d as avg_pool2d
from ._pooling import max_pool1d as max_pool1d
from ._pooling import max_pool2d as max_pool2d
from ._positions import rotary_embedding as rotary_embedding
from ._regression import huber_loss as huber_loss
from ._regression import l1_loss as l1_loss
from ._regression import mse_loss as mse_loss
from ._regression import smooth_l1_loss as smooth_l1_loss
from ._relu import relu as relu
from ._upsample import interpolate as interpolate
