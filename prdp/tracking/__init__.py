"""Sinks that show the progress of a run. The results themselves are kept in the run folder, see `prdp.records`."""

from prdp.tracking.base import RunInfo, Sink
from prdp.tracking.console import Console, announced, data_progress
from prdp.tracking.weights_and_biases import WeightsAndBiases, wandb_sink

__all__ = ["Console", "RunInfo", "Sink", "WeightsAndBiases", "announced", "data_progress", "wandb_sink"]
