"""Search the best monotone schedule in hindsight and write results/records/oracle_<physics>.parquet.

python scripts/oracle.py heat1d --seeds 1 2 25 --block 10 --levels 1 2 3 4 5 6 8 10 13

Takes about half a minute per seed for Heat 1D. The result is an upper bound of the optimal cost, because the search
keeps at most --width schedules at each decision and changes K only every --block epochs.
"""

import argparse
import io
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir

from prdp.atomic import write_bytes
from prdp.config import parse
from prdp.suite.oracle import Branching, Node, front_table, search, undominated_in_cost

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {
    "heat1d": (10, (1, 2, 3, 4, 5, 6, 8, 10, 13, 25)),
    "poisson": (10, (1, 25, 50, 75, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600)),
    "burgers": (10, (4, 6, 8, 10, 12, 16, 23)),
}


def main() -> None:
    """Run the search for each seed and write the fronts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("physics", choices=LEVELS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--block", type=int, help="epochs between two decisions")
    parser.add_argument("--levels", type=int, nargs="+")
    parser.add_argument("--width", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "records")
    arguments = parser.parse_args()
    block, levels = LEVELS[arguments.physics]
    block, levels = arguments.block or block, tuple(arguments.levels or levels)
    tables = []
    for seed in arguments.seeds:
        overrides = [
            f"physics={arguments.physics}",
            "diff=implicit",
            f"seed={seed}",
            f"data_dir={ROOT / 'results/data'}",
        ]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = parse(compose("config", overrides=overrides))
        branching = Branching(config, block)
        front: list[Node] = []
        for i, front in enumerate(search(branching, levels, arguments.width), 1):
            print(f"seed {seed}: {i} of {branching.blocks} blocks, {len(front)} schedules", flush=True)
        front = [branching.tested(node) for node in undominated_in_cost(front)]
        table = front_table(front, block).assign(seed=seed, converged_iterations=branching.converged)
        print(table.drop(columns="block").to_string(index=False))
        tables.append(table)
    buffer = io.BytesIO()
    pd.concat(tables, ignore_index=True).to_parquet(buffer, index=False)
    write_bytes(arguments.out / f"oracle_{arguments.physics}.parquet", buffer.getvalue())


if __name__ == "__main__":
    main()
