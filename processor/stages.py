"""What each stage of reading costs, for whoever lends it a clock; without one, nothing is measured."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")


class Clock:
    """Processor seconds of this process by stage, in the order in which the stages were first entered.

    A stage within another takes its time out of the other's, so that all of them add up to the whole.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0

    def enter(self, name: str) -> None:
        """From here on, time is that of `name`."""
        self._charge()
        self.seconds.setdefault(name, 0.0)
        self._open.append(name)

    def leave(self) -> None:
        """From here on, time is that of the stage around this one, or of none."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


_clock: ContextVar[Clock | None] = ContextVar("clock", default=None)


@contextmanager
def measured() -> Iterator[Clock]:
    """A clock of all stages within; those of other threads are not among them."""
    clock = Clock()
    token = _clock.set(clock)
    try:
        yield clock
    finally:
        _clock.reset(token)


class Stage(ContextDecorator):
    """What is within, or the function that it decorates, is one stage; cheap where there is no clock."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        if (clock := _clock.get()) is not None:
            clock.enter(self._name)

    def __exit__(self, *fault: object) -> None:
        # The same clock as before: one that is lent within a stage is taken back within it.
        if (clock := _clock.get()) is not None:
            clock.leave()


def stage(name: str) -> Stage:
    """The stage `name`, around a block or before a function."""
    return Stage(name)


def each(name: str, items: Iterable[Item]) -> Iterator[Item]:
    """`items`, the making of each of which is the stage `name`; what is done with it is not."""
    waiting = iter(items)
    while True:
        with stage(name):
            try:
                item = next(waiting)
            except StopIteration:
                return
        yield item
