"""Deferral of stop signals until the run can be saved."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# A dropped connection hangs up; under `nohup` that signal is ignored, and stays so.
_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Schedulers use these to announce the end of a job: SLURM's `--signal`, and submitit when it requeues a job.
_ANNOUNCE = (signal.SIGUSR1, signal.SIGUSR2)

# Seconds until a signal that could not be answered is sent again.
_MOMENT = 0.01


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


def install() -> None:
    """Let signals stop this process by an exception from here on, see `stop`; a hang-up only unless it is ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    sys.unraisablehook = _send_lost_signals_again
    for number in _STOP:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def uninstall() -> None:
    """Let the signals of `install` end the process at once again."""
    for number in _STOP:
        if signal.getsignal(number) is stop:
            signal.signal(number, signal.SIG_DFL)


def _send_lost_signals_again(unraisable: Any) -> None:
    """Send a signal again whose exception was lost, as `sys.unraisablehook`.

    Python prints and drops an exception that is raised in a finaliser, or in a callback of the garbage collector or of
    a weak reference, and a signal may arrive there.
    """
    lost = unraisable.exc_value
    if not isinstance(lost, Stopped):
        sys.__unraisablehook__(unraisable)
        return
    again = threading.Timer(_MOMENT, os.kill, (os.getpid(), lost.number))
    again.daemon = True
    again.start()


class HandedOn(KeyboardInterrupt):
    """A run was stopped by a signal for which another handler is installed. Call that handler once the run is saved.

    Args:
        number: the number of the signal.
        handler: the handler that was installed when the run began.
    """

    def __init__(self, number: int, handler: Callable[[int, Any], Any]):
        super().__init__(number)
        self.number, self.handler = number, handler

    def deliver(self) -> None:
        """Call the handler. It may end the process (as for a requeued job), raise or return."""
        self.handler(self.number, None)


class Interrupts:
    """The state of the deferred signals: whether the run has been asked to stop."""

    def __init__(self) -> None:
        self.requested = False
        self._number = int(signal.SIGINT)
        self._handlers: dict[int, Callable[[int, Any], Any]] = {}
        self._announced: int | None = None

    def check(self) -> None:
        """Stop the run here if a stop signal has arrived.

        Raises:
            HandedOn: If a signal with a handler of its own has arrived.
            Stopped: If another stop signal has arrived.
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
        """Take over a signal and return the handler to restore later, or `None` to leave the signal alone."""
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
    """Record the first stop signal instead of raising at once. A second SIGINT or SIGTERM raises immediately.

    The run stops at the next `Interrupts.check`, because in the middle of an epoch there is no consistent state to
    save: parameters and history are out of step. SIGUSR1 and SIGUSR2 also stop a run. If another handler is installed
    for them (submitit requeues a job before its time limit in this way), the run stops with `HandedOn`. If they would
    end the process, they act like SIGTERM. Outside the main thread, where Python delivers no signals, nothing changes.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    previous = {number: interrupts._take(number) for number in (*_STOP, *_ANNOUNCE)}
    hook, sys.unraisablehook = sys.unraisablehook, _send_lost_signals_again
    try:
        yield interrupts
    finally:
        sys.unraisablehook = hook
        for number, handler in previous.items():
            if handler is not None:
                signal.signal(number, handler)
