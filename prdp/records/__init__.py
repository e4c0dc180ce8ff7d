"""The records of a run: its folder, the columns of its history, and its summary."""

from prdp.records.cpu_contention import CPUContention, usable_processors
from prdp.records.holding import if_possible, working
from prdp.records.provenance import provenance
from prdp.records.schema import COLUMNS, HOUSEKEEPING, history_frame, read_rows, summarise
from prdp.records.store import RECORD, RunFolder, RunIsHeld, digest, run_name

__all__ = [
    "COLUMNS",
    "HOUSEKEEPING",
    "RECORD",
    "CPUContention",
    "RunFolder",
    "RunIsHeld",
    "digest",
    "history_frame",
    "if_possible",
    "provenance",
    "read_rows",
    "run_name",
    "summarise",
    "usable_processors",
    "working",
]
