"""Starts `python train.py` without waiting for its imports: a process that has them forks for every call."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Reads orders, a line each: start a program, or wait for one. JAX has threads only once it computes: never here.
PROGRAM = """
import json, os, resource, runpy, sys
import prdp.run, prdp.suite.sweeper, prdp.suite

def start(script, arguments, folder, out, err, killed_at_write, largest_file):
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if killed_at_write:
        fsync, done = os.fsync, []
        def killing(handle):
            done.append(handle)
            if len(done) == killed_at_write:
                os.kill(os.getpid(), 9)
            fsync(handle)
        os.fsync = killing
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = [script, *arguments]

print("ready", flush=True)
order = None
for line in iter(sys.stdin.readline, ""):
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    process = os.fork()
    if not process:
        start(**order)
        break
    print(process, flush=True)
else:
    sys.exit()
runpy.run_path(order["script"], run_name="__main__")
"""


@dataclass(frozen=True)
class Process:
    """A `train.py` that has been started.

    Attributes:
        pid: of the process.
        fork_server: the server that forked it.
        streams: the files of its stdout and stderr.
    """

    pid: int
    fork_server: "ForkServer"
    streams: tuple[Path, Path]

    def wait(self):
        """Return the exit code once it has ended, as `subprocess` gives it."""
        return int(self.fork_server.ask({"wait": self.pid}))

    def kill(self):
        """End it with SIGKILL."""
        os.kill(self.pid, 9)
        assert self.wait() == -9

    @property
    def output(self):
        """What it has printed."""
        return self.streams[0].read_text()

    @property
    def errors(self):
        """What it has printed on stderr."""
        return self.streams[1].read_text()


class ForkServer:
    """Starts processes; a context."""

    def __init__(self, folder, data_dir):
        self.folder, self.data_dir, self.count = folder, data_dir, 0

    def __enter__(self):
        path = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error):
        self.process.communicate()

    def ask(self, order):
        """Return the answer to an order."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def start(self, runs_dir, *overrides, killed_at_write=None, largest_file=None):
        """Start `python train.py` in an empty folder.

        Args:
            runs_dir: where its runs go.
            overrides: and flags.
            killed_at_write: it is killed at this fsync; every file takes two, before and after it gets its name.
            largest_file: bytes; no file can be larger.
        """
        self.count += 1
        folder = self.folder / f"process{self.count}"
        (folder / "cwd").mkdir(parents=True)
        streams = folder / "out", folder / "err"
        arguments = [*overrides, f"runs_dir={runs_dir}", f"data_dir={self.data_dir}", "progress=false"]
        order = {
            "script": str(ROOT / "train.py"),
            "arguments": arguments,
            "folder": str(folder / "cwd"),
            "out": str(streams[0]),
            "err": str(streams[1]),
            "killed_at_write": killed_at_write,
            "largest_file": largest_file,
        }
        return Process(int(self.ask(order)), self, streams)

    def run(self, runs_dir, *overrides, **options):
        """Return a process that has ended, and its exit code."""
        process = self.start(runs_dir, *overrides, **options)
        return process, process.wait()


def wait_for(condition, seconds=60.0):
    """Return once `condition()` holds, looking all the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
