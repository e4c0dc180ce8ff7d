"""Recorded runs -> quantities -> claims, tables, figures and the report. It never trains."""

from prdp.analysis.quantities import account
from prdp.analysis.records import Records, load, merge, save
from prdp.analysis.run_folders import load_runs

__all__ = ["Records", "account", "load", "load_runs", "merge", "save"]
