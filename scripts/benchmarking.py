"""Shared parts of the benchmarks: differentiation modes, timing, memory bandwidth and output."""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import prdp
from prdp.atomic import write_text
from prdp.differentiation import Mode

MODES: dict[str, Callable[[int], Mode]] = {
    "implicit": lambda k: prdp.Implicit(),
    "unrolled": prdp.Unrolled,
    "checkpointed": prdp.Checkpointed,
}


def timed(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the median seconds per call. Calls are interleaved and blocking, and a warm-up round is discarded."""
    times: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 1):
        for call, collected in zip(calls, times, strict=True):
            began = time.perf_counter()
            jax.block_until_ready(call())
            if repeat > 0:
                collected.append(time.perf_counter() - began)
    return [statistics.median(collected) for collected in times]


def bandwidth(elements: int = 2**27) -> float:
    """Return the bandwidth in bytes per second of a triad `a + s b -> a` (`a` donated), on arrays beyond any cache."""
    triad = jax.jit(lambda a, b: a + 0.5 * b, donate_argnums=0)
    box, b = [jnp.ones(elements, jnp.float32)], jnp.ones(elements, jnp.float32)

    def call() -> Any:
        box[0] = triad(box[0], b)
        return box[0]

    return 3 * 4 * elements / timed([call], 7)[0]


def machine() -> str:
    """Return the device and the JAX version, for the head of an output text."""
    device = jax.devices()[0]
    return f"{device.platform} ({device.device_kind}), jax {jax.__version__}"


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option `--output` and the given description."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--output", type=Path, default=None, help="write the results to this Markdown file")
    return made


def publish(lines: Iterable[str], output: Path | None) -> None:
    """Print each line as soon as it is measured. At the end, write all to the file `output` unless it is `None`."""
    kept = []
    for line in lines:
        print(line, flush=True)
        kept.append(line)
    if output is not None:
        write_text(output, "\n".join(kept))
