"""Add every finished run below results/runs to the committed records in results/records.

python scripts/collect.py [--runs results/runs] [--records results/records]

A run whose folder is gone keeps its record. Runs that no preset names belong to the experiment `own`.
"""

import argparse
from pathlib import Path

from hydra import initialize_config_dir

from prdp.suite.collect import collect

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Collect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", default=[ROOT / "results" / "runs"])
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "records")
    arguments = parser.parse_args()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for runs in arguments.runs:
            records = collect(runs, arguments.records)
    jobs = records.jobs.groupby("experiment")["run"].agg(["size", "count"])
    for name, (size, count) in jobs.iterrows():
        print(f"  {name:<10} {count:4d} of {size:4d} jobs recorded")


if __name__ == "__main__":
    main()
