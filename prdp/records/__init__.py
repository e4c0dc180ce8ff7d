"""What a run leaves behind: its folder, its columns, its summary."""

from prdp.records.neighbours import Neighbours
from prdp.records.provenance import provenance
from prdp.records.schema import COLUMNS, history_frame, summarise
from prdp.records.store import RunFolder, RunIsHeld, digest, run_name

__all__ = [
    "COLUMNS",
    "Neighbours",
    "RunFolder",
    "RunIsHeld",
    "digest",
    "history_frame",
    "provenance",
    "run_name",
    "summarise",
]
