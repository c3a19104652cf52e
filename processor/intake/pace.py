"""When the inbox is listed again: soon after a hint, regularly without one, never most of the time."""

HINT_PAUSE_SECONDS = 0.1
"""A copy of a thousand files gives a storm of events; the inbox is not listed more often than this. But not
much more rarely: a scan is mostly seen first while it is written, and settles from the next look on."""

PAUSE_A_LISTING = 9.0
"""The pause after a listing, in times of what it took: listing takes a tenth of the time at most, or a large
inbox that fills up would be listed over and over, at the square of its size."""

POLLING_SECONDS = 1.0

POLLING_PAUSE_A_LISTING = 200.0
"""Where no events come the inbox is listed all day long, for nothing: half a percent of the time at most."""


class Pace:
    """Tells when the next listing is due; it takes the clock's seconds and never looks at a clock itself."""

    def __init__(self, rescan_seconds: float) -> None:
        self.rescan_seconds = rescan_seconds
        self.due = float("-inf")
        self._earliest = float("-inf")

    def hint(self) -> None:
        """Something may have arrived."""
        self.due = min(self.due, self._earliest)

    def listed(self, started: float, ended: float, *, polls: bool) -> None:
        """A listing went from `started` to `ended`; with `polls`, nothing else will tell of what arrives."""
        took = max(0.0, ended - started)
        pause = self.rescan_seconds
        if polls:
            pause = min(pause, max(POLLING_SECONDS, POLLING_PAUSE_A_LISTING * took))
        self._earliest = ended + max(HINT_PAUSE_SECONDS, PAUSE_A_LISTING * took)
        # Who asks for a listing every few milliseconds gets it: a short rescan is a wish of its own.
        self.due = ended + max(min(pause, self.rescan_seconds), PAUSE_A_LISTING * took)
