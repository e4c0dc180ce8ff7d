"""Train what results/core.md needs (finished runs are skipped) and write its numbers.

    python scripts/core_results.py                  everything, about 40 minutes on two cores
    python scripts/core_results.py poisson heat1d   some of it
    python scripts/core_results.py --tables         only the tables, from results/core/*.parquet

Writes results/core/<physics>_histories.parquet, <physics>_summaries.parquet and results/core.md.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir

from prdp.analysis import account, load_histories, load_summaries
from prdp.atomic import write_text
from prdp.experiment import run

# Overrides of a run -> its history.
Lookup = Callable[..., pd.DataFrame]

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "core"
# The authors' ten seeds.
SEEDS = (1, 2, 25, 50, 1000, 1337, 2668, 3999, 12345, 54321)
HEAT1D_LEVELS = (1, 2, 3, 4, 5, 6, 10, 15, 25)
HEAT2D_SEEDS = {"products": SEEDS[:3], "matched": SEEDS[:3], "released": SEEDS[:1]}
# The smallest round parameter error that every Poisson run reaches.
COMMON_ERROR = 2e-5
PAPER_POISSON = {
    # parameters, solver: the paper's cost, saved iterations and savings (table in section 4.1)
    (1, "jacobi"): ("75K", "24.87K", 0.33),
    (3, "jacobi"): ("337.5K", "163K", 0.48),
    (3, "steepest_descent"): ("192K", "82.7K", 0.43),
}


def wanted(physics: str) -> Iterator[list[str]]:
    """Yield the overrides of every run that the tables of a physics need."""
    if physics == "poisson":
        for parameters, solver in PAPER_POISSON:
            for diff in ("unrolled", "implicit"):
                case = [f"physics.parameters={parameters}", f"solver={solver}", f"diff={diff}"]
                yield [*case, "schedule=prdp"]
                yield [*case, "schedule=fixed"]
        yield ["schedule=linear"]
        yield ["schedule=linear", "schedule.increment=6"]
        yield ["schedule=prdp", "schedule.tau_stop=0.98"]
    elif physics == "heat1d":
        for seed in SEEDS:
            yield ["schedule=prdp", f"seed={seed}"]
            for k in HEAT1D_LEVELS:
                yield ["schedule=fixed", f"schedule.iterations={k}", f"seed={seed}"]
    elif physics == "heat2d":
        for form, seeds in HEAT2D_SEEDS.items():
            for seed in seeds:
                data = [f"seed={seed}", f"data.form={form}"]
                yield ["schedule=prdp", *data]
                yield ["schedule=fixed", "schedule.iterations=43", *data]
                if form == "products":
                    yield ["schedule=fixed", "schedule.iterations=12", *data]
    elif physics == "burgers":
        for seed in SEEDS[:3]:
            yield ["schedule=prdp", f"seed={seed}"]
            for k in (4, 16, 23):
                yield ["schedule=fixed", f"schedule.iterations={k}", f"seed={seed}"]


PHYSICS = ("poisson", "heat1d", "heat2d", "burgers")

NOTES_HEAT2D = (
    "`products` is the formula printed in F.2; `released` has sin(2 pi n x) cos(2 pi n x) for one of its families;",
    "`matched` has only sin sin and cos cos, as a commented-out line of the released code does. What differs is",
    "how many random amplitudes 200 training samples have to pin down: 20 in the first two, 10 in the third, as in",
    "Heat 1D. With 10 the error is within a factor of two to three of table 1; with 20 it is seven to eleven times",
    "as large. The paper's numbers most likely come from data with fewer amplitudes than its formula has. K_epsilon",
    "is 43 for `released` and `matched`, 44 for `products`. In no reading does PRDP end below the converged runs, as",
    "table 1 has it.",
)


def train(name: str, common: list[str], overrides: list[list[str]]) -> None:
    """Train what is missing and write two parquet files.

    Args:
        name: of the files.
        common: overrides of every run.
        overrides: of each run, by which the tables find it.
    """
    folders = []
    for i, chosen in enumerate(overrides, 1):
        line = [*common, *chosen, "progress=false"]
        line += [f"runs_dir={ROOT / 'results/runs'}", f"data_dir={ROOT / 'results/data'}"]
        outcome = run(compose("config", overrides=line))
        folders.append(outcome.folder)
        note = "finished before" if outcome.skipped else f"{outcome.summary['seconds_train']:.1f} s"
        print(f"{name} {i}/{len(overrides)}  {' '.join(chosen)}  ({note})", flush=True)
    collect(name, folders, overrides)


def collect(name: str, folders: list[Path], overrides: list[list[str]]) -> None:
    """Write the records of run folders to two parquet files, with the overrides that each is found by."""
    OUT.mkdir(parents=True, exist_ok=True)
    chosen_columns = pd.DataFrame({"run": [f.name for f in folders], "overrides": map(" ".join, overrides)})
    summaries = load_summaries(folders).merge(chosen_columns, on="run")
    summaries.to_parquet(OUT / f"{name}_summaries.parquet", index=False)
    load_histories(folders).to_parquet(OUT / f"{name}_histories.parquet", index=False, compression="zstd")


def tables(physics: str) -> str:
    """Return the section of core.md for a physics, from its parquet files."""
    summaries = pd.read_parquet(OUT / f"{physics}_summaries.parquet").set_index("overrides")
    histories = pd.read_parquet(OUT / f"{physics}_histories.parquet")
    by_run = {str(name): frame.reset_index(drop=True) for name, frame in histories.groupby("run")}

    def history(*overrides: str) -> pd.DataFrame:
        return by_run[str(summaries.loc[" ".join(overrides), "run"])]

    return {"poisson": poisson, "heat1d": heat1d, "heat2d": heat2d, "burgers": burgers}[physics](
        summaries, history
    )


def poisson(summaries: pd.DataFrame, history: Lookup) -> str:
    lines = [
        "## Poisson inverse problems (table in section 4.1)",
        "",
        "The paper's account: with 1 parameter the baseline is charged 125 updates and PRDP 170; with 3, all.",
        f"A common tolerance: both are charged up to their first update with an error of {COMMON_ERROR:.0e},",
        "the smallest round number that every run reaches in float32.",
        "",
        "| P | solver | diff | paper: cost, saved, % | cost | saved | savings | to a common tolerance |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (parameters, solver), paper in PAPER_POISSON.items():
        for diff in ("unrolled", "implicit"):
            case = [f"physics.parameters={parameters}", f"solver={solver}", f"diff={diff}"]
            baseline, refined = history(*case, "schedule=fixed"), history(*case, "schedule=prdp")
            cut = {"baseline_updates": 125, "updates": 170} if parameters == 1 else {}
            ours = account(baseline, refined, **cut)
            fair = account(baseline, refined, error=COMMON_ERROR)
            lines.append(
                f"| {parameters} | {solver} | {diff} | {paper[0]}, {paper[1]}, {paper[2]:.0%} "
                f"| {ours.baseline_cost / 1e3:.1f}K | {(ours.baseline_cost - ours.cost) / 1e3:.1f}K "
                f"| **{ours.savings:.1%}** | {fair.savings:.1%} "
                f"({fair.updates} against {fair.baseline_updates} updates) |"
            )
    baseline = history("physics.parameters=1", "solver=jacobi", "diff=unrolled", "schedule=fixed")
    lines += [
        "",
        "The hand-made schedule of section 2.2 (K = 25 + increment a update, 145 updates against 125):",
        "",
    ]
    for increment, overrides in ((5, ["schedule=linear"]), (6, ["schedule=linear", "schedule.increment=6"])):
        ours = account(baseline, history(*overrides), baseline_updates=125, updates=145)
        lines.append(f"- increment {increment}: **{ours.savings:.1%}** saved (paper: 28 %)")
    ours = account(
        baseline, history("schedule=prdp", "schedule.tau_stop=0.98"), baseline_updates=125, updates=170
    )
    lines.append(f"- PRDP with tau_stop = 0.98, as printed in F.1: {ours.savings:.1%} saved")
    return "\n".join(lines)


def spread(values: pd.Series, scale: float = 100.0, digits: int = 1) -> str:
    """Return mean ± standard deviation over seeds."""
    mean = f"{scale * values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {scale * values.std():.{digits}f}"


def heat1d(summaries: pd.DataFrame, history: Lookup) -> str:
    refined = summaries[summaries["schedule"] == "prdp"]
    lines = [
        f"## Heat 1D, {len(refined)} seeds, 100 epochs",
        "",
        f"PRDP saves **{spread(refined['savings'])} %** ({100 * refined['savings'].min():.1f} to "
        f"{100 * refined['savings'].max():.1f}; paper: 79 %), of it incomplete convergence "
        f"{spread(refined['savings_incomplete_convergence'])} % and progressive refinement "
        f"{spread(refined['savings_progressive_refinement'])} % (paper: 60 + 19). Final K "
        f"{refined['iterations_final'].min()} to {refined['iterations_final'].max()} (paper: 10).",
        "",
        "| schedule | two-step error x1e-2, eq. 56 | the same, divided by the previous step (table 1: 2.1 ± 0.39) |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *error_rows(summaries)])


def _levels(summaries: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    fixed = summaries[summaries["schedule"] == "fixed"]
    for k, rows in fixed.groupby("iterations_final"):
        yield f"K = {k}", rows
    yield "PRDP", summaries[summaries["schedule"] == "prdp"]


def error_rows(summaries: pd.DataFrame) -> list[str]:
    """Return the rows of the table of both errors by level."""
    return [
        f"| {name} | {spread(rows['val_error_final'], digits=2)} "
        f"| {spread(rows['val_error_previous_step_final'], digits=2)} |"
        for name, rows in _levels(summaries)
    ]


def heat2d(summaries: pd.DataFrame, history: Lookup) -> str:
    lines = [
        "## Heat 2D, 70 epochs (3 seeds; `released` 1)",
        "",
        "Paper: 86 % saved (72 + 14), K_max = 12, errors 1.4 ± 0.08 (converged) and 1.1 ± 0.06 (PRDP), x1e-2.",
        "",
        "| initial conditions | schedule | savings % | final K | error x1e-2, eq. 56 | divided by the previous step |",
        "|---|---|---|---|---|---|",
    ]
    for form in HEAT2D_SEEDS:
        for name, rows in _levels(summaries[summaries.index.str.contains(f"data.form={form}")]):
            if rows.empty:
                continue
            final = f"{rows['iterations_final'].min()} to {rows['iterations_final'].max()}"
            lines.append(
                f"| {form} | {name} | {spread(rows['savings'])} | {final} "
                f"| {spread(rows['val_error_final'], digits=2)} "
                f"| {spread(rows['val_error_previous_step_final'], digits=2)} |"
            )
    lines += ["", *NOTES_HEAT2D]
    return "\n".join(lines)


def burgers(summaries: pd.DataFrame, history: Lookup) -> str:
    refined = summaries[summaries["schedule"] == "prdp"]
    lines = [
        f"## Burgers 1D, {len(refined)} seeds, 100 epochs",
        "",
        f"PRDP saves **{spread(refined['savings'])} %** against K_eps = 23 (paper: 59 %), final K "
        f"{refined['iterations_final'].min()} to {refined['iterations_final'].max()} (paper: 16). Table 1: 5.5 ± 1.38 "
        "(converged) and 6.2 ± 2.13 (PRDP).",
        "",
        "| schedule | error at t = 5, x1e-2, eq. 56 | divided by the previous step |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *error_rows(summaries)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("physics", nargs="*", choices=[*PHYSICS, []])
    parser.add_argument("--tables", action="store_true", help="do not train")
    arguments = parser.parse_args()
    if not arguments.tables:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            for physics in arguments.physics or PHYSICS:
                train(physics, [f"physics={physics}"], list(wanted(physics)))
    done = [p for p in PHYSICS if (OUT / f"{p}_summaries.parquet").exists()]
    head = (
        "# Results of the core\n\nWritten by `scripts/core_results.py` from the records in `results/core/`.\n"
    )
    text = "\n\n".join([head.rstrip(), *map(tables, done)]) + "\n"
    write_text(ROOT / "results" / "core.md", text)
    print(text)


if __name__ == "__main__":
    main()
