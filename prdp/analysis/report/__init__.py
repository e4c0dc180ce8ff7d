"""Records, judgements, tables and figures -> one HTML page that needs nothing else."""

from prdp.analysis.report.page import render

__all__ = ["render"]
