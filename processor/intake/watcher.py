"""Hints that a folder may hold new scans; what is really new, the sweep that follows a hint finds out."""

import logging
import queue
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

log = logging.getLogger(__name__)

Mode = Literal["auto", "native", "polling"]

# Opening, reading and moving away are what this program does itself: it must not wake itself with them.
FILE_HINTS = frozenset({"created", "modified", "moved", "closed", "attrib"})
FOLDER_HINTS = frozenset({"created", "moved"})


class Watcher:
    """Waits for hints from the folders, within a `with` block.

    An event is only a hint: file systems drop events, repeat them and, on network shares, send none. So
    nothing is read from an event but that it came, and who waits must also look regularly by itself.
    `auto` takes the native events of the file system; polling takes their place wherever those cannot be
    had (too few inotify watches, a folder that is missing), with a warning in the log.
    """

    def __init__(
        self, folders: Sequence[Path], recursive: bool, mode: Mode, *, polling_seconds: float = 1.0
    ) -> None:
        self.folders = tuple(folders)
        self.recursive = recursive
        self.mode = mode
        self.polling_seconds = polling_seconds
        self._observer: BaseObserver | None = None
        self._identities: tuple[tuple[int, int] | None, ...] = ()
        self._watches = 0
        self._warned: set[str] = set()
        # A signal handler may call `wake` while the same thread is inside `wait`: SimpleQueue is made for
        # that, whereas an Event would wait for a lock that its own thread holds.
        self._hints: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def observing(self) -> Literal["native", "polling"] | None:
        """How the folders are watched now, `None` where neither way could be started."""
        if self._observer is None:
            return None
        return "polling" if isinstance(self._observer, PollingObserver) else "native"

    def wait(self, timeout_seconds: float) -> bool:
        """Sleeps until a hint or `wake`, at most `timeout_seconds`; tells whether one came, and clears it."""
        try:
            self._hints.get(timeout=max(0.0, timeout_seconds))
        except queue.Empty:
            return False
        while not self._hints.empty():
            self._hints.get()
        return True

    def wake(self) -> None:
        """Ends the `wait` under way, or the next one; may be called from a thread or a signal handler."""
        if self._hints.empty():
            self._hints.put(None)

    def check(self) -> bool:
        """Whether all folders are watched; an observer that died is replaced, and that counts as a hint.

        An observer still calls itself alive when the threads that watch for it have ended. One whose folder
        was replaced by another of the same name, or has had a share mounted over it, watches the old one.
        """
        if self._is_whole():
            return True
        if self._observer is not None:
            log.warning("The watch on %s has ended; it is started anew.", self._names())
            self._stop()
        self._start()
        if self._observer is None:
            return False
        self.wake()
        return True

    def _is_whole(self) -> bool:
        return (
            self._observer is not None
            and len(self._observer.emitters) == self._watches
            and all(thread.is_alive() for thread in _threads(self._observer))
            and self._identities == tuple(map(_identity, self.folders))
        )

    def _start(self) -> None:
        self._identities = tuple(map(_identity, self.folders))
        if self.mode != "polling":
            self._observer = self._try("native")
        if self._observer is None:
            self._observer = self._try("polling")
        if self._observer is not None:
            self._watches = len(self._observer.emitters)

    def _try(self, way: Literal["native", "polling"]) -> BaseObserver | None:
        """A running observer, or `None` and a warning; no warning is given twice."""
        observer: BaseObserver | None = None
        hints = _Hints(self)
        # Watchdog 7 warns so, to no purpose, of each folder that appears while it walks the one above.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        try:
            observer = PollingObserver(timeout=self.polling_seconds) if way == "polling" else Observer()
            for folder in self.folders:
                # Watchdog does not follow a link, and so would watch the link instead of the inbox behind it.
                observer.schedule(hints, str(folder.resolve()), recursive=self.recursive)
            observer.start()
        except OSError as error:
            self._warn(f"{way} watching of {self._names()} cannot start: {error}")
            if observer is not None:
                observer.stop()
            return None
        return observer

    def _stop(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()
            self._observer = None

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            log.warning("%s", message)
        self._warned.add(message)

    def _names(self) -> str:
        return ", ".join(str(folder) for folder in self.folders)


class _Hints(FileSystemEventHandler):
    """Wakes the watcher for events that may mean a new scan."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in (FOLDER_HINTS if event.is_directory else FILE_HINTS):
            self._watcher.wake()


def _threads(observer: BaseObserver) -> Iterator[threading.Thread]:
    """The observer, its emitters, and the threads that these hold to read from the system."""
    for holder in (observer, *observer.emitters):
        yield holder
        yield from (held for held in vars(holder).values() if isinstance(held, threading.Thread))


def _identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of the folder that has this name now, `None` where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
