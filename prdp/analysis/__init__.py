"""Records -> tidy tables -> savings. Never trains."""

from prdp.analysis.poisson import PoissonAccount, account
from prdp.analysis.runs import load_histories, load_summaries

__all__ = ["PoissonAccount", "account", "load_histories", "load_summaries"]
