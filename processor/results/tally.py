"""Counts of one run: what became of each scan that was seen, and how much was read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from processor.records import PageReading, Status
from processor.results.queries import Summary


@dataclass(slots=True)
class Tally:
    """A scan waits from when it is seen until it ends as done, failed, duplicate or ignored."""

    seen: int = 0
    waiting: set[Path] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def see(self, path: Path) -> None:
        """Counts the scan at `path`, unless it is waiting already."""
        if path not in self.waiting:
            self.seen += 1
            self.waiting.add(path)

    def end(self, path: Path, state: str) -> None:
        self.waiting.discard(path)
        self.ended[state] += 1

    def add(self, pages: Iterable[PageReading]) -> None:
        """Counts what was read from a scan."""
        for page in pages:
            digits = [digit for number in page.numbers for digit in number.digits]
            self.found.update(
                pages=1,
                numbers=len(page.numbers),
                digits=len(digits),
                review=sum(digit.status is Status.REVIEW for digit in digits),
                rejected=len(page.rejected),
            )

    def summary(self) -> Summary:
        """The counts; raises BadDatabase where `seen` is not the sum of what became of the scans."""
        counts = Summary(
            seen=self.seen,
            pending=len(self.waiting),
            **{state: self.ended[state] for state in ("done", "failed", "duplicate", "ignored")},
            **{name: self.found[name] for name in ("pages", "numbers", "digits", "review", "rejected")},
        )
        counts.check()
        return counts
