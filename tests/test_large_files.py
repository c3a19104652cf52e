"""Files that are too large, or take long: refused unread, and nothing else waits for them."""

import hashlib
import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processor import fingerprints, pulse
from processor.commands.console import Words
from processor.commands.retry import retry
from processor.errors import Exit, TooLarge, Transient
from processor.fingerprints import meanwhile, refuse_large, sha256_of, stand_in, stands_for
from processor.intake.queue import enqueue
from processor.pulse import DaemonState, Facts, Pulse
from processor.results.database import reading
from processor.results.findings import Kind
from processor.results.publish import move_original
from processor.settings import Limits, load
from tests.stand_ins import drop
from tests.text_house import House, Visitor, originals_off, outcome

MEGABYTE = 1_000_000


def sparse(path: Path, megabytes: int) -> Path:
    """A file of that size which takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.truncate(megabytes * MEGABYTE)
    return path


def rows(house: House) -> list[tuple[str, str, str | None, str]]:
    with reading(house.database) as connection:
        found = connection.exec_driver_sql("SELECT file, state, error, sha256 FROM scans ORDER BY id")
        return [(row.file, row.state, row.error, row.sha256) for row in found]


def try_again() -> Exit:
    return retry(load(), [], failed=True, as_json=True, words=Words(quiet=True))


@pytest.fixture
def refused(house: House) -> House:
    """An inbox from which a file was refused for its size."""
    house.flags["limits.max_megabytes"] = 1
    sparse(house.inbox / "deep" / "big.png", 2)
    drop(house.inbox, "a.png", "1")
    assert outcome(house.once()) == {"seen": 2, "done": 1, "failed": 1}
    return house


# Over the limit


def test_a_file_over_the_limit_is_refused_unread_and_filed_like_any_other(house: House) -> None:
    """One of 60 gigabytes, hashed, held everything up for a minute and a half, before and after."""
    path = sparse(house.inbox / "big.png", 60_000)
    facts = path.stat()
    drop(house.inbox, "a.png", "1")
    assert outcome(house.once()) == {"seen": 2, "done": 1, "failed": 1}
    (big,) = (row for row in rows(house) if row[0] == "big.png")
    assert big == ("big.png", "failed", "TooLarge", stand_in(path, facts.st_size, facts.st_mtime_ns))
    assert "big.png has 60000.0 megabytes; the limit is 500." in house.heard.details["big.png"]
    original, report = house.files("failed")
    assert report == f"{original}.json"
    assert (house.results / "failed" / original).stat().st_size == facts.st_size
    assert not list(house.inbox.iterdir())


def test_what_was_refused_is_in_order(refused: House) -> None:
    assert originals_off(refused) == []
    (original, _) = refused.files("failed")
    (refused.results / "failed" / original).write_bytes(b"another")
    assert originals_off(refused) == [Kind.ORIGINAL_CHANGED]
    (refused.results / "failed" / original).unlink()
    assert originals_off(refused) == [Kind.ORIGINAL_MISSING]


def test_what_was_refused_and_not_moved_is_due(refused: House) -> None:
    (original, _) = refused.files("failed")
    (refused.results / "failed" / original).rename(refused.inbox / "deep" / "big.png")
    assert originals_off(refused, repair=True) == [Kind.ORIGINAL_DUE]
    assert originals_off(refused) == []


def test_what_was_refused_is_refused_again(refused: House, capsys: pytest.CaptureFixture[str]) -> None:
    before = rows(refused)
    assert try_again() is Exit.DONE
    assert '"queued": 1' in capsys.readouterr().out
    assert (refused.inbox / "deep" / "big.png").exists()
    assert outcome(refused.once()) == {"seen": 1, "failed": 1}
    assert rows(refused) == before
    assert originals_off(refused) == []


def test_once_the_limit_is_raised_it_is_read_and_nothing_is_left_of_its_failure(refused: House) -> None:
    assert try_again() is Exit.DONE
    refused.flags["limits.max_megabytes"] = 3
    refused.patience = 20.0
    content = hashlib.sha256(bytes(2 * MEGABYTE)).hexdigest()
    assert outcome(refused.once()) == {"seen": 1, "done": 1}
    assert ("deep/big.png", "done", None, content) in rows(refused)
    assert [row[1] for row in rows(refused)] == ["done", "done"]
    assert refused.files("failed") == []


def test_what_was_queued_before_the_limit_was_lowered_is_refused(house: House) -> None:
    path = sparse(house.inbox / "big.png", 2)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    now = datetime.now(UTC)
    enqueue(house.database, source=house.inbox, file="big.png", sha256=content, bytes=2 * MEGABYTE, now=now)
    house.flags["limits.max_megabytes"] = 1
    house.patience = 20.0
    assert house.once().failed == 1
    assert [row[:3] for row in rows(house)] == [("big.png", "failed", "TooLarge")]


def test_two_files_over_the_limit_are_never_taken_for_one(house: House) -> None:
    """Nobody looked into them: that they are alike in size says nothing."""
    house.flags["limits.max_megabytes"] = 1
    for name in ("a.png", "b.png"):
        os.utime(sparse(house.inbox / name, 2), (1e9, 1e9))
    assert outcome(house.once()) == {"seen": 2, "failed": 2}


def test_the_limit_is_told() -> None:
    refuse_large(500_000_000, "a.png", Limits())
    with pytest.raises(TooLarge, match=r"a\.png has 500\.1 megabytes; the limit is 500\."):
        refuse_large(500_100_000, "a.png", Limits())


def test_what_stands_for_an_unread_file_moves_with_it(tmp_path: Path) -> None:
    path = drop(tmp_path, "a.png", "1")
    facts = path.stat()
    known = stand_in(path, facts.st_size, facts.st_mtime_ns)
    assert stands_for(path, known)
    moved = path.rename(tmp_path / "b.png")
    assert (stands_for(path, known), stands_for(moved, known)) == (False, False)
    assert stands_for(moved, known, was=path)
    moved.write_text("12")
    assert not stands_for(moved, known, was=path)


# Long


class Beats:
    """Sees each beat of a run."""

    def __init__(self) -> None:
        self.count = 0
        self.at: dict[int, Callable[[], object]] = {}

    def observe(self, state: DaemonState, facts: Facts, at: datetime) -> None:
        self.count += 1
        self.at.get(self.count, lambda: None)()


@pytest.fixture
def beats(house: House, monkeypatch: pytest.MonkeyPatch) -> Beats:
    """Of a run that has one scan of a hundred bytes, takes a byte at a time, and beats whenever it can."""
    monkeypatch.setattr(fingerprints, "AT_ONCE", 1)
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.0)
    beats = Beats()
    house.pulse = Pulse(house.database, once=False, metrics=beats)
    drop(house.inbox, "a.png", "1" * 100)
    return beats


def test_the_heart_beats_while_a_scan_is_hashed_and_moved(house: House, beats: Beats) -> None:
    assert outcome(house.once()) == {"seen": 1, "done": 1}
    assert 200 < beats.count < 300


def test_a_stop_does_not_wait_for_what_need_not_be_taken_any_more(house: House, beats: Beats) -> None:
    beats.at[50] = house.stop.ask
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    assert beats.count < 100
    assert (house.states(), house.files("processed")) == ({}, [])
    house.stop.asked = False
    assert outcome(house.once()) == {"seen": 1, "done": 1}


def test_a_stop_ends_the_watch_while_a_scan_is_hashed(house: House, beats: Beats) -> None:
    hashed = 150
    beats.at[hashed // 2] = house.stop.ask
    visitor = Visitor(house, lambda: visitor.wait_for(lambda: house.stop.asked))
    assert outcome(visitor.watch()) == {"seen": 1, "pending": 1}
    assert beats.count < hashed


def test_what_is_done_meanwhile_is_of_those_within() -> None:
    done: list[int] = []
    with meanwhile(lambda: done.append(1)):
        assert sha256_of(io.BytesIO(b"1")) == hashlib.sha256(b"1").hexdigest()
    assert sha256_of(io.BytesIO(b"")) == hashlib.sha256().hexdigest()
    assert done == [1]


def test_a_file_that_is_written_to_for_ever_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"1" * size

    monkeypatch.setattr(fingerprints, "AT_ONCE", 10)
    assert sha256_of(Endless(), 95) == hashlib.sha256(b"1" * 100).hexdigest()  # type: ignore[arg-type]


def test_a_copy_for_which_there_is_no_room_is_not_begun(tmp_path: Path) -> None:
    """Each try would fill the disk that all other scans need."""
    other_disk = Path("/dev/shm")
    if not other_disk.is_dir() or other_disk.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system here")
    path = sparse(other_disk / f"digit-inbox-{os.getpid()}.png", 10_000_000)
    try:
        with pytest.raises(Transient, match="No space left"):
            move_original(path, tmp_path / "processed" / "a.png")
        assert list((tmp_path / "processed").iterdir()) == []
        assert path.exists()
    finally:
        path.unlink()
