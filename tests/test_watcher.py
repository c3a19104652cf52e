"""Hints at new scans on a real file system, whatever happens to the folders and to what watches them."""

import ctypes
import errno
import json
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from watchdog.observers import inotify_c
from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask

from processor.intake.observation import CANARY
from processor.intake.watcher import Mode, Watch, Watcher

# Long enough for a slow machine; a hint that comes ends the wait at once.
LONG = 20.0
# A hint that comes wrongly comes within this time.
SHORT = 0.1
# Watchdog holds back what was moved away for half a second, in case it turns up elsewhere.
MOVED = 0.7

ADD_WATCH: Any = inotify_c.inotify_add_watch


def watching(
    *folders: Path, recursive: bool = True, mode: Mode = "auto", proof_seconds: float = 600
) -> Watcher:
    return Watcher(folders, recursive, mode, proof_seconds=proof_seconds)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def settle(watcher: Watcher) -> None:
    """Waits until the hints of what the test did before have all come in."""
    while watcher.wait(SHORT):
        pass


def move_in(inbox: Path) -> None:
    outside = inbox.parent / "outside.png"
    outside.write_bytes(b"page")
    outside.rename(inbox / "page.png")


def drop_below(inbox: Path) -> None:
    (inbox / "sub" / "deep").mkdir(parents=True)
    (inbox / "sub" / "deep" / "page.png").write_bytes(b"page")


def move_folder_in(inbox: Path) -> None:
    outside = inbox.parent / "batch"
    outside.mkdir()
    (outside / "page.png").write_bytes(b"page")
    outside.rename(inbox / "batch")


ARRIVALS: list[Callable[[Path], object]] = [
    lambda inbox: (inbox / "page.png").write_bytes(b"page"),
    lambda inbox: (inbox / "two words\nü.png").write_bytes(b"page"),
    move_in,
    drop_below,
    move_folder_in,
]


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_a_scan_that_arrives_is_hinted_at(inbox: Path, arrive: Callable[[Path], object]) -> None:
    with watching(inbox) as watcher:
        settle(watcher)
        arrive(inbox)
        assert watcher.wait(LONG)


def test_a_scan_that_grows_or_is_renamed_is_hinted_at_again(inbox: Path) -> None:
    page = inbox / "page.part"
    page.write_bytes(b"half")
    with watching(inbox) as watcher:
        settle(watcher)
        with page.open("ab") as file:
            file.write(b"and the other half")
        assert watcher.wait(LONG)
        settle(watcher)
        page.rename(inbox / "page.png")
        assert watcher.wait(LONG)


def test_nothing_happens_and_nothing_is_hinted(inbox: Path) -> None:
    (inbox / "page.png").write_bytes(b"was there before")
    with watching(inbox) as watcher:
        settle(watcher)
        assert not watcher.wait(SHORT)
        assert not watcher.wait(0)
        assert not watcher.wait(-1)


def test_reading_and_taking_away_wakes_nobody(inbox: Path) -> None:
    """The program does both to every scan: it must not set itself off."""
    page = inbox / "page.png"
    page.write_bytes(b"page")
    with watching(inbox) as watcher:
        settle(watcher)
        assert page.read_bytes() == b"page"
        assert list(inbox.iterdir()) == [page]
        page.rename(inbox.parent / "processed.png")
        assert not watcher.wait(MOVED)


def test_subfolders_are_watched_only_where_asked_for(inbox: Path) -> None:
    (inbox / "sub").mkdir()
    with watching(inbox, recursive=False) as watcher:
        settle(watcher)
        (inbox / "sub" / "page.png").write_bytes(b"page")
        assert not watcher.wait(SHORT)
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)


def test_several_folders_are_watched_and_one_named_twice_counts_once(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with watching(*folders, folders[0]) as watcher:
        for folder in folders:
            settle(watcher)
            (folder / "page.png").write_bytes(b"page")
            assert watcher.wait(LONG), folder
        settle(watcher)
        watcher.check()
        assert not watcher.wait(0), "all is well, so nothing was started anew"
        assert len(watcher.watches) == 2


def test_an_inbox_that_is_a_link_is_followed(inbox: Path) -> None:
    link = inbox.parent / "link"
    link.symlink_to(inbox)
    with watching(link) as watcher:
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)


def test_many_events_are_one_hint(inbox: Path) -> None:
    with watching(inbox) as watcher:
        for number in range(300):
            (inbox / f"{number}.png").write_bytes(b"page")
        settle(watcher)
        watcher.wake()
        watcher.wake()
        assert watcher.wait(0)
        assert not watcher.wait(0)


def test_a_hint_between_two_waits_is_kept(inbox: Path) -> None:
    with watching(inbox) as watcher:
        watcher.wake()
        assert watcher.wait(0)


def test_another_thread_ends_a_wait(inbox: Path) -> None:
    with watching(inbox) as watcher:
        timer = threading.Timer(0.05, watcher.wake)
        timer.start()
        assert watcher.wait(LONG)
        timer.join()


def test_a_signal_ends_a_wait(inbox: Path) -> None:
    """As SIGTERM does: its handler runs in the very thread that waits."""
    with watching(inbox) as watcher:
        before = signal.signal(signal.SIGUSR1, lambda *_: watcher.wake())
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            assert watcher.wait(LONG)
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)


def only(watcher: Watcher) -> Watch:
    (watch,) = watcher.watches
    return watch


@pytest.mark.parametrize("mode", ["auto", "native"])
def test_events_are_taken_once_a_canary_was_seen(inbox: Path, mode: Mode) -> None:
    with watching(inbox, mode=mode) as watcher:
        watch = only(watcher)
        assert (watch.mode, watch.why, watch.canary, watch.restarts) == ("native", None, "seen", 0)
        assert not watcher.polls
        assert watch.canary_at is not None
        assert list(inbox.iterdir()) == [], "the canary is gone again"
        facts = json.loads(json.dumps(watch.facts()))
        assert facts["path"] == str(inbox)
        assert facts["canary_at"].endswith("+00:00")


def test_a_canary_is_no_hint(inbox: Path) -> None:
    """Not that of another program beside this one either: both would list the inbox for nothing."""
    with watching(inbox, proof_seconds=0) as watcher:
        settle(watcher)
        before = only(watcher)
        watcher.check()
        (inbox / f"{CANARY}of-another").touch()
        assert not watcher.wait(SHORT)
        assert only(watcher) != before, "it was tried again"


def test_polling_is_what_was_asked_for(inbox: Path) -> None:
    with watching(inbox, mode="polling") as watcher:
        assert only(watcher) == Watch(inbox, "polling")
        assert watcher.polls
        (inbox / "page.png").write_bytes(b"page")
        assert not watcher.wait(SHORT), "who polls looks by himself"
        assert system_threads() == []


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that takes watches and never says a word, as network shares and some containers do."""
    monkeypatch.setattr(InotifyFD, "handle_event", lambda *_: None)


def test_without_events_auto_polls_and_says_so(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deaf(monkeypatch)
    with watching(inbox) as watcher:
        assert watcher.polls
        watch = only(watcher)
        assert (watch.mode, watch.canary) == ("polling", "lost")
        assert watch.why is not None
        assert "no event came" in watch.why
        assert system_threads() == [], "what watched for nothing was ended"
        assert not list(inbox.iterdir())
    assert len(caplog.records) == 1
    assert "listed regularly instead" in caplog.text


def test_without_events_native_stays_and_warns(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deaf(monkeypatch)
    with watching(inbox, mode="native") as watcher:
        assert (only(watcher).mode, only(watcher).canary) == ("native", "lost")
    assert "'native', but no event came" in caplog.text


def test_events_that_come_later_are_taken_and_those_that_cease_are_left(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(inbox, proof_seconds=0) as watcher:
        assert only(watcher).mode == "native"
        with monkeypatch.context() as patch:
            deaf(patch)
            settle(watcher)
            watcher.check()
            assert (only(watcher).mode, only(watcher).canary) == ("polling", "lost")
        watcher.check()
        assert (only(watcher).mode, only(watcher).canary, only(watcher).why) == ("native", "seen", None)
        assert watcher.wait(0), "what came meanwhile was not announced"


def test_each_folder_is_watched_in_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The table of mounts belongs to the machine, so one with a share in it stands in for it."""
    for name in ("here", "share"):
        (tmp_path / name).mkdir()
    table = [("/", "ext4"), (str(tmp_path / "share"), "cifs")]
    mounts = [SimpleNamespace(mountpoint=point, fstype=kind, opts="rw") for point, kind in table]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    with watching(tmp_path / "here", tmp_path / "share") as watcher:
        here, share = watcher.watches
        assert (here.mode, share.mode, share.canary) == ("native", "polling", "none")
        assert share.why is not None
        assert "(cifs)" in share.why
        assert watcher.polls
        settle(watcher)
        (tmp_path / "here" / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)
    assert "does not announce what other machines write" in caplog.text
    with watching(tmp_path / "share", mode="native") as watcher:
        assert only(watcher).mode == "native", "who asks for it gets it"


def test_a_folder_that_cannot_be_written_is_polled(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only mount needs rights that a test has not, so the system call stands in for it."""

    def read_only(path: Path, *_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        with watching(inbox) as watcher:
            watch = only(watcher)
        assert (watch.mode, watch.canary) == ("polling", "none")
        assert watch.why is not None
        assert "Read-only file system" in watch.why
        with watching(inbox, mode="native") as watcher:
            assert only(watcher).mode == "native"
    assert len(caplog.records) == 1
    with watching(inbox, proof_seconds=0) as watcher:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", read_only)
            watcher.check()
        assert not watcher.polls, "a disk that is full for a while takes nothing away from what was proven"


@pytest.mark.parametrize("mode", ["auto", "native"])
def test_polling_takes_over_where_inotify_has_run_out(
    inbox: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit belongs to the machine, so the system call stands in for it here."""
    full_after(0, monkeypatch)
    with watching(inbox, mode=mode) as watcher:
        assert only(watcher).mode == "polling"
        settle(watcher)
        watcher.check()
        assert not watcher.wait(0), "nothing has changed, so nothing is to be started anew"
    (record,) = caplog.records
    assert "inotify watch limit reached" in record.getMessage()
    assert str(inbox) in record.getMessage()


def full_after(watches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the system take so many watches more."""
    left = [watches]

    def add_watch(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            return ADD_WATCH(*arguments)
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_add_watch", add_watch)


def test_subfolders_that_no_watch_is_left_for_are_not_passed_over(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (inbox / str(number)).mkdir()
    full_after(4, monkeypatch)  # the inbox, two of its folders and the root folder for overflows
    with watching(inbox) as watcher:
        assert watcher.polls
    full_after(5, monkeypatch)  # all folders, and nothing more
    with watching(inbox) as watcher:
        assert watcher.polls, "the next folder that comes could not be watched"
    full_after(6, monkeypatch)
    with watching(inbox) as watcher:
        assert not watcher.polls


@pytest.mark.parametrize("mode", ["auto", "native", "polling"])
def test_a_folder_that_is_missing_is_watched_once_it_is_there(
    tmp_path: Path, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = tmp_path / "later"
    with watching(inbox, mode=mode) as watcher:
        assert only(watcher).why == f"{inbox} is not there"
        for _ in range(5):
            watcher.check()
        assert len(caplog.records) == 1, "it is warned of once"
        inbox.mkdir()
        assert watcher.wait(0), "a folder that appears is a hint"
        watcher.check()
        assert only(watcher).why is None
        assert watcher.polls == (mode == "polling")
        settle(watcher)
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG if mode != "polling" else 0) == (mode != "polling")


@pytest.mark.parametrize("take_away", [shutil.rmtree, lambda inbox: inbox.rename(inbox.parent / "old")])
def test_a_folder_that_was_replaced_is_watched_anew(
    inbox: Path, take_away: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """The observer stays alive in both cases, and would never say another word."""
    with watching(inbox) as watcher:
        settle(watcher)
        take_away(inbox)
        assert watcher.wait(0), "that it went away is a hint"
        watcher.check()
        assert watcher.polls
        inbox.mkdir()
        assert watcher.wait(0)
        watcher.check()
        assert (only(watcher).mode, only(watcher).restarts) == ("native", 1)
        assert watcher.wait(0)
        settle(watcher)
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)
    assert "has ended" in caplog.text


def system_threads() -> list[threading.Thread]:
    """Those that read from inotify, as watchdog 7 and 6 call them."""
    return [t for t in threading.enumerate() if type(t).__name__ in {"InotifyFD", "InotifyBuffer"}]


def test_an_observer_whose_reading_thread_died_is_started_anew(
    inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watching(inbox) as watcher:
        settle(watcher)
        (reader,) = system_threads()
        reader.stop()  # type: ignore[attr-defined]
        reader.join()
        assert watcher.wait(0), "a watch that ended is a hint"
        watcher.check()
        assert only(watcher).restarts == 1
        assert watcher.wait(0)
        settle(watcher)
        assert len(system_threads()) == 1
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)
    assert "started anew" in caplog.text


class Stall:
    """Holds the thread that reads the events at the first one, so that the system's queue runs over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def on_event(self, event: InotifyEvent) -> None:
        self.over.wait(LONG)

    def on_watch_deleted(self, wd: int) -> None:
        pass

    def on_queue_overflow(self) -> None:
        pass


def test_events_that_the_system_lost_are_a_hint(inbox: Path, caplog: pytest.LogCaptureFixture) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip("this machine's queue is too long to be filled")
    caplog.set_level(logging.WARNING)
    with watching(inbox, recursive=False) as watcher:
        settle(watcher)
        (reader,) = system_threads()
        assert isinstance(reader, InotifyFD)
        stall, mask = Stall(), Mask(InotifyConstants.IN_ATTRIB)
        aside = inbox.parent / "aside"
        aside.mkdir()
        reader.add_callback(os.fsencode(aside), mask, stall, CallbackId(id(stall)))
        for name in "ab":
            (aside / name).touch()
        # Two in turn: an event that repeats the last one in the queue is none. The reader has taken some.
        for number in range(most + 5000):
            os.utime(aside / "ab"[number % 2])
        (inbox / "page.png").write_bytes(b"page")
        assert not watcher.wait(SHORT), "its event was lost"
        stall.over.set()
        assert watcher.wait(LONG)
    assert "the inbox is listed anew" in caplog.text


def test_a_stop_while_an_event_is_on_its_way_is_no_error(
    inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = inbox / "page.png"
    page.touch()
    with watching(inbox) as watcher:
        settle(watcher)
        page.rename(inbox.parent / "page.png")
        watcher.wait(SHORT)
    assert caplog.records == []


def test_threads_and_file_descriptors_are_given_back(inbox: Path) -> None:
    def held() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    with watching(inbox):
        pass
    before = held()
    for _ in range(5):
        with watching(inbox) as watcher:
            watcher.check()
        with watching(inbox / "missing") as watcher:
            watcher.check()
    assert held() == before
