"""Hints at new scans on a real file system, whatever happens to the folders and to what watches them."""

import errno
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import watchdog.observers

from processor.intake.watcher import Mode, Watcher

MODES: list[Mode] = ["native", "polling"]

# Long enough for a slow machine; a hint that comes ends the wait at once.
LONG = 20.0
# A hint that comes wrongly comes within this time: five polls.
SHORT = 0.1
# Watchdog holds back what was moved away for half a second, in case it turns up elsewhere.
MOVED = 0.7


def watching(*folders: Path, recursive: bool = True, mode: Mode = "auto") -> Watcher:
    return Watcher(folders, recursive, mode, polling_seconds=0.02)


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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("arrive", ARRIVALS)
def test_a_scan_that_arrives_is_hinted_at(inbox: Path, mode: Mode, arrive: Callable[[Path], object]) -> None:
    with watching(inbox, mode=mode) as watcher:
        assert watcher.observing == mode
        arrive(inbox)
        assert watcher.wait(LONG)


@pytest.mark.parametrize("mode", MODES)
def test_a_scan_that_grows_or_is_renamed_is_hinted_at_again(inbox: Path, mode: Mode) -> None:
    page = inbox / "page.part"
    page.write_bytes(b"half")
    with watching(inbox, mode=mode) as watcher:
        settle(watcher)
        with page.open("ab") as file:
            file.write(b"and the other half")
        assert watcher.wait(LONG)
        settle(watcher)
        page.rename(inbox / "page.png")
        assert watcher.wait(LONG)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_happens_and_nothing_is_hinted(inbox: Path, mode: Mode) -> None:
    (inbox / "page.png").write_bytes(b"was there before")
    with watching(inbox, mode=mode) as watcher:
        settle(watcher)
        assert not watcher.wait(SHORT)
        assert not watcher.wait(0)
        assert not watcher.wait(-1)


@pytest.mark.parametrize("mode", MODES)
def test_reading_and_taking_away_wakes_nobody(inbox: Path, mode: Mode) -> None:
    """The program does both to every scan: it must not set itself off."""
    page = inbox / "page.png"
    page.write_bytes(b"page")
    with watching(inbox, mode=mode) as watcher:
        settle(watcher)
        assert page.read_bytes() == b"page"
        assert list(inbox.iterdir()) == [page]
        page.rename(inbox.parent / "processed.png")
        assert not watcher.wait(MOVED)


@pytest.mark.parametrize("mode", MODES)
def test_subfolders_are_watched_only_where_asked_for(inbox: Path, mode: Mode) -> None:
    (inbox / "sub").mkdir()
    with watching(inbox, recursive=False, mode=mode) as watcher:
        settle(watcher)
        (inbox / "sub" / "page.png").write_bytes(b"page")
        assert not watcher.wait(SHORT)
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)


@pytest.mark.parametrize("mode", MODES)
def test_several_folders_are_watched_and_one_named_twice_counts_once(tmp_path: Path, mode: Mode) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with watching(*folders, folders[0], mode=mode) as watcher:
        for folder in folders:
            settle(watcher)
            (folder / "page.png").write_bytes(b"page")
            assert watcher.wait(LONG), folder
        settle(watcher)
        assert watcher.check()
        assert not watcher.wait(0), "all is well, so nothing was started anew"


@pytest.mark.parametrize("mode", MODES)
def test_an_inbox_that_is_a_link_is_followed(inbox: Path, mode: Mode) -> None:
    link = inbox.parent / "link"
    link.symlink_to(inbox)
    with watching(link, mode=mode) as watcher:
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


def test_auto_takes_native_events(inbox: Path) -> None:
    with watching(inbox, mode="auto") as watcher:
        assert watcher.observing == "native"


@pytest.mark.parametrize("mode", ["auto", "native"])
def test_polling_takes_over_where_inotify_has_run_out(
    inbox: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit belongs to the machine, so the library's start stands in for it here."""

    def no_room(_: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(watchdog.observers.Observer, "start", no_room)
    with caplog.at_level(logging.WARNING), watching(inbox, mode=mode) as watcher:
        assert watcher.observing == "polling"
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)
        settle(watcher)
        assert watcher.check()
        assert not watcher.wait(0), "polling is whole: nothing is to be started anew"
    (record,) = caplog.records
    assert "inotify watch limit reached" in record.getMessage()
    assert str(inbox) in record.getMessage()


@pytest.mark.parametrize("mode", ["auto", "native", "polling"])
def test_a_folder_that_is_missing_is_watched_once_it_is_there(
    tmp_path: Path, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = tmp_path / "later"
    with caplog.at_level(logging.WARNING), watching(inbox, mode=mode) as watcher:
        assert watcher.observing is None
        for _ in range(5):
            assert not watcher.check()
        assert len(caplog.records) == (1 if mode == "polling" else 2), "each way is warned of once"
        inbox.mkdir()
        assert watcher.check()
        assert watcher.wait(0), "what came meanwhile was not seen, so it is a hint"
        settle(watcher)
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("take_away", [shutil.rmtree, lambda inbox: inbox.rename(inbox.parent / "old")])
def test_a_folder_that_was_replaced_is_watched_anew(
    inbox: Path, mode: Mode, take_away: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """The observer stays alive in both cases, and would never say another word."""
    with caplog.at_level(logging.WARNING), watching(inbox, mode=mode) as watcher:
        assert watcher.check()
        take_away(inbox)
        assert not watcher.check()
        inbox.mkdir()
        assert watcher.check()
        assert watcher.observing == mode
        assert watcher.wait(0)
        settle(watcher)
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)
    assert "has ended" in caplog.text


def system_threads() -> list[threading.Thread]:
    """Those that read from inotify, as watchdog 7 and 6 call them."""
    return [t for t in threading.enumerate() if type(t).__name__ in {"InotifyFD", "InotifyBuffer"}]


def test_an_observer_whose_reading_thread_died_is_started_anew(inbox: Path) -> None:
    with watching(inbox, mode="native") as watcher:
        (reader,) = system_threads()
        reader.stop()  # type: ignore[attr-defined]
        reader.join()
        assert watcher.check()
        assert watcher.wait(0)
        settle(watcher)
        assert len(system_threads()) == 1
        (inbox / "page.png").write_bytes(b"page")
        assert watcher.wait(LONG)


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
            assert not watcher.check()
    assert held() == before
    assert watcher.observing is None
