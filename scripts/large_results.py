"""Train Heat 3D and Navier-Stokes (finished runs are skipped) and write results/large.md.

python scripts/large_results.py                        the reduced problems, about 15 minutes on two cores
python scripts/large_results.py navier_stokes          the paper's size: an hour or two on two cores
python scripts/large_results.py --tables               only the tables, from results/core/*.parquet
"""

import argparse
from collections.abc import Iterator

import pandas as pd
from core_results import OUT, ROOT, SEEDS, spread, train
from hydra import initialize_config_dir

from prdp.atomic import write_text

PRIMAL = "diff.adjoint_tolerance_relative_to=primal"
CASES = {
    "heat3d_small": ["physics=heat3d", "scale=small"],
    "navier_stokes_small": ["physics=navier_stokes", "scale=small"],
    "heat3d": ["physics=heat3d"],
    "navier_stokes": ["physics=navier_stokes"],
}
DEFAULT = ("heat3d_small", "navier_stokes_small")
PAPER = {
    "heat3d": "Paper: 81 % saved, K_eps = 30, errors 0.4 ± 0.09 (converged) and 0.5 ± 0.10 (PRDP), x1e-2.",
    "navier_stokes": (
        "Paper: 81 % saved (65 + 16), wall clock -62 %, errors 0.6 ± 0.05 (converged) and 0.7 ± 0.04 (PRDP), x1e-2."
    ),
}


def wanted(case: str) -> Iterator[list[str]]:
    """Yield the overrides of every run of a case."""
    seeds = SEEDS[:1] if case.endswith("_small") else (0,)
    for seed in seeds:
        for schedule in ("schedule=prdp", "schedule=fixed"):
            yield [schedule, f"seed={seed}"]
            if case.startswith("navier_stokes"):
                yield [schedule, f"seed={seed}", PRIMAL]


def table(case: str) -> str:
    """Return the section of a case, from its parquet file."""
    summaries = pd.read_parquet(OUT / f"{case}_summaries.parquet").set_index("overrides")
    physics, size = case.removesuffix("_small"), "scale=small" if case.endswith("_small") else "full size"
    last = max(int(c.split("_")[3]) for c in map(str, summaries) if c.startswith("val_error_step_"))
    steps = [t for t in (1, 2, last) if t <= last]
    lines = [
        f"## {physics} ({size}), "
        f"seeds {', '.join(map(str, sorted(set(summaries['seed']))))}, {summaries['epochs'].max()} epochs, "
        f"K_eps = {summaries['converged_iterations'].max()}",
        "",
        PAPER[physics],
        "",
        "| schedule | gradient through the solves | savings % | IC + PR % | final K | "
        + " | ".join(f"error at t = {t}, x1e-2" for t in dict.fromkeys(steps))
        + " |",
        "|---" * (5 + len(dict.fromkeys(steps))) + "|",
    ]
    for primal in (False, True):
        chosen = summaries[summaries.index.str.contains(PRIMAL) == primal]
        for schedule, rows in chosen.groupby("schedule", sort=True):
            final = rows["iterations_final"]
            errors = [spread(rows[f"val_error_step_{t}_final"], digits=2) for t in dict.fromkeys(steps)]
            lines.append(
                f"| {schedule} | {'stopped, as released' if primal else 'right'} | {spread(rows['savings'])} "
                f"| {spread(rows['savings_incomplete_convergence'])} + "
                f"{spread(rows['savings_progressive_refinement'])} | {_range(final)} | "
                + " | ".join(errors)
                + " |"
            )
    return "\n".join(lines)


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return str(low) if low == high else f"{low} to {high}"


def main() -> None:
    """Train, collect and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    parser.add_argument("--tables", action="store_true", help="do not train")
    arguments = parser.parse_args()
    if not arguments.tables:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            for case in arguments.cases or DEFAULT:
                train(case, CASES[case], list(wanted(case)))
    done = [case for case in CASES if (OUT / f"{case}_summaries.parquet").exists()]
    head = "# Heat 3D and Navier-Stokes\n\nWritten by `scripts/large_results.py` from the records in `results/core/`.\n"
    text = "\n\n".join([head.rstrip(), *map(table, done)]) + "\n"
    write_text(ROOT / "results" / "large.md", text)
    print(text)


if __name__ == "__main__":
    main()
