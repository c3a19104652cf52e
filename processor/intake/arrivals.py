"""The scans at the places of a run: those that lie there, and those that arrive and then lie still."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from processor.intake.folders import Folders
from processor.intake.names import Ignored
from processor.intake.pace import Pace
from processor.intake.places import Place
from processor.intake.stability import Stability
from processor.intake.sweep import Found, look, sweep
from processor.intake.watcher import Watch, Watcher
from processor.settings import Intake

PROOFS_APART = 10
"""So many rescans lie between two proofs that the file system still announces what arrives."""


class Arrivals:
    """What is new at some places; each scan is told once as it lies there, and again once it changed.

    `own` are folders below which nothing is a scan; `warn` hears, once while it lasts, what is left alone.
    Inside a `with` block the places are watched, and `wait` tells what arrived; `here` needs none.
    """

    def __init__(
        self,
        places: Sequence[Place],
        intake: Intake,
        *,
        own: Iterable[Path] = (),
        warn: Callable[[str], None],
    ) -> None:
        self._places = tuple(places)
        self._intake = intake
        self._own = tuple(own)
        self._warn = warn
        self._warned: set[str] = set()
        self._missed: set[str] = set()
        self._ignored = Ignored(intake.ignore)
        self._folders = Folders()
        self._told: dict[str, int] = {}
        self._unsettled: dict[Path, Found] = {}
        self._next_settled = float("inf")
        self._stability = Stability(intake.settle_seconds)
        self._pace = Pace(intake.rescan_seconds)
        self._watcher = Watcher(
            [place.path if place.named is None else place.path.parent for place in self._places],
            intake.recursive,
            intake.watch,
            flat=[place.path.parent for place in self._places if place.named is not None],
            own=self._own,
            proof_seconds=intake.rescan_seconds * PROOFS_APART,
        )
        self._watching = ExitStack()

    def __enter__(self) -> Self:
        self._watching.enter_context(self._watcher)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.close()

    @property
    def watches(self) -> tuple[Watch, ...]:
        """How each folder is watched."""
        return self._watcher.watches

    def here(self) -> list[Found]:
        """Every new scan that lies there now, whether it is still or not."""
        return [found for found in self._listed() if self._tell(found)]

    def wait(self, timeout_seconds: float) -> list[Found] | None:
        """The new scans that have come to lie still; `None` where it was not yet time to look for any.

        Sleeps until something arrives or is due, at most `timeout_seconds`.
        """
        due = min(self._pace.due, self._next_settled)
        if self._watcher.wait(min(timeout_seconds, max(0.0, due - time.monotonic()))):
            self._pace.hint()
        now = time.monotonic()
        if now >= self._pace.due:
            self._watcher.check()
            new = self._settled(self._list(), now)
            self._pace.listed(now, time.monotonic(), polls=self._watcher.polls)
            return new
        if now >= self._next_settled:
            return self._settled(self._look_again(now), now)
        return None

    def wake(self) -> None:
        """Ends the `wait` under way; may be called from a thread or a signal handler."""
        self._watcher.wake()

    def release(self, path: Path) -> None:
        """Forgets a scan that was moved away: another one may come under its name."""
        self._told.pop(str(path), None)

    def _list(self) -> list[Found]:
        """The new scans of a whole listing; what no longer lies there is forgotten."""
        new: list[Found] = []
        met: dict[str, int] = {}
        for found in self._listed():
            # Most of a large folder was told before: of that, no more is held than its name.
            if (told := self._told.get(name := str(found.path))) is not None:
                met[name] = told
            if told != self._state(found):
                new.append(found)
        if not self._missed:
            # What a share holds that is away for a while is not new when it comes back.
            self._told = met
        self._stability.keep_only({found.path for found in new})
        self._unsettled.clear()
        return new

    def _look_again(self, now: float) -> Iterator[Found]:
        """Those that should be still by now, without a listing of all the others."""
        for path, seen in list(self._unsettled.items()):
            if now >= self._stability.due(path):
                found = look(path, seen.root, seen.file, self._warn, named=seen.named)
                del self._unsettled[path]
                if found is None:
                    self._stability.forget(path)
                else:
                    yield found

    def _settled(self, new: Iterable[Found], now: float) -> list[Found]:
        """Those of the new scans that are still; the others are looked at again."""
        still = []
        for found in new:
            if not self._stability.observe(found.path, found.size, found.mtime_ns, now):
                self._unsettled[found.path] = found
            else:
                self._stability.forget(found.path)
                if self._tell(found):
                    still.append(found)
        self._next_settled = min(map(self._stability.due, self._unsettled), default=float("inf"))
        return still

    def _listed(self) -> Iterator[Found]:
        warnings: set[str] = set()
        self._missed = set()
        self._folders.begin(place.path for place in self._places)
        for place in self._places:
            if place.named is None:
                yield from sweep(
                    place.path,
                    root=place.root,
                    recursive=self._intake.recursive,
                    ignore=self._ignored,
                    skip=self._own,
                    warn=warnings.add,
                    miss=self._missed.add,
                    folders=self._folders,
                )
            else:
                found = look(place.path, place.root, place.named, warnings.add, named=True)
                if found is not None:
                    yield found
        self._folders.end()
        # The same pipe lies there at every look; it is spoken of once.
        warnings |= self._missed
        for text in sorted(warnings - self._warned):
            self._warn(text)
        self._warned = warnings

    def _tell(self, found: Found) -> bool:
        """Notes that a scan was told as it lies there; false where it had been."""
        new = self._is_new(found)
        self._told[str(found.path)] = self._state(found)
        return new

    def _is_new(self, found: Found) -> bool:
        """Whether it was not told as it lies there; originals that stay are not hashed again and again."""
        return self._told.get(str(found.path)) != self._state(found)

    def _state(self, found: Found) -> int:
        """A hash of what tells it from another in its place; on a share, only size and time of change.

        Another of the same size and mtime has another inode, or a ctime, which no program can set.
        """
        trusted = self._folders.trusts(found.identity[0])
        return hash((found.size, found.mtime_ns, found.identity[1:] if trusted else None))
