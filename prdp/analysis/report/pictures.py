"""Figures that are drawn without records: pictures that the page contains as they are."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

# Pixels per point of the pictures on a page at its natural size.
_SCALE = 1.8
_SAMPLES = "The first samples of the training set, computed to convergence. "
_TRAJECTORY = (
    f"{_SAMPLES}Each trajectory is divided by its largest absolute value; rows are time steps, lengths are in units of "
    "the domain."
)
# Name -> title and caption, in the paper's order.
PICTURES = {
    "fig_14": (
        "The Poisson problem as a string under a load",
        "Load and deformation for the paper's first guess and its reference, with one and three parameters. Lengths "
        "are in units of the domain.",
    ),
    "fig_16": ("Trajectories of Heat 1D", f"{_SAMPLES}Lengths are in units of the domain."),
    "fig_17": ("Trajectories of Heat 2D", _TRAJECTORY),
    "fig_18": ("Trajectories of Heat 3D", f"{_TRAJECTORY} One plane is shown."),
    "fig_19": ("Trajectories of Burgers", f"{_SAMPLES}Lengths are in units of the domain."),
    "fig_20": ("Trajectories of Navier-Stokes", f"{_TRAJECTORY} Both components of the velocity."),
}


@dataclass(frozen=True)
class Picture:
    """A PNG file inside the page.

    Attributes:
        name: its figure.
        title: its subject.
        caption: how to read it.
        width: in pixels.
        height: in pixels.
        source: the file as a `data:` address.
    """

    name: str
    title: str
    caption: str
    width: int
    height: int
    source: str

    @property
    def points(self) -> int:
        """The natural width on the page in points."""
        return round(self.width / _SCALE)


def load_pictures(folder: Path) -> list[Picture]:
    """Return the pictures `<name>.png` that a folder has.

    Raises:
        ValueError: a file is not a PNG file; the message names it.
    """
    paths = {name: folder / f"{name}.png" for name in PICTURES}
    return [_picture(name, path) for name, path in paths.items() if path.exists()]


def _picture(name: str, path: Path) -> Picture:
    content = path.read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        raise ValueError(f"{path}: not a PNG file; draw it again with python scripts/trajectories.py {name}")
    width, height = struct.unpack(">II", content[16:24])
    title, caption = PICTURES[name]
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Picture(name, title, caption, width, height, source)
