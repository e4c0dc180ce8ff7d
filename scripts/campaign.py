"""Compute the runs that the records still lack, one at a time, most important first (conf/campaign.yaml).

Stop it at any moment (Ctrl-C, or SIGTERM): the run under way keeps its checkpoint, and the next call goes on from it.
Every finished run goes into results/records at once; commit them.

    make campaign-status                what is recorded, running and missing
    make campaign                       until nothing is missing
    make campaign ARGS="--limit 3"      three runs
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
from hydra import initialize_config_dir

from prdp.analysis import load
from prdp.analysis.comparison import timed_alone
from prdp.locks import lock
from prdp.suite import GridError, preset_groups
from prdp.suite.campaign import Entry, Stage, choose, is_idle, stages, status_table, survey
from prdp.suite.collect import collect
from prdp.suite.cost import duration

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
RECORDS = RESULTS / "records"
# The exit code of train.py for a run that diverged, which has a record.
DIVERGED = 3
COMMON = [f"runs_dir={RESULTS / 'runs'}", f"data_dir={RESULTS / 'data'}", "progress=false"]


def main() -> None:
    """Run, or show, the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--status", action="store_true", help="show what is recorded and what is missing")
    parser.add_argument("--limit", type=int, help="stop after so many runs")
    arguments = parser.parse_args()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        try:
            every = stages(ROOT / "conf" / "campaign.yaml", preset_groups())
        except GridError as error:
            sys.exit(f"error: conf/campaign.yaml: {error}")
        if arguments.status:
            show(survey(every, load(RECORDS).summaries, COMMON))
            return
        (RESULTS / "runs").mkdir(parents=True, exist_ok=True)
        try:
            held = lock(RESULTS / "runs" / ".campaign")
        except BlockingIOError:
            sys.exit("error: a campaign is running already")
        with held:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                run_all(every, arguments.limit)
            except KeyboardInterrupt:
                sys.exit("interrupted: the same command goes on")


def run_all(every: list[Stage], limit: int | None) -> None:
    """Compute missing runs until none is left, or a limit is reached."""
    failed: set[tuple[str, ...]] = set()
    done, idle = 0, is_idle()
    while limit is None or done < limit:
        entries = survey(every, load(RECORDS).summaries, COMMON)
        entry = choose(entries, idle, failed)
        if entry is None:
            say("nothing is left to run while other processes are busy" if any_left(entries) else "complete")
            return
        about = "" if entry.seconds is None else f", about {duration(entry.seconds)}"
        say(f"{' '.join(entry.job.overrides)}{about} ({entry.stage.title})")
        if compute(entry) in (0, DIVERGED):
            name = entry.job.folder.name
            recorded = collect(RESULTS / "runs", RECORDS, COMMON).summaries
            # The run itself measured whether the machine was idle.
            idle = bool(timed_alone(recorded[recorded["run"] == name]).all()) or is_idle()
            say(f"recorded {name}" + (", not alone on the machine" if entry.stage.alone and not idle else ""))
        else:
            failed.add(entry.job.overrides)
            say("failed; going on with the next")
        done += 1


def compute(entry: Entry) -> int:
    """Compute one run in a process of its own, politely unless its seconds count; return the exit code."""
    options = [*entry.job.overrides, *COMMON]
    if entry.job.finished:
        # It was not alone on the machine: it runs again, and its record is replaced.
        options.append("overwrite=true")
    command = [sys.executable, str(ROOT / "train.py"), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    # Not by `preexec_fn`: forking is not safe here, because JAX has threads.
    os.setpriority(os.PRIO_PROCESS, process.pid, 0 if entry.stage.alone else 19)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def any_left(entries: list[Entry]) -> bool:
    """Return whether a run is missing."""
    return any(entry.state in ("started", "missing") for entry in entries)


def show(entries: list[Entry]) -> None:
    """Print the stages, and the next run."""
    with pd.option_context("display.width", 200, "display.max_colwidth", 90):
        print(status_table(entries).to_string(index=False))
    print("\n* seconds count: these runs start only while the machine is idle")
    following = choose(entries, idle=True)
    if following is not None:
        print(f"next: {' '.join(following.job.overrides)}, which decides {following.stage.decides}")


def say(line: str) -> None:
    """Print a line at once: the output usually goes to a file."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
