"""Run presets of conf/experiment/, then collect the records and write tables, claims, figures and the report.

python scripts/reproduce.py                              all presets: weeks on two cores, hours to days on GPUs
python scripts/reproduce.py fast                         half an hour on two cores
python scripts/reproduce.py fig_8 --seeds 3 --physics burgers
python scripts/reproduce.py --dry-run                    only print the estimated time

Finished runs are skipped and interrupted runs are resumed, so it can be stopped and restarted at any time.
"""

import argparse
import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
from hydra import compose, initialize_config_dir

from prdp.analysis import load
from prdp.config import ConfigError
from prdp.records import RunIsHeld
from prdp.run import run
from prdp.suite import GridError, Job, Ledger, attempt, plan, preset_jobs, preset_names
from prdp.suite.collect import collect
from prdp.suite.cost import duration, estimate
from prdp.suite.seeds import grouped, join

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
RECORDS = RESULTS / "records"


def main() -> None:
    """Run the presets selected on the command line."""
    arguments = parse()
    common = [f"runs_dir={RESULTS / 'runs'}", f"data_dir={RESULTS / 'data'}", "progress=false"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        names = arguments.experiments or [n for n in preset_names() if n != "fast"]
        jobs = gather(names, arguments, common)
        ledger = Ledger(jobs, RECORDS)
        ledger.say(ledger.headline())
        if arguments.dry_run:
            return
        try:
            train(jobs, common, ledger, arguments.seeds_per_process)
        finally:
            ledger.close()
            collect(RESULTS / "runs", RECORDS, common)
    for script in ("tables", "claims", "figures", "report"):
        subprocess.run([sys.executable, str(ROOT / "scripts" / f"{script}.py")], check=True)
    if ledger.failed:
        sys.exit(1)


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("experiments", nargs="*", help="presets; default: all but fast")
    parser.add_argument("--seeds", type=int, help="number of seeds, starting with the first")
    parser.add_argument("--physics", nargs="+", default=[], help="only these physics")
    parser.add_argument(
        "--seeds-per-process", type=int, default=1, help="seeds trained together in one program (for GPUs)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print the estimated time")
    arguments = parser.parse_args()
    for key in ("seeds", "seeds_per_process"):
        value = getattr(arguments, key)
        if value is not None and value < 1:
            parser.error(f"--{key.replace('_', '-')} {value}: allowed is an integer >= 1")
    return arguments


def gather(names: list[str], arguments: argparse.Namespace, common: list[str]) -> list[Job]:
    """Return the jobs of all presets without duplicates, shortest first, and print the cost of each preset."""
    unknown = [name for name in names if name not in preset_names()]
    if unknown:
        sys.exit(f"error: {', '.join(unknown)}: no such experiment; there are {', '.join(preset_names())}")
    given = {"physics": arguments.physics} if arguments.physics else {}
    summaries = load(RECORDS).summaries
    every: dict[Path, tuple[Job, float | None]] = {}
    refusals = []
    for name in names:
        try:
            jobs = plan(preset_jobs(name, given, arguments.seeds), common)
        except GridError as nothing:
            refusals.append(str(nothing))
            continue
        times = estimate(jobs, summaries)
        left = [t for job, t in zip(jobs, times, strict=True) if not job.finished]
        unknown_length = sum(t is None for t in left)
        cost = duration(sum((t for t in left if t is not None), 0.0))
        cost += f" and {unknown_length} of unknown length" if unknown_length else ""
        print(f"  {name:<10} {len(jobs):4d} jobs, {len(left):4d} to run: {cost}")
        every |= {job.folder: (job, t) for job, t in zip(jobs, times, strict=True)}
    if not every:
        sys.exit(f"error: {refusals[0]}")
    return [job for job, _ in sorted(every.values(), key=lambda x: math.inf if x[1] is None else x[1])]


def train(jobs: list[Job], common: list[str], ledger: Ledger, together: int) -> None:
    """Run all jobs in this process, `together` seeds of a configuration at a time. Failures do not stop the others."""
    for group in grouped([job.overrides for job in jobs], [1 if job.finished else together for job in jobs]):
        overrides = join([jobs[i].overrides for i in group])
        composed = compose("config", overrides=[*overrides, *common])
        for i, result in zip(group, attempt(overrides, partial(run, composed), explain), strict=True):
            ledger.add(result, i)
        # Otherwise the compiled programs of finished runs accumulate.
        jax.clear_caches()


def explain(error: Exception) -> str | None:
    """Return the message of configuration errors and held runs; others are reported with their exception type."""
    return str(error) if isinstance(error, ConfigError | RunIsHeld) else None


if __name__ == "__main__":
    main()
