"""Search the best monotone schedule in hindsight and write results/records/oracle_<problem>.parquet.

python scripts/oracle.py heat1d --seeds 1 2 25
python scripts/oracle.py heat2d_small --block 5 --levels 1 2 3 4 6 8 12

Takes about half a minute per seed for Heat 1D. The result is an upper bound of the optimal cost, because the search
keeps at most --width schedules at each decision and changes K only every --block epochs.
"""

import argparse
import io
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from hydra import compose, initialize_config_dir

from prdp.atomic import write_bytes
from prdp.config import parse
from prdp.suite.oracle import Branching, Node, front_table, search, undominated_in_cost

ROOT = Path(__file__).resolve().parents[1]


class Search(NamedTuple):
    """How a problem is searched.

    Attributes:
        overrides: what makes it.
        block: the epochs between two decisions.
        levels: the K to choose from.
        width: the number of schedules kept at each decision.
    """

    overrides: tuple[str, ...]
    block: int
    levels: tuple[int, ...]
    width: int


# `_small`: smaller than the paper's problem. A finer search of these takes days.
PROBLEMS = {
    "poisson": Search(
        ("physics=poisson",), 10, (1, 25, 50, 75, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600), 40
    ),
    "heat1d": Search(("physics=heat1d",), 10, (1, 2, 3, 4, 5, 6, 8, 10, 13, 25), 40),
    "heat2d_small": Search(("physics=heat2d", "scale=small"), 10, (1, 2, 3, 4, 6, 8, 12, 18, 44), 24),
    "heat3d_small": Search(("physics=heat3d", "scale=small"), 20, (1, 2, 3, 4, 6, 9, 14, 30), 8),
    "burgers": Search(("physics=burgers",), 20, (4, 6, 8, 10, 12, 16, 23), 10),
    "navier_stokes_small": Search(("physics=navier_stokes", "scale=small"), 20, (1, 2, 4, 6, 8, 12, 19), 6),
}


def main() -> None:
    """Run the search for each seed and write the fronts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--block", type=int, help="epochs between two decisions")
    parser.add_argument("--levels", type=int, nargs="+")
    parser.add_argument("--width", type=int, help="schedules kept at each decision")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "records")
    arguments = parser.parse_args()
    chosen = {key: getattr(arguments, key) for key in ("block", "levels", "width")}
    how = PROBLEMS[arguments.problem]._replace(**{k: v for k, v in chosen.items() if v is not None})
    path = arguments.out / f"oracle_{arguments.problem}.parquet"
    for seed in arguments.seeds:
        table = searched(how, seed)
        print(table.drop(columns="block").to_string(index=False), flush=True)
        # Seeds searched before stay: each takes minutes to hours.
        before = pd.read_parquet(path) if path.exists() else table.iloc[:0]
        whole = pd.concat([before[before["seed"] != seed], table], ignore_index=True)
        buffer = io.BytesIO()
        whole.sort_values(["seed", "iterations_total"], kind="stable").to_parquet(buffer, index=False)
        write_bytes(path, buffer.getvalue())


def searched(how: Search, seed: int) -> pd.DataFrame:
    """Return the front of one seed."""
    overrides = [*how.overrides, "diff=implicit", f"seed={seed}", f"data_dir={ROOT / 'results/data'}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = parse(compose("config", overrides=overrides))
    branching = Branching(config, how.block)
    front: list[Node] = []
    for i, front in enumerate(search(branching, how.levels, how.width), 1):
        print(f"seed {seed}: {i} of {branching.blocks} blocks, {len(front)} schedules", flush=True)
    front = [branching.tested(node) for node in undominated_in_cost(front)]
    return front_table(front, how.block).assign(seed=seed, converged_iterations=branching.converged)


if __name__ == "__main__":
    main()
