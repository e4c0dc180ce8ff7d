"""Records -> tidy tables -> savings. Never trains."""

from prdp.analysis.poisson import PoissonAccount, account
from prdp.analysis.records import Records, load, load_runs, merge, save

__all__ = ["PoissonAccount", "Records", "account", "load", "load_runs", "merge", "save"]
