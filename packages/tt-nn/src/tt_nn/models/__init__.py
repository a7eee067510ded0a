"""Models, put together from this package's layers."""

from .cifar import CifarNet as CifarNet
from .gpt import GPT as GPT
from .gpt import GPTConfig as GPTConfig
from .lenet import LeNet5 as LeNet5
from .mlp import MLP as MLP
from .modern_gpt import ModernGPT as ModernGPT
from .modern_gpt import ModernGPTConfig as ModernGPTConfig
from .resnet import ResNet as ResNet
