"""When a scan has arrived: its size and time of change were still for a while."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Sighting:
    size: int
    mtime_ns: int
    since: float


class Stability:
    """Watches files grow until they were still for `settle_seconds`.

    Scanners and file shares write for minutes, reopen what they closed, and announce nothing; a file that
    was still so long is taken to be whole. It never looks at files or the clock itself. Where it fails:
    a copy that is stalled for longer than `settle_seconds`, with the size already set, looks still.
    """

    def __init__(self, settle_seconds: float) -> None:
        self.settle_seconds = settle_seconds
        self._sightings: dict[Path, _Sighting] = {}

    def __len__(self) -> int:
        return len(self._sightings)

    def observe(self, path: Path, size: int, mtime_ns: int, now: float) -> bool:
        """Whether `path` is still: its `size` (bytes) and `mtime_ns` are what they were `settle_seconds` ago.

        `now` is in seconds of any clock; where it is set back, the wait starts anew. Any change counts, an
        older time of change and a smaller size too: both mean that the file was replaced.
        """
        seen = self._sightings.get(path)
        if seen is None or (seen.size, seen.mtime_ns) != (size, mtime_ns) or now < seen.since:
            seen = self._sightings[path] = _Sighting(size, mtime_ns, now)
        return now - seen.since >= self.settle_seconds

    def due(self, path: Path) -> float:
        """When `path`, which was observed, will have been still for so long, if it does not change again."""
        return self._sightings[path].since + self.settle_seconds

    def forget(self, path: Path) -> None:
        """Drops `path`, as when it was taken; one that was never seen is no fault."""
        self._sightings.pop(path, None)

    def keep_only(self, paths: Collection[Path]) -> None:
        """Drops every file that is not among `paths`: those that vanished before they were still."""
        kept = set(paths)
        self._sightings = {path: seen for path, seen in self._sightings.items() if path in kept}
