"""How long to wait before something that failed is tried again: longer each time, but never very long."""

import time

LONGEST_SECONDS = 300.0


def pause_after(faults: int) -> float:
    """Seconds until the next try, after one that was preceded by `faults` others: 1, 2, 4, … 300."""
    return float(min(LONGEST_SECONDS, 2.0 ** min(faults, 20)))


class Backoff:
    """Tells whether something that keeps failing is due to be tried again."""

    def __init__(self) -> None:
        self._faults = 0
        self._due = float("-inf")

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._due

    def failed(self) -> None:
        self._due = time.monotonic() + pause_after(self._faults)
        self._faults += 1

    def succeeded(self) -> None:
        self._faults, self._due = 0, float("-inf")
