"""Flax NNX networks, channels first outside: `(*batch, channels, *space)` in and out."""

from prdp.models.mlp import MLP
from prdp.models.parameters import Parameters
from prdp.models.resnet import ResNet

__all__ = ["MLP", "Parameters", "ResNet"]
