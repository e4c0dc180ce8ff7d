"""Search the best monotone schedule in hindsight and write results/records/oracle_<problem>.parquet.

python scripts/oracle.py heat1d --seeds 1 2 25
python scripts/oracle.py heat2d_small --block 5 --levels 1 2 3 4 6 8 12

Takes about half a minute per seed for Heat 1D. The result is an upper bound of the optimal cost, because the search
keeps at most --width schedules at each decision and changes K only every --block epochs.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from prdp.suite.oracle import Branching, Node, front_table, search, undominated_in_cost
from problems import PROBLEMS, RECORDS, configured, keep


class Search(NamedTuple):
    """How a problem is searched.

    Attributes:
        block: the epochs between two decisions.
        levels: the K to choose from.
        width: the number of schedules kept at each decision.
    """

    block: int
    levels: tuple[int, ...]
    width: int


# A finer search of the larger problems takes days.
SEARCHES = {
    "poisson": Search(5, (1, 25, 50, 75, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600), 300),
    "heat1d": Search(10, (1, 2, 3, 4, 5, 6, 8, 10, 13, 25), 40),
    "heat2d_small": Search(10, (1, 2, 3, 4, 6, 8, 12, 18, 44), 24),
    "heat2d": Search(10, (1, 2, 4, 8, 16, 44), 6),
    "heat3d_small": Search(25, (1, 2, 4, 8, 14), 4),
    "burgers": Search(20, (4, 6, 8, 10, 12, 16, 23), 10),
    "navier_stokes_small": Search(25, (1, 2, 4, 8, 19), 6),
}


def main() -> None:
    """Run the search for each seed and write the fronts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--block", type=int, help="epochs between two decisions")
    parser.add_argument("--levels", type=int, nargs="+")
    parser.add_argument("--width", type=int, help="schedules kept at each decision")
    parser.add_argument("--out", type=Path, default=RECORDS)
    arguments = parser.parse_args()
    chosen = {key: getattr(arguments, key) for key in ("block", "levels", "width")}
    how = SEARCHES[arguments.problem]._replace(**{k: v for k, v in chosen.items() if v is not None})
    path = arguments.out / f"oracle_{arguments.problem}.parquet"
    for seed in arguments.seeds:
        table = searched(arguments.problem, how, seed)
        print(table.drop(columns="block").to_string(index=False), flush=True)
        keep(path, table, "seed")


def searched(problem: str, how: Search, seed: int) -> pd.DataFrame:
    """Return the front of one seed."""
    branching = Branching(configured(problem, "diff=implicit", f"seed={seed}"), how.block)
    front: list[Node] = []
    for i, front in enumerate(search(branching, how.levels, how.width), 1):
        print(f"seed {seed}: {i} of {branching.blocks} blocks, {len(front)} schedules", flush=True)
    front = [branching.tested(node) for node in undominated_in_cost(front)]
    return front_table(front, how.block).assign(seed=seed, converged_iterations=branching.converged)


if __name__ == "__main__":
    main()
