"""Compute the runs that the records still lack, most important first (conf/campaign.yaml).

Stop it at any moment (Ctrl-C, or SIGTERM): the run under way keeps its checkpoint, and the next call goes on from it.
Every finished run goes into results/records at once; commit them.

    make campaign-status                what is recorded, running and missing
    make campaign                       until nothing is missing
    make campaign ARGS="--limit 3"      three runs
    make campaign ARGS="--together 2"   two at a time, each on half of the cores; runs whose seconds count stay alone
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import pandas as pd
from hydra import initialize_config_dir

from prdp.analysis import load
from prdp.analysis.comparison import timed_alone
from prdp.locks import lock
from prdp.records import usable_processors
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
    parser.add_argument(
        "--together", type=int, default=1, help="runs at a time, if their seconds do not count"
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.together <= usable_processors():
        parser.error(
            f"--together {arguments.together}: from 1 to {usable_processors()}, the cores of this machine"
        )
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
                run_all(every, arguments.limit, arguments.together)
            except KeyboardInterrupt:
                sys.exit("interrupted: the same command goes on")


def run_all(every: list[Stage], limit: int | None, together: int) -> None:
    """Compute missing runs until none is left, or a limit is reached."""
    tried: set[tuple[str, ...]] = set()  # under way, failed, or not alone
    running: dict[subprocess.Popen[bytes], Entry] = {}
    started, idle = 0, is_idle()
    try:
        while True:
            full = len(running) == together or any(e.stage.alone for e in running.values())
            # Not beside a run whose seconds count: the survey takes seconds of CPU time itself.
            entries = [] if full or started == limit else survey(every, load(RECORDS).summaries, COMMON)
            entry = choose(entries, idle, tried)
            # A run whose seconds count waits until the others have ended.
            if entry is not None and not (entry.stage.alone and running):
                about = "" if entry.seconds is None else f", about {duration(entry.seconds)}"
                say(f"{' '.join(entry.job.overrides)}{about} ({entry.stage.title})")
                running[start(entry, 1 if entry.stage.alone else together)] = entry
                tried.add(entry.job.overrides)
                started += 1
            elif running:
                process = first_ended(running)
                entry = running.pop(process)
                if process.returncode in (0, DIVERGED):
                    counts, idle = record(entry, idle, others=bool(running))
                    # One whose seconds do not count is left to the next call; else it would run again and again.
                    if counts:
                        tried.remove(entry.job.overrides)
                else:
                    say(f"failed: {' '.join(entry.job.overrides)}; going on with the next")
            else:
                if started != limit:
                    left = any(e.state in ("started", "missing") for e in entries)
                    say("what is left failed, or has to be alone on the machine" if left else "complete")
                return
    except KeyboardInterrupt:
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            process.wait()
        raise


def start(entry: Entry, together: int) -> subprocess.Popen[bytes]:
    """Start one run in a process of its own, politely unless its seconds count, with its share of the cores."""
    options = [*entry.job.overrides, *COMMON]
    if entry.job.finished:
        # It was not alone on the machine: it runs again, and its record is replaced.
        options.append("overwrite=true")
    threads = str(usable_processors() // together)
    share = (
        {"NPROC": threads, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        if together > 1
        else {}
    )
    command = [sys.executable, str(ROOT / "train.py"), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | share)
    # Not by `preexec_fn`: forking is not safe here, because JAX has threads.
    os.setpriority(os.PRIO_PROCESS, process.pid, 0 if entry.stage.alone else 19)
    return process


def first_ended(running: Collection[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Wait until a process ends, and return it."""
    while True:
        for process in running:
            if process.poll() is not None:
                return process
        time.sleep(0.2)


def record(entry: Entry, idle: bool, *, others: bool) -> tuple[bool, bool]:
    """Record a finished run; return whether it is all that its stage needs, and whether the machine is idle."""
    name = entry.job.folder.name
    recorded = collect(RESULTS / "runs", RECORDS, COMMON).summaries
    alone = bool(timed_alone(recorded[recorded["run"] == name]).all())
    counts = alone or not entry.stage.alone
    if not others:
        # The run itself measured whether the machine was idle.
        idle = alone or is_idle()
    why = (
        ""
        if counts
        else ", but its seconds do not count: others used the machine, or the code is not committed"
    )
    say(f"recorded {name}{why}")
    return counts, idle


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
