"""Flax NNX networks with channels-first inputs and outputs, `(*batch, channels, *space)`."""

from prdp.models.mlp import MLP
from prdp.models.parameters import Parameters
from prdp.models.resnet import ResNet

__all__ = ["MLP", "Parameters", "ResNet"]
