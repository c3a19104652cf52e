"""Counts of one run: what became of each scan that was seen, and how much was read."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from processor.records import PageReading, Status
from processor.results.queries import Summary


@dataclass(slots=True)
class Tally:
    """A scan waits from when it is seen until it ends as done, failed, duplicate or ignored."""

    seen: int = 0
    waiting: Counter[Path] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    expected_wrong: float = 0.0

    def see(self, path: Path) -> None:
        """Counts the scan at `path`, unless it is waiting already."""
        if not self.waiting[path]:
            self.see_another(path)

    def see_another(self, path: Path) -> None:
        """Counts a scan that came under the name of one that is still waiting."""
        self.seen += 1
        self.waiting[path] += 1

    def forget(self, path: Path) -> None:
        """Takes back a scan that was gone before it could be queued: nobody is owed a word of it."""
        self.seen -= self._leave(path)

    def end(self, path: Path, state: str) -> None:
        self._leave(path)
        self.ended[state] += 1

    def _leave(self, path: Path) -> int:
        """Takes one scan of this path out of those that wait; tells whether there was one."""
        if not self.waiting[path]:
            return 0
        self.waiting[path] -= 1
        if not self.waiting[path]:
            # A counter keeps its zeros: after a year there would be one for every scan.
            del self.waiting[path]
        return 1

    def add(self, pages: Iterable[PageReading]) -> None:
        """Counts what was read from a scan."""
        for page in pages:
            digits = [digit for number in page.numbers for digit in number.digits]
            accepted = [number for number in page.numbers if number.status is Status.ACCEPTED]
            self.expected_wrong += sum(1 - number.confidence for number in accepted)
            self.found.update(
                pages=1,
                numbers=len(page.numbers),
                digits=len(digits),
                review=sum(digit.status is Status.REVIEW for digit in digits),
                rejected=len(page.rejected),
                accepted=len(accepted),
            )

    def summary(self) -> Summary:
        """The counts; raises BadDatabase where `seen` is not the sum of what became of the scans."""
        counts = Summary(
            seen=self.seen,
            pending=self.waiting.total(),
            **{state: self.ended[state] for state in ("done", "failed", "duplicate", "ignored")},
            **{name: self.found[name] for name in ("pages", "numbers", "digits", "review", "rejected")},
            accepted=self.found["accepted"],
            expected_wrong=round(self.expected_wrong, 4),
        )
        counts.check()
        return counts


class Rate:
    """How many scans ended in the last minute, by any clock in seconds; its memory does not grow."""

    SPAN_SECONDS = 60.0
    STEP_SECONDS = 5.0

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=round(self.SPAN_SECONDS / self.STEP_SECONDS))

    def note(self, now: float) -> None:
        begun, count = self._steps[-1] if self._steps else (now, 0)
        if self._steps and now < begun + self.STEP_SECONDS:
            self._steps[-1] = (begun, count + 1)
        else:
            self._steps.append((now, 1))

    def a_minute(self, now: float) -> float:
        """Scans that ended since a minute before `now`."""
        return float(sum(count for begun, count in self._steps if begun > now - self.SPAN_SECONDS))
