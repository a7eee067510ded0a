"""Smaller models: pruning, low-rank factors, distillation."""

from ._channels import prune_channels as prune_channels
from ._channels import removable_channels as removable_channels
from ._distillation import DistillationLoss as DistillationLoss
from ._gradual import GradualPruning as GradualPruning
from ._gradual import gradual_sparsity as gradual_sparsity
from ._heads import prune_heads as prune_heads
from ._heads import removable_heads as removable_heads
from ._loading import load_compressed as load_compressed
from ._lottery import LotteryTicket as LotteryTicket
from ._lottery import find_ticket as find_ticket
from ._low_rank import factorize as factorize
from ._low_rank import low_rank as low_rank
from ._masks import Masks as Masks
from ._masks import magnitude_masks as magnitude_masks
from ._masks import sparsity as sparsity
