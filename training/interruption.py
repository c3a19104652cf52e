"""Ctrl-C and SIGTERM while a training runs: the first lets a batch end, the second stops at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

from processor.errors import DigitInboxError, Exit


class Interrupted(DigitInboxError):
    """A person stopped the command."""

    exit_code = Exit.INTERRUPTED


class Stop:
    """Whether somebody asked for a stop; `patient` code looks at `asked`, other is interrupted."""

    def __init__(self) -> None:
        self.asked = False
        self.patient = False

    def react(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.asked or not self.patient:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Within this block the first signal only sets `asked`."""
        self.patient = True
        try:
            yield
        finally:
            self.patient = False


@contextmanager
def signals() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM go to the `Stop` that this gives; only a main thread may listen to signals."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.react) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Processes that start meanwhile never see Ctrl-C, which reaches the whole process group.

    A worker that is still importing would die of it with a traceback, and take the last batch with it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Its own start unblocks the signals again.
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
