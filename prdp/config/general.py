"""The top-level keys of the configuration."""

from dataclasses import dataclass
from pathlib import Path

from prdp.checks import LARGEST_K, integer, one_of, shown, within

METRICS = ("val_error", "train_loss")
SCALES = ("full", "small")


@dataclass(frozen=True)
class General:
    """The top-level keys of the configuration; `conf/config.yaml` documents them.

    Raises:
        ValueError: If a value is outside its range; the message names the key.
    """

    seed: int
    epochs: int
    batch_size: int
    scale: str
    precision: str
    metric: str
    converged_iterations: int | None
    runs_dir: str
    data_dir: str
    overwrite: bool
    progress: bool
    checkpoint_seconds: float
    compilation_cache: bool
    seeds_per_process: int
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed}: allowed is an integer from 0 to 2^32 - 1")
        integer("epochs", self.epochs, 1)
        integer("batch_size", self.batch_size, 1)
        one_of("scale", self.scale, SCALES)
        one_of("precision", self.precision, ("float32", "float64"))
        one_of("metric", self.metric, METRICS)
        if self.converged_iterations is not None:
            integer("converged_iterations", self.converged_iterations, 1, LARGEST_K)
        integer("seeds_per_process", self.seeds_per_process, 1)
        for key in ("runs_dir", "data_dir"):
            _folder(key, getattr(self, key))
        within("checkpoint_seconds", self.checkpoint_seconds, lambda x: x >= 0, "a number >= 0")

    @property
    def runs(self) -> Path:
        """The folder that contains the run folders, with `~` expanded."""
        return Path(self.runs_dir).expanduser()

    @property
    def data(self) -> Path:
        """The folder that contains the reference data, with `~` expanded."""
        return Path(self.data_dir).expanduser()


def _folder(key: str, value: str) -> None:
    if not value.strip() or not value.isprintable():
        raise ValueError(f"{key}={shown(value, strings=True)}: allowed is the path of a folder")
    try:
        Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{key}={shown(value)}: allowed is the path of a folder, and this user does not exist"
        ) from error
