"""Ctrl-C and SIGTERM, put off until a run can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Whether a signal to stop has come."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            KeyboardInterrupt: a signal has come since.
        """
        if self.requested:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def deferred() -> Iterator[Interrupts]:
    """Note the first SIGINT or SIGTERM instead of raising at once; the second raises wherever the program is.

    In the middle of an epoch there is nothing consistent to save: parameters and history belong to different
    moments. Outside the main thread, where Python delivers no signals, nothing changes.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(n, interrupts._on_signal) for n in numbers]
    try:
        yield interrupts
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
