"""Signals that ask a run to stop, put off until it can be saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# A dropped connection hangs up; under `nohup` that signal is ignored, and stays so.
_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A scheduler announces with one of these that it will end the job: SLURM's `--signal`, submitit's requeueing.
_ANNOUNCE = (signal.SIGUSR1, signal.SIGUSR2)


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


def stop(number: int, frame: Any) -> None:
    """Stop, as a signal handler.

    Raises:
        Stopped: Always.
    """
    raise Stopped(number)


class HandedOn(KeyboardInterrupt):
    """A run was stopped by a signal that somebody else handles, whose handler is to be called now that all is saved.

    Args:
        number: of the signal.
        handler: that was installed when the run began.
    """

    def __init__(self, number: int, handler: Callable[[int, Any], Any]):
        super().__init__(number)
        self.number, self.handler = number, handler

    def deliver(self) -> None:
        """Call the handler, which may end the process (a requeued job's does), raise, or come back."""
        self.handler(self.number, None)


class Interrupts:
    """Whether a signal to stop has come."""

    def __init__(self) -> None:
        self.requested = False
        self._number = int(signal.SIGINT)
        self._handlers: dict[int, Callable[[int, Any], Any]] = {}
        self._announced: int | None = None

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            HandedOn: a signal with a handler of its own has come since.
            Stopped: another signal to stop has.
        """
        if self._announced is not None:
            raise HandedOn(self._announced, self._handlers[self._announced])
        if self.requested:
            raise Stopped(self._number)

    def _on_signal(self, number: int, frame: Any) -> None:
        again, self.requested = self.requested, True
        self._number = number
        if number in self._handlers:
            self._announced = number
        if again and number in _STOP:
            self.check()

    def _take(self, number: int) -> Any:
        """Take over a signal; return the handler to put back, `None` if the signal is none of ours."""
        previous = signal.getsignal(number)
        if number == signal.SIGHUP and previous == signal.SIG_IGN:
            return None
        if number in _ANNOUNCE:
            if previous in (None, signal.SIG_IGN):
                # Ignored, or handled outside Python.
                return None
            if callable(previous):
                self._handlers[number] = previous
        signal.signal(number, self._on_signal)
        return previous


@contextmanager
def deferred() -> Iterator[Interrupts]:
    """Note a first signal to stop instead of raising at once; a second SIGINT or SIGTERM raises wherever the run is.

    In the middle of an epoch there is nothing consistent to save: parameters and history belong to different
    moments. SIGUSR1 and SIGUSR2 stop a run as well: where somebody else handles them, as submitit does to requeue a job
    before its time is over, with `HandedOn`; where they would end the process, like SIGTERM. Outside the main thread,
    where Python delivers no signals, nothing changes.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    previous = {number: interrupts._take(number) for number in (*_STOP, *_ANNOUNCE)}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            if handler is not None:
                signal.signal(number, handler)
