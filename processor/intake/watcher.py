"""Hints that folders may hold new scans; what is really new, the listing that follows a hint finds out."""

import logging
import queue
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from processor.intake.observation import CANARY_SECONDS, Observation
from processor.mounts import NETWORK_FILE_SYSTEMS, file_system, identity

log = logging.getLogger(__name__)

Mode = Literal["auto", "native", "polling"]

PROOF_SECONDS = 600.0

# What the machine around this one, or around the container, shares with it.
_OF_THE_HOST = frozenset({"fakeowner", "prl_fs", "virtiofs", "vmhgfs"})


@dataclass(frozen=True, slots=True)
class Watch:
    """How one folder is watched, and `why` not by its events, where that is not what the settings say.

    `canary` tells whether the event of a file made for that came when it was last tried, at `canary_at`:
    `none` where it was not tried, or no file could be made; `restarts` counts watches that had ended.
    """

    path: Path
    mode: Literal["native", "polling"]
    why: str | None = None
    canary_at: datetime | None = None
    canary: Literal["seen", "lost", "none"] = "none"
    restarts: int = 0

    def facts(self) -> dict[str, Any]:
        """As `status` shows it: everything as JSON has it, moments as ISO 8601."""
        return {
            "path": str(self.path),
            "mode": self.mode,
            "why": self.why,
            "canary_at": self.canary_at.isoformat() if self.canary_at else None,
            "canary": self.canary,
            "restarts": self.restarts,
        }


class Watcher:
    """Waits for hints from the folders, within a `with` block.

    An event is only a hint: file systems drop events, repeat them and, on network shares, send none. So
    nothing is read from an event but that it came, and who waits must also look regularly by itself; oftener
    where `polls` says that a folder gives no events. `auto` takes those of the file system for as long as a
    canary proves that they come; `native` takes them unless they cannot be had at all, and warns.

    `flat` folders are watched without what lies deeper, and of what happens in those of `own`, paths without
    links, nothing is a hint: the program writes there itself.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        recursive: bool,
        mode: Mode,
        *,
        flat: Collection[Path] = (),
        own: Collection[Path] = (),
        proof_seconds: float = PROOF_SECONDS,
    ) -> None:
        self._proof_seconds = proof_seconds
        self._next_proof = 0.0
        # A signal handler may call `wake` while the same thread is inside `wait`: SimpleQueue is made for
        # that, whereas an Event would wait for a lock that its own thread holds.
        self._hints: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._folders = tuple(
            _Folder(
                folder,
                mode,
                partial(Observation, folder, self.wake, recursive=recursive and folder not in flat, own=own),
            )
            for folder in dict.fromkeys(folders)
        )

    def __enter__(self) -> Self:
        self._next_proof = time.monotonic() + self._proof_seconds
        for folder in self._folders:
            folder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._folders:
            folder.stop()

    @property
    def watches(self) -> tuple[Watch, ...]:
        return tuple(folder.watch for folder in self._folders)

    @property
    def polls(self) -> bool:
        """Whether a folder must be looked at to know what arrived in it."""
        return any(folder.watch.mode == "polling" for folder in self._folders)

    def wait(self, timeout_seconds: float) -> bool:
        """Sleeps until a hint or `wake`, at most `timeout_seconds`; tells whether one came, and clears it.

        A watch that ended, and a folder that came or went meanwhile, are hints.
        """
        try:
            self._hints.get(timeout=max(0.0, timeout_seconds))
        except queue.Empty:
            changed = [folder.has_changed() for folder in self._folders]
            return any(changed)
        while not self._hints.empty():
            self._hints.get()
        return True

    def wake(self) -> None:
        """Ends the `wait` under way, or the next one; may be called from a thread or a signal handler."""
        if self._hints.empty():
            self._hints.put(None)

    def check(self) -> None:
        """Starts anew what has ended, and lets the events prove themselves where that is due."""
        prove = time.monotonic() >= self._next_proof
        for folder in self._folders:
            folder.check(prove)
        if prove:
            self._next_proof = time.monotonic() + self._proof_seconds


class _Folder:
    """One folder, and how it is watched now."""

    def __init__(self, path: Path, mode: Mode, observe: Callable[[], Observation]) -> None:
        self.watch = Watch(path, "polling")
        self._mode = mode
        self._start_observing = observe
        self._observation: Observation | None = None
        self._started_on = identity(path)
        self._seen = (self._started_on, True)
        self._warned: set[str] = set()

    def start(self) -> None:
        """Watches by events, where these can be had and are wanted."""
        path = self.watch.path
        self._started_on = identity(path)
        if self._started_on is None:
            self._note(mode="polling", why=f"{path} is not there")
            self._warn(f"{path} is not there; it is watched as soon as it is.")
        elif self._mode == "polling":
            self._poll(None)
        elif self._mode == "auto" and (kind := _shared(path)) is not None:
            self._poll(f"{path} is on a share ({kind}), which does not announce what other machines write")
        else:
            self._observe()
        self._seen = self._state()

    def stop(self) -> None:
        if self._observation is not None:
            self._observation.stop()
            self._observation = None

    def has_changed(self) -> bool:
        """Whether, since it was last asked, the watch ended, or the folder went, came or was replaced."""
        before, self._seen = self._seen, self._state()
        return before != self._seen

    def check(self, prove: bool) -> None:
        """Starts the watch anew where it ended; with `prove`, tries whether events come, or can be had."""
        if self._observation is None:
            if prove or self._started_on != identity(self.watch.path):
                self.start()
        elif not self._observation.is_whole():
            log.warning(
                "The watch on %s has ended; it is started anew.",
                self.watch.path,
                extra={"event": "watch.restarted"},
            )
            self.stop()
            self._note(restarts=self.watch.restarts + 1)
            self.start()
        elif prove:
            self._prove()

    def _observe(self) -> None:
        try:
            self._observation = self._start_observing()
        except OSError as error:
            self._poll(f"the events of {self.watch.path} cannot be had: {error.strerror or error}")
            return
        self._note(mode="native", why=None, canary="none", canary_at=None)
        self._prove()

    def _prove(self) -> None:
        assert self._observation is not None
        path = self.watch.path
        proven = self.watch.canary == "seen"
        try:
            seen = self._observation.proves_itself()
        except OSError as error:
            # A disk that is full now is no reason to give up events that were seen to come.
            if self._mode == "auto" and not proven:
                self.stop()
                self._poll(f"no file can be made in {path} ({error.strerror}), to prove that its events come")
            return
        self._note(canary="seen" if seen else "lost", canary_at=datetime.now(UTC))
        if not seen:
            self._distrust(f"no event came from {path} within {CANARY_SECONDS:g} s of a change")
        elif not self._observation.reaches_all():
            self._distrust(f"the system has no watch left for folders below {path} (max_user_watches)")

    def _distrust(self, why: str) -> None:
        if self._mode == "auto":
            self.stop()
            self._poll(why)
        else:
            self._warn(f"intake.watch = 'native', but {why}.")

    def _poll(self, why: str | None) -> None:
        self._note(mode="polling", why=why)
        if why is not None:
            self._warn(f"{why[0].upper()}{why[1:]}: it is listed regularly instead.")

    def _state(self) -> tuple[tuple[int, int] | None, bool]:
        whole = self._observation is None or self._observation.is_whole()
        return identity(self.watch.path), whole

    def _note(self, **changes: Any) -> None:
        self.watch = replace(self.watch, **changes)

    def _warn(self, message: str) -> None:
        """No warning is given twice."""
        if message not in self._warned:
            log.warning("%s", message, extra={"event": "watch.doubted"})
        self._warned.add(message)


def _shared(folder: Path) -> str | None:
    """The kind of file system where others than this machine may write to it, else `None`.

    There the events of this machine's own changes come, and so the canary's, but not those of others.
    """
    kind = file_system(folder)
    return kind if kind in NETWORK_FILE_SYSTEMS | _OF_THE_HOST or kind.startswith("fuse.") else None
