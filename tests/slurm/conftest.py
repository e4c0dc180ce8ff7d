"""Collected only where it is asked for (`make test-slurm`): it starts a SLURM of its own."""

import os

collect_ignore_glob = [] if os.environ.get("PRDP_TEST_SLURM") else ["test_*.py"]
