"""What a person sees of the reading of scans while it goes on, and how the person ends it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from processor.commands.console import Words
from processor.patience import Stop


def progress_bar(words: Words, *, shown: bool = True, transient: bool = True) -> Progress:
    """On stderr; none where that is no terminal, or it is not `shown`. It goes at its end if `transient`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=words.console,
        disable=not (words.shows_progress and shown),
        transient=transient,
    )


class Progression:
    """Shows a run on stderr: a bar where that is a terminal, a line for each failure anywhere."""

    def __init__(self, words: Words, once: bool) -> None:
        self._words = words
        self._once = once
        self._bar = progress_bar(words, shown=once)
        self._task = self._bar.add_task("Reading scans", total=0)
        self._total = 0

    def __enter__(self) -> "Progression":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def listed(self, count: int) -> None:
        self._total += count
        self._bar.update(self._task, total=self._total)

    def ended(self, file: str, state: str, detail: str) -> None:
        self._bar.advance(self._task)
        event, text = f"scan.{state}", f"{state}: {file} ({detail})"
        if state == "failed":
            self._words.warn(f"failed: {detail}", event)
        elif not self._once:
            self._words.say(text, event)
        else:
            self._words.note(text, event)

    def say(self, text: str) -> None:
        self._words.say(text)

    def warn(self, text: str) -> None:
        self._words.warn(text)


@contextmanager
def signals(stop: Stop, words: Words) -> Iterator[None]:
    """Within it, the first Ctrl-C or SIGTERM asks for a stop, the second one interrupts."""

    def react(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if stop.asked:
            raise KeyboardInterrupt
        stop.ask()

    before = {number: signal.signal(number, react) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        if stop.asked:
            words.say("Stopped; what was under way is done.", "run.stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
