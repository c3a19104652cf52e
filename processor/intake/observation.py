"""The file system's own events of one folder, for as long as it can be shown that they come."""

import logging
import os
import queue
import secrets
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from processor.mounts import identity

log = logging.getLogger(__name__)

CANARY = ".digit-inbox-canary-"
"""How the names of the files begin whose only purpose is the event that they cause."""

CANARY_SECONDS = 2.0

# Opening, reading and moving away are what this program does itself: it must not wake itself with them.
HINTS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent),
    *(DirCreatedEvent, DirMovedEvent),
]


class Observation:
    """Calls `hint`, from another thread, whenever something in `folder` may be a new scan, and once at first.

    What happens in the folders `own`, paths without links, is no hint.
    Raises OSError where it cannot be started: the folder is missing, or the system has no watch left.
    """

    def __init__(
        self, folder: Path, hint: Callable[[], None], *, recursive: bool = True, own: Iterable[Path] = ()
    ) -> None:
        self.folder = folder
        self._identity = identity(folder)
        here = folder.resolve()
        self._events = _Events(hint, [path for path in own if path != here and path.is_relative_to(here)])
        # Watchdog 7 warns so, to no purpose, of each folder that appears while it walks the one above, and
        # calls it an error where it is stopped while an event is on its way.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        logging.getLogger("watchdog.observers.inotify").addFilter(_is_no_late_event)
        self._observer = _native_observer()
        try:
            # Watchdog does not follow a link, and so would watch the link instead of the inbox behind it.
            self._observer.schedule(self._events, str(here), recursive=recursive, event_filter=HINTS)
            self._observer.start()
            if isinstance(self._observer, _Observer):
                self._observer.tell_of_overflow(hint)
        except OSError:
            self.stop()
            raise
        self._emitters = len(self._observer.emitters)
        # What came before was announced to nobody.
        hint()

    def is_whole(self) -> bool:
        """Whether it still watches, and watches the folder that has this name now.

        An observer calls itself alive when the threads that work for it have ended; and one whose folder was
        replaced by another of the same name, or has had a share mounted over it, watches the old one.
        """
        return (
            len(self._observer.emitters) == self._emitters
            and all(thread.is_alive() for thread in _threads(self._observer))
            and self._identity == identity(self.folder)
        )

    def proves_itself(self) -> bool:
        """Whether an event comes, within two seconds, of a file that is made here and at once removed.

        Any other event shows as much. Raises OSError where no file can be made.
        """
        self._events.listen()
        # Named at random: a program beside this one may do the same, and nobody can foresee the name.
        canary = self.folder / f"{CANARY}{secrets.token_hex(8)}"
        os.close(os.open(canary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        canary.unlink()
        return self._events.heard(CANARY_SECONDS)

    def stop(self) -> None:
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()

    def reaches_all(self) -> bool:
        """False where the system has no watch left: watchdog passes over subfolders then, without a word."""
        try:
            if isinstance(self._observer, _Observer):
                self._observer.try_one_more_watch()
        except OSError:
            return False
        return True


def _is_no_late_event(record: logging.LogRecord) -> bool:
    return "called when the thread is inactive" not in record.getMessage()


class _Events(FileSystemEventHandler):
    """Hints at every event but that of a canary; both show that events come."""

    def __init__(self, hint: Callable[[], None], own: Iterable[Path]) -> None:
        self._hint = hint
        self._own = tuple(f"{path}{os.sep}" for path in own)
        self._listening: queue.SimpleQueue[None] | None = None

    def listen(self) -> None:
        self._listening = queue.SimpleQueue()

    def heard(self, timeout_seconds: float) -> bool:
        """Whether any event came since `listen`, or comes within the time."""
        assert self._listening is not None
        try:
            self._listening.get(timeout=timeout_seconds)
        except queue.Empty:
            return False
        finally:
            self._listening = None
        return True

    def on_any_event(self, event: FileSystemEvent) -> None:
        if (listening := self._listening) is not None:
            listening.put(None)
        # A file that was moved is looked for where it is now.
        path = os.fsdecode(event.dest_path or event.src_path)
        if not (path.startswith(self._own) or os.path.basename(path).startswith(CANARY)):  # noqa: PTH119
            self._hint()


if sys.platform == "linux":
    from watchdog.observers.inotify import InotifyObserver
    from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, WatchDescriptor

    class _Overflow:
        """Hears what concerns all watches together, by way of a folder that nothing ever happens to."""

        def __init__(self, hint: Callable[[], None]) -> None:
            self._hint = hint

        def on_event(self, event: InotifyEvent) -> None:
            """Nothing is asked for."""

        def on_watch_deleted(self, wd: WatchDescriptor) -> None:
            """The observer was stopped."""

        def on_queue_overflow(self) -> None:
            log.warning(
                "More happened at once than the system announces: the inbox is listed anew.",
                extra={"event": "watch.overflowed"},
            )
            self._hint()

    class _Observer(InotifyObserver):
        """Watchdog's, which knows when events were lost but has no event for that."""

        def tell_of_overflow(self, hint: Callable[[], None]) -> None:
            told = _Overflow(hint)
            self._inotify_fd.add_callback(b"/", InotifyConstants.IN_DELETE_SELF, told, CallbackId(id(told)))

        def try_one_more_watch(self) -> None:
            """Raises OSError where the system's limit of watches has been reached."""
            probe = _Overflow(lambda: None)
            place = (b"/proc", InotifyConstants.IN_DELETE_SELF)
            watch = self._inotify_fd.add_callback(*place, probe, CallbackId(id(probe)))
            self._inotify_fd.remove_callbacks([(watch, CallbackId(id(probe)))])

    def _native_observer() -> BaseObserver:
        return _Observer()

else:

    def _native_observer() -> BaseObserver:
        observer = Observer()
        if isinstance(observer, PollingObserver):
            raise OSError("this system has no file events")
        return observer


def _threads(observer: BaseObserver) -> Iterator[threading.Thread]:
    """The observer, its emitters, and the threads that these hold to read from the system."""
    for holder in (observer, *observer.emitters):
        yield holder
        yield from (held for held in vars(holder).values() if isinstance(held, threading.Thread))
