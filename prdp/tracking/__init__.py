"""Sinks for progress: views of a run that is under way. The record is the truth."""

from prdp.tracking.base import RunInfo, Sink
from prdp.tracking.console import Console, data_progress
from prdp.tracking.weights_and_biases import WeightsAndBiases, wandb_sink

__all__ = ["Console", "RunInfo", "Sink", "WeightsAndBiases", "data_progress", "wandb_sink"]
