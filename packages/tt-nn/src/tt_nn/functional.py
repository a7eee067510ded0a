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

from ._activations.gelu import gelu as gelu
from ._activations.relu import relu as relu
from ._dropout import dropout as dropout
from ._dropout import dropout1d as dropout1d
from ._dropout import dropout2d as dropout2d
from ._linear import bilinear as bilinear
from ._linear import linear as linear
from ._losses.binary import binary_cross_entropy as binary_cross_entropy
from ._losses.binary import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ._losses.cross_entropy import cross_entropy as cross_entropy
from ._losses.divergence import kl_div as kl_div
from ._losses.nll import nll_loss as nll_loss
from ._losses.regression import huber_loss as huber_loss
from ._losses.regression import l1_loss as l1_loss
from ._losses.regression import mse_loss as mse_loss
from ._losses.regression import smooth_l1_loss as smooth_l1_loss
from ._normalisation.batch_norm import batch_norm as batch_norm
from ._normalisation.group_norm import group_norm as group_norm
from ._normalisation.instance_norm import instance_norm as instance_norm
from ._normalisation.layer_norm import layer_norm as layer_norm
from ._normalisation.layer_norm import rms_norm as rms_norm
from ._sequence.attention import attention_weights as attention_weights
from ._sequence.attention import scaled_dot_product_attention as scaled_dot_product_attention
from ._sequence.embedding import embedding as embedding
from ._sequence.positions import rotary_embedding as rotary_embedding
from ._spatial.adaptive_pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from ._spatial.adaptive_pooling import adaptive_max_pool2d as adaptive_max_pool2d
from ._spatial.convolution import conv1d as conv1d
from ._spatial.convolution import conv2d as conv2d
from ._spatial.convolution import conv_transpose2d as conv_transpose2d
from ._spatial.pooling import avg_pool1d as avg_pool1d
from ._spatial.pooling import avg_pool2d as avg_pool2d
from ._spatial.pooling import max_pool1d as max_pool1d
from ._spatial.pooling import max_pool2d as max_pool2d
from ._spatial.upsample import interpolate as interpolate
