"""The queue: what is new, who holds a scan, and what is left of it whatever happens in between."""

import json
import multiprocessing
import os
import socket
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from benchmarks.postgres_server import PostgresServer
from processor.errors import LeaseLost
from processor.intake.queue import (
    Enqueued,
    Job,
    claim,
    drop,
    enqueue,
    fail,
    finish,
    give_back,
    heartbeat,
    put_back,
    recover,
    retry,
)
from processor.intake.standing import Standing, next_due, standings
from processor.processes import own_name
from processor.records import Box, DigitReading, NumberReading, ScanState, Status
from processor.results.database import open_database, reading, writing
from processor.results.ledger import PublishedFile, UsedModel
from processor.results.queries import run_select, summary
from processor.results.schema import digits, models, numbers, outputs, pages, scans
from tests.sample_readings import a_blob, a_digit, a_number, a_page, a_result

pytestmark = pytest.mark.databases

INBOX = Path("/inbox")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEASE = 60.0


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def show(
    engine: Engine,
    file: str,
    content: str = "a",
    *,
    source: Path = INBOX,
    at: datetime = NOW,
    failed_before: datetime | None = None,
) -> Enqueued:
    return enqueue(
        engine,
        source=source,
        file=file,
        sha256=content * 64,
        bytes=9,
        now=at,
        failed_before=failed_before,
    )


def taken(engine: Engine, at: datetime = NOW, **options: Any) -> Job:
    job = claim(engine, at, LEASE, **options)
    assert job is not None
    return job


def rows(engine: Engine, table: Any = scans) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)).all())


def states(engine: Engine) -> dict[str, str]:
    return {row.file: row.state for row in rows(engine)}


class TestEnqueue:
    def test_a_new_scan_waits(self, engine: Engine) -> None:
        assert show(engine, "sub/a.png") is Enqueued.QUEUED
        (row,) = rows(engine)
        assert (row.source, row.file, row.sha256, row.bytes) == ("/inbox", "sub/a.png", "a" * 64, 9)
        assert (row.state, row.attempts, row.queued_at) == ("queued", 0, NOW)

    def test_shown_again_while_it_waits_or_is_read_it_is_pending(self, engine: Engine) -> None:
        show(engine, "a.png")
        assert show(engine, "a.png") is Enqueued.PENDING
        taken(engine)
        assert show(engine, "a.png") is Enqueued.PENDING
        assert len(rows(engine)) == 1

    def test_shown_again_when_done_it_is_known(self, engine: Engine) -> None:
        show(engine, "a.png")
        finish(engine, taken(engine), a_result(), NOW)
        assert show(engine, "a.png") is Enqueued.KNOWN
        assert claim(engine, NOW, LEASE) is None

    def test_the_same_content_elsewhere_is_a_duplicate_of_the_first(self, engine: Engine) -> None:
        show(engine, "a.png")
        assert show(engine, "b.png") is Enqueued.DUPLICATE
        assert show(engine, "a.png", source=Path("/other")) is Enqueued.DUPLICATE
        first, *copies = rows(engine)
        assert [(c.state, c.duplicate_of) for c in copies] == [("duplicate", first.id)] * 2

    def test_a_duplicate_shown_again_is_known(self, engine: Engine) -> None:
        show(engine, "a.png")
        show(engine, "b.png")
        assert show(engine, "b.png") is Enqueued.KNOWN
        assert len(rows(engine)) == 2

    def test_two_files_of_one_name_are_two_scans(self, engine: Engine) -> None:
        assert show(engine, "x/a.png", "a") is Enqueued.QUEUED
        assert show(engine, "y/a.png", "b") is Enqueued.QUEUED

    def test_a_file_replaced_by_another_is_a_new_scan_and_the_old_reading_stays(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        finish(engine, taken(engine), a_result(a_page(a_number())), NOW)
        assert show(engine, "a.png", "b") is Enqueued.QUEUED
        assert [(r.sha256[0], r.state) for r in rows(engine)] == [("a", "done"), ("b", "queued")]
        assert show(engine, "a.png", "a") is Enqueued.KNOWN

    @pytest.mark.parametrize(
        ("source", "file"),
        [("/inbox/sub", "a.png"), ("/", "/inbox/sub/a.png"), ("/inbox/other", "../sub/a.png")],
    )
    def test_a_place_is_the_same_however_it_is_named(self, engine: Engine, source: str, file: str) -> None:
        show(engine, "sub/a.png")
        finish(engine, taken(engine), a_result(), NOW)
        assert show(engine, file, source=Path(source)) is Enqueued.KNOWN
        assert len(rows(engine)) == 1

    def test_a_failed_scan_shown_again_is_tried_afresh(self, engine: Engine) -> None:
        show(engine, "a.png")
        fail(engine, taken(engine), "BadScan", "a.png is empty.", NOW)
        assert show(engine, "a.png", at=later(5)) is Enqueued.QUEUED
        (row,) = rows(engine)
        assert (row.state, row.attempts, row.error, row.message) == ("queued", 0, None, None)
        assert (row.queued_at, row.started_at, row.finished_at) == (later(5), None, None)

    def test_a_failed_scan_put_back_under_another_name_is_tried_there(self, engine: Engine) -> None:
        show(engine, "a.png")
        show(engine, "copy.png")
        fail(engine, taken(engine), "BadScan", "a.png has too many pages.", NOW)
        assert show(engine, "a-0123456789ab.png") is Enqueued.QUEUED
        old, copy, new = rows(engine)
        assert (new.state, new.duplicate_of) == ("queued", None)
        assert [(r.state, r.duplicate_of) for r in (old, copy)] == [("duplicate", new.id)] * 2
        assert taken(engine).file == "a-0123456789ab.png"

    def test_a_duplicate_takes_the_part_of_a_first_that_failed(self, engine: Engine) -> None:
        show(engine, "a.png")
        show(engine, "b.png")
        fail(engine, taken(engine), "BadScan", "a.png is empty.", NOW)
        assert show(engine, "b.png") is Enqueued.QUEUED
        first, second = rows(engine)
        assert (first.state, first.duplicate_of) == ("duplicate", second.id)
        assert (second.state, second.duplicate_of) == ("queued", None)
        assert show(engine, "a.png") is Enqueued.KNOWN

    @pytest.mark.parametrize("shown_first", [True, False])
    def test_of_two_bad_copies_in_one_run_one_fails_and_one_is_its_duplicate(
        self, engine: Engine, shown_first: bool
    ) -> None:
        for run in (NOW, later(100)):
            answers = []
            for file in ("a.png", "b.png"):
                if file == "b.png" and not shown_first:
                    fail(engine, taken(engine), "BadScan", "empty", run + timedelta(seconds=1))
                answers.append(show(engine, file, at=run + timedelta(seconds=2), failed_before=run))
            if shown_first:
                fail(engine, taken(engine), "BadScan", "empty", run + timedelta(seconds=3))
            second = Enqueued.DUPLICATE if run == NOW else Enqueued.KNOWN
            assert answers == [Enqueued.QUEUED, second]
            assert states(engine) == {"a.png": "failed", "b.png": "duplicate"}

    def test_one_run_tries_a_bad_scan_once(self, engine: Engine) -> None:
        show(engine, "a.png", failed_before=NOW)
        fail(engine, taken(engine), "BadScan", "empty", later(1))
        assert show(engine, "a.png", failed_before=NOW) is Enqueued.FAILED
        assert states(engine) == {"a.png": "failed"}

    def test_a_copy_of_what_an_earlier_run_failed_on_is_tried(self, engine: Engine) -> None:
        show(engine, "a.png")
        fail(engine, taken(engine), "BadScan", "empty", NOW)
        assert show(engine, "b.png", at=later(9), failed_before=later(8)) is Enqueued.QUEUED

    @pytest.mark.parametrize(
        "name", ["two\nlines.png", "a b.png", "größe-数.png", "it's; DROP TABLE scans.png", "50%.png"]
    )
    def test_any_name_comes_back_as_it_was(self, engine: Engine, name: str) -> None:
        show(engine, name)
        assert taken(engine).path == INBOX / name
        assert show(engine, name) is Enqueued.PENDING

    def test_a_name_that_is_no_utf8_comes_back_as_it_was(self, engine: Engine) -> None:
        name = os.fsdecode(b"caf\xe9.png")
        source = Path(os.fsdecode(b"/in\xff"))
        show(engine, name, source=source)
        assert taken(engine, sources=[source]).path == source / name
        assert show(engine, name, source=source) is Enqueued.PENDING


class TestClaim:
    def test_an_empty_queue_has_nothing(self, engine: Engine) -> None:
        assert claim(engine, NOW, LEASE) is None

    def test_the_oldest_first_and_each_once(self, engine: Engine) -> None:
        for name in ("c", "a", "b"):
            show(engine, f"{name}.png", name)
        assert [taken(engine).file for _ in range(3)] == ["c.png", "a.png", "b.png"]
        assert claim(engine, NOW, LEASE) is None

    def test_notes_who_holds_it_and_until_when(self, engine: Engine) -> None:
        show(engine, "a.png")
        job = taken(engine)
        assert job == Job(id=1, file="a.png", sha256="a" * 64, attempts=1, source=INBOX)
        (row,) = rows(engine)
        assert (row.state, row.attempts, row.started_at) == ("running", 1, NOW)
        assert row.leased_until == later(LEASE)
        assert row.worker == own_name()

    def test_only_from_the_folders_asked_for(self, engine: Engine) -> None:
        show(engine, "a.png", "a", source=Path("/one"))
        show(engine, "b.png", "b", source=Path("/two"))
        assert taken(engine, sources=[Path("/two"), Path("/three")]).file == "b.png"
        assert claim(engine, NOW, LEASE, sources=[Path("/two")]) is None
        assert claim(engine, NOW, LEASE, sources=[]) is None
        assert taken(engine).file == "a.png"

    def test_a_scan_given_back_waits_behind_those_not_tried(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        show(engine, "b.png", "b")
        give_back(engine, taken(engine))
        assert taken(engine).file == "b.png"
        again = taken(engine)
        assert (again.file, again.attempts) == ("a.png", 2)


def _claim_all(url: str, contents: int) -> list[int]:
    """One process of several: all open the database anew, show the same scans and claim what they get."""
    engine = open_database(url)
    for number in range(contents):
        enqueue(engine, source=INBOX, file=f"{number}.png", sha256=f"{number:064d}", bytes=1, now=NOW)
    mine = []
    while job := claim(engine, NOW, LEASE):
        mine.append(job.id)
        finish(engine, job, a_result(a_page(a_number())), NOW)
    engine.dispose()
    return mine


def test_several_processes_never_hold_one_scan_at_once(url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as processes:
        claims = [processes.submit(_claim_all, url, 40) for _ in range(3)]
        held = Counter(scan for process in claims for scan in process.result())
    assert len(held) == 40
    assert set(held.values()) == {1}
    engine = open_database(url)
    counts = summary(engine)
    engine.dispose()
    assert (counts.seen, counts.done, counts.numbers, counts.digits) == (40, 40, 40, 120)


class TestLease:
    def test_a_heartbeat_prolongs_it(self, engine: Engine) -> None:
        show(engine, "a.png")
        job = taken(engine)
        assert heartbeat(engine, job, later(50), LEASE)
        assert recover(engine, later(100)) == 0
        assert recover(engine, later(111)) == 1

    def test_a_lease_that_ran_out_is_given_to_another(self, engine: Engine) -> None:
        show(engine, "a.png")
        lost = taken(engine)
        assert recover(engine, later(LEASE)) == 0
        assert recover(engine, later(LEASE + 1)) == 1
        (row,) = rows(engine)
        assert (row.state, row.leased_until, row.worker) == ("queued", None, None)
        again = taken(engine)
        assert (again.id, again.attempts) == (lost.id, 2)

    @pytest.mark.parametrize("taken_again", [True, False])
    def test_who_lost_it_writes_nothing(self, engine: Engine, taken_again: bool) -> None:
        show(engine, "a.png")
        lost = taken(engine)
        recover(engine, later(LEASE + 1))
        if taken_again:
            taken(engine)
        before = rows(engine)
        assert not heartbeat(engine, lost, later(70), LEASE)
        with pytest.raises(LeaseLost, match=r"a\.png was taken over"):
            finish(engine, lost, a_result(a_page(a_number()), model="new"), NOW)
        with pytest.raises(LeaseLost):
            fail(engine, lost, "BadScan", "empty", NOW)
        with pytest.raises(LeaseLost):
            give_back(engine, lost)
        assert rows(engine) == before
        assert rows(engine, numbers) == rows(engine, models) == []

    def test_a_scan_whose_process_died_here_need_not_wait_for_its_lease(self, engine: Engine) -> None:
        show(engine, "a.png")
        show(engine, "b.png", "b")
        show(engine, "c.png", "c")
        for _ in range(3):
            taken(engine)
        here = socket.gethostname()
        ended = subprocess.Popen(["true"])
        ended.wait()
        # Its own process lives; of a process of another machine nothing is known.
        holders = {
            "a.png": f"{here}:{ended.pid}",
            "b.png": own_name(),
            "c.png": f"elsewhere:{ended.pid}",
        }
        with writing(engine) as connection:
            for file, worker in holders.items():
                connection.execute(update(scans).where(scans.c.file == file).values(worker=worker))
        assert recover(engine, later(1)) == 1
        assert states(engine) == {"a.png": "queued", "b.png": "running", "c.png": "running"}

    def test_what_had_the_number_of_this_process_is_gone_once_it_prolongs_nothing(
        self, engine: Engine
    ) -> None:
        """Each run of a container has one number; but a second container may have the name of the first."""
        for name in "ab":
            show(engine, name, name)
        former = f"{socket.gethostname()}:{os.getpid()}:0badcafe"
        first, second = taken(engine), taken(engine)
        with writing(engine) as connection:
            connection.execute(update(scans).values(worker=former))
        assert heartbeat(engine, second, later(5), LEASE)
        assert recover(engine, later(6), renewed_to=later(LEASE + 1)) == 0, "one lease was prolonged"
        assert recover(engine, later(9)) == 0
        assert recover(engine, later(9), renewed_to=later(LEASE + 6)) == 2
        assert heartbeat(engine, first, later(10), LEASE) is False

    def test_what_this_process_holds_it_need_not_have_prolonged(self, engine: Engine) -> None:
        show(engine, "a.png")
        taken(engine)
        assert recover(engine, later(1), renewed_to=later(LEASE + 1)) == 0

    def test_a_finished_scan_is_not_recovered(self, engine: Engine) -> None:
        show(engine, "a.png")
        finish(engine, taken(engine), a_result(), NOW)
        show(engine, "b.png", "b")
        fail(engine, taken(engine), "BadScan", "empty", NOW)
        assert recover(engine, later(1e6)) == 0
        assert states(engine) == {"a.png": "done", "b.png": "failed"}


class TestPutBack:
    def test_it_waits_until_it_is_due(self, engine: Engine) -> None:
        show(engine, "a.png")
        put_back(engine, taken(engine), fault="The disk is full.", due=later(8), killed=False)
        assert claim(engine, later(7.9), LEASE) is None
        assert next_due(engine) == later(8)
        assert standings(engine, ["a" * 64]) == {
            "a" * 64: Standing(ScanState.QUEUED, later(8), "The disk is full.")
        }
        again = taken(engine, later(8))
        assert (again.attempts, again.faults, again.kills) == (2, 1, 0)

    def test_others_are_claimed_meanwhile(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        show(engine, "b.png", "b", source=Path("/other"))
        put_back(engine, taken(engine), fault="away", due=later(8), killed=False)
        assert taken(engine).file == "b.png"
        assert next_due(engine, [INBOX]) == later(8)
        assert next_due(engine, [Path("/other")]) is None

    def test_kills_faults_and_the_death_of_the_parent_are_counted_apart(self, engine: Engine) -> None:
        show(engine, "a.png")
        put_back(engine, taken(engine), fault="killed", due=NOW, killed=True)
        put_back(engine, taken(engine), fault="full", due=NOW, killed=False)
        taken(engine)
        assert recover(engine, later(LEASE + 1)) == 1
        give_back(engine, taken(engine))
        job = taken(engine)
        assert (job.attempts, job.faults, job.kills) == (5, 1, 1)

    def test_once_it_was_read_nothing_is_left_of_the_fault(self, engine: Engine) -> None:
        show(engine, "a.png")
        put_back(engine, taken(engine), fault="full", due=NOW, killed=False)
        finish(engine, taken(engine), a_result(), NOW)
        (row,) = rows(engine)
        assert (row.not_before, row.error, row.message) == (None, None, None)
        assert next_due(engine) is None

    def test_a_fault_may_name_a_file_that_is_no_utf8(self, engine: Engine) -> None:
        show(engine, "caf\udce9.png")
        put_back(engine, taken(engine), fault="caf\udce9.png is away", due=NOW, killed=False)
        assert rows(engine)[0].message == "caf\\udce9.png is away"


class TestDrop:
    def test_nothing_of_it_is_left(self, engine: Engine) -> None:
        show(engine, "a.png")
        drop(engine, taken(engine))
        assert rows(engine) == []
        assert standings(engine, ["a" * 64]) == {}
        assert show(engine, "a.png") is Enqueued.QUEUED

    def test_the_first_copy_of_what_it_held_takes_its_part(self, engine: Engine) -> None:
        for name in ("a.png", "b.png", "c.png"):
            show(engine, name)
        drop(engine, taken(engine))
        heir, other = rows(engine)
        assert (heir.file, heir.state, heir.duplicate_of, heir.finished_at) == ("b.png", "queued", None, None)
        assert (other.file, other.state, other.duplicate_of) == ("c.png", "duplicate", heir.id)

    def test_only_who_holds_it_may(self, engine: Engine) -> None:
        show(engine, "a.png")
        lost = taken(engine)
        recover(engine, later(LEASE + 1))
        with pytest.raises(LeaseLost):
            drop(engine, lost)
        assert states(engine) == {"a.png": "queued"}

    def test_who_held_it_before_does_not_hold_what_has_its_number_now(self, engine: Engine) -> None:
        show(engine, "a.png")
        lost = taken(engine)
        recover(engine, later(LEASE + 1))
        drop(engine, taken(engine))
        show(engine, "b.png", "b")
        now = taken(engine)
        # PostgreSQL gives no number twice.
        assert (now.id == lost.id, now.attempts) == (engine.dialect.name == "sqlite", lost.attempts)
        with pytest.raises(LeaseLost):
            finish(engine, lost, a_result(a_page(a_number())), NOW)
        assert states(engine) == {"b.png": "running"}


def test_a_retry_queues_what_failed_as_if_it_were_new(engine: Engine) -> None:
    for name in "abc":
        show(engine, f"{name}.png", name)
    put_back(engine, taken(engine), fault="killed", due=NOW, killed=True)
    for name in "bc":
        fail(engine, taken(engine), "BadScan", f"{name} is empty.", NOW)
    fail(engine, taken(engine), "BadScan", "a is empty.", NOW)
    later = NOW + timedelta(hours=1)
    assert retry(engine, [1, 2, 99], later) == [1, 2]
    assert states(engine) == {"a.png": "queued", "b.png": "queued", "c.png": "failed"}
    first = rows(engine)[0]
    # It waits since a person asked for it, not since it came.
    assert (first.queued_at, first.not_before) == (later, None)
    assert (first.attempts, first.faults, first.kills, first.message, first.finished_at) == (
        0,
        0,
        0,
        None,
        None,
    )
    assert retry(engine, [1, 2], later) == []


def test_how_far_many_contents_have_come(engine: Engine) -> None:
    hashes = [f"{number:064d}" for number in range(1200)]
    for number in (0, 700, 1199):
        enqueue(engine, source=INBOX, file=f"{number}.png", sha256=hashes[number], bytes=1, now=NOW)
        enqueue(engine, source=INBOX, file=f"{number} copy.png", sha256=hashes[number], bytes=1, now=NOW)
    finish(engine, taken(engine), a_result(), NOW)
    taken(engine)
    found = standings(engine, hashes)
    assert {sha256: standing.state for sha256, standing in found.items()} == {
        hashes[0]: "done",
        hashes[700]: "running",
        hashes[1199]: "queued",
    }


class TestFinish:
    def test_stamps_the_scan(self, engine: Engine) -> None:
        show(engine, "a.png")
        finish(engine, taken(engine), a_result(), later(3))
        (row,) = rows(engine)
        assert (row.state, row.finished_at, row.seconds, row.leased_until) == ("done", later(3), 0.25, None)
        assert (row.model, row.settings_digest, row.program_version) == ("cnn-a", "0123456789ab", "0.1.0")

    def test_clears_what_an_earlier_try_left(self, engine: Engine) -> None:
        show(engine, "a.png")
        fail(engine, taken(engine), "BadScan", "a.png is empty.", NOW)
        show(engine, "a.png")
        finish(engine, taken(engine), a_result(), NOW)
        (row,) = rows(engine)
        assert (row.state, row.error, row.message) == ("done", None, None)

    def test_numbers_and_digits_are_counted_from_one_in_reading_order(self, engine: Engine) -> None:
        show(engine, "a.png")
        first = a_page(
            a_number("10,5", field="total"), a_number("007"), rejected=(a_blob("speck"), a_blob("mark"))
        )
        finish(engine, taken(engine), a_result(first, a_page(a_number("42"), page=2)), NOW)
        assert [(p.page, p.width, p.height, p.dpi, p.skew_degrees) for p in rows(engine, pages)] == [
            (page, 2480, 3508, 300.0, -0.5) for page in (1, 2)
        ]
        assert [(n.page_id, n.position, n.text, n.digits, n.field) for n in rows(engine, numbers)] == [
            (1, 1, "10,5", "105", "total"),
            (1, 2, "007", "007", None),
            (2, 1, "42", "42", None),
        ]
        found = [(d.page_id, d.number_id, d.position, d.digit, d.reason) for d in rows(engine, digits)]
        assert sorted(found, key=str) == sorted(
            [
                *((1, 1, n, digit, None) for n, digit in enumerate("105", 1)),
                *((1, 2, n, digit, None) for n, digit in enumerate("007", 1)),
                *((1, None, n, None, reason) for n, reason in enumerate(("speck", "mark"), 1)),
                *((2, 3, n, digit, None) for n, digit in enumerate("42", 1)),
            ],
            key=str,
        )

    def test_the_second_and_third_best_are_kept_where_there_are_any(self, engine: Engine) -> None:
        show(engine, "a.png")
        alone = DigitReading(
            digit="3", confidence=1.0, status=Status.ACCEPTED, box=Box(0, 0, 1, 1), top=(("3", 1.0),)
        )
        number = NumberReading(
            text="73",
            confidence=0.6,
            status=Status.REVIEW,
            box=Box(0, 0, 1, 1),
            digits=(a_digit("7", 0.6, Status.REVIEW), alone),
        )
        finish(engine, taken(engine), a_result(a_page(number)), NOW)
        seven, three = rows(engine, digits)
        assert (seven.second, seven.third, seven.status) == ("1", "none", "review")
        assert (seven.second_confidence, seven.third_confidence) == pytest.approx((0.3, 0.1))
        assert (three.second, three.second_confidence, three.third, three.third_confidence) == (None,) * 4

    def test_numpy_values_are_stored_as_numbers(self, engine: Engine) -> None:
        show(engine, "a.png")
        box: Any = Box(*np.arange(4, dtype=np.int32))
        half: Any = np.float32(0.5)
        digit = DigitReading(
            digit="1", confidence=half, status=Status.ACCEPTED, box=box, top=(("1", half),) * 3
        )
        number = NumberReading(text="1", confidence=half, status=Status.ACCEPTED, box=box, digits=(digit,))
        finish(engine, taken(engine), a_result(a_page(number, dpi=half)), NOW)
        (row,) = rows(engine, digits)
        assert (row.confidence, row.second_confidence, row.x, row.y, row.width, row.height) == (
            0.5,
            0.5,
            0,
            1,
            2,
            3,
        )
        assert rows(engine, pages)[0].dpi == 0.5

    def test_pages_without_numbers_are_pages(self, engine: Engine) -> None:
        show(engine, "a.png")
        finish(engine, taken(engine), a_result(a_page(dpi=None)), NOW)
        assert [(p.page, p.dpi) for p in rows(engine, pages)] == [(1, None)]
        assert rows(engine, numbers) == rows(engine, digits) == []

    def test_annotated_pages_are_named_below_the_results(self, engine: Engine) -> None:
        show(engine, "a.png")
        shown = Path("/home/me/results/annotated/a-0123456789ab-p1.jpg")
        finish(engine, taken(engine), a_result(a_page(), a_page(page=2), annotated=(shown, None)), NOW)
        assert [p.annotated for p in rows(engine, pages)] == ["annotated/a-0123456789ab-p1.jpg", None]

    def test_what_was_published_is_noted_and_replaced_by_a_replay(self, engine: Engine) -> None:
        show(engine, "a.png")
        for digit in "12":
            with writing(engine) as connection:
                connection.execute(scans.update().values(state="queued"))
            table = PublishedFile(file="csv/a-0123.csv", sha256=digit * 64, bytes=int(digit))
            finish(engine, taken(engine), a_result(), NOW, published=[table])
        (row,) = rows(engine, outputs)
        assert (row.scan_id, row.file, row.sha256, row.bytes) == (1, "csv/a-0123.csv", "2" * 64, 2)

    def test_a_replay_replaces_the_rows(self, engine: Engine) -> None:
        for name in ("a", "b"):
            show(engine, f"{name}.png", name)
        result = a_result(a_page(a_number("12"), rejected=(a_blob(),)), a_page(a_number("3"), page=2))
        # The parent died after the commit of a twin: the lease ran out, and the scan is read again.
        for at in (NOW, later(100)):
            with writing(engine) as connection:
                connection.execute(scans.update().values(state="queued"))
            for _ in range(2):
                finish(engine, taken(engine, at), result, at)
        counts = summary(engine)
        assert (counts.done, counts.pages, counts.numbers, counts.digits, counts.rejected) == (2, 4, 4, 6, 2)

    def test_rows_and_state_come_together_or_not_at_all(self, engine: Engine) -> None:
        show(engine, "a.png")
        job = taken(engine)
        nothing: Any = None
        broken = NumberReading(
            text=nothing, confidence=0.9, status=Status.ACCEPTED, box=Box(0, 0, 1, 1), digits=(a_digit(),)
        )
        with pytest.raises(IntegrityError):
            finish(engine, job, a_result(a_page(a_number()), a_page(broken, page=2)), NOW)
        assert states(engine) == {"a.png": "running"}
        assert rows(engine, pages) == rows(engine, numbers) == rows(engine, models) == []
        give_back(engine, job)

    def test_a_model_is_noted_once_with_what_is_known_of_it(self, engine: Engine) -> None:
        known = UsedModel(name="cnn-a", sha256="f" * 64, manifest={"classes": ["0", "none"]})
        for number, (model, facts) in enumerate(
            [("cnn-a", None), ("cnn-a", known), ("cnn-a", None), ("cnn-b", None)]
        ):
            show(engine, f"{number}.png", str(number))
            finish(engine, taken(engine), a_result(model=model), later(number), model=facts)
        assert [(m.name, m.sha256, m.manifest, m.first_used_at) for m in rows(engine, models)] == [
            ("cnn-a", "f" * 64, {"classes": ["0", "none"]}, NOW),
            ("cnn-b", None, None, later(3)),
        ]
        text = run_select(engine, "SELECT manifest FROM models ORDER BY name")[1][0][0]
        assert json.loads(text) == {"classes": ["0", "none"]}


def test_a_failure_says_what_and_why(engine: Engine) -> None:
    show(engine, "a.png")
    fail(engine, taken(engine), "BadScan", "a.png is empty.", later(2))
    (row,) = rows(engine)
    assert (row.state, row.error, row.message, row.finished_at) == (
        *("failed", "BadScan", "a.png is empty."),
        later(2),
    )
    assert (row.leased_until, row.worker, row.attempts) == (None, None, 1)


def test_a_failure_may_name_a_file_that_is_no_utf8(engine: Engine) -> None:
    show(engine, "caf\udce9.png")
    fail(engine, taken(engine), "BadScan", "caf\udce9.png is empty.", NOW)
    assert rows(engine)[0].message == "caf\\udce9.png is empty."


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["show", "claim", "finish", "fail", "give back", "put back", "drop", "recover", "retry"]
        ),
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
    ),
    max_size=30,
)


@given(ACTIONS)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_the_counts_agree(actions: list[tuple[str, str, str]]) -> None:
    """Any order of events: a content has one row that is no duplicate, and duplicates point at it."""
    with tempfile.TemporaryDirectory() as folder:
        _act_all(f"sqlite:///{folder}/results.db", actions)


@given(ACTIONS)
@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_the_counts_agree_on_a_server(
    server: PostgresServer, actions: list[tuple[str, str, str]]
) -> None:
    _act_all(server.emptied(), actions)


def _act_all(url: str, actions: list[tuple[str, str, str]]) -> None:
    engine = open_database(url)
    held: list[Job] = []
    for minute, (action, content, place) in enumerate(actions):
        _act(engine, action, content, place, held, later(minute))
        _agree(engine)
    engine.dispose()


def _act(engine: Engine, action: str, content: str, place: str, held: list[Job], at: datetime) -> None:
    if action == "show":
        show(engine, place, content, at=at)
    elif action == "claim":
        held.extend(filter(None, [claim(engine, at, LEASE)]))
    elif action == "recover":
        recovered = recover(engine, at + timedelta(hours=1))
        assert recovered == len(held)
        held.clear()
    elif action == "retry":
        retry(engine, [1, 2, 3], at)
    elif held:
        job = held.pop()
        if action == "finish":
            finish(engine, job, a_result(a_page(a_number("1"))), at)
        elif action == "fail":
            fail(engine, job, "BadScan", "empty", at)
        elif action == "put back":
            put_back(engine, job, fault="full", due=at, killed=False)
        elif action == "drop":
            drop(engine, job)
        else:
            give_back(engine, job)


def _agree(engine: Engine) -> None:
    counts = summary(engine)
    assert counts.numbers == counts.done
    found = rows(engine)
    first = {row.sha256: row.id for row in found if row.state != "duplicate"}
    assert len(first) == len({row.sha256 for row in found})
    for row in found:
        assert row.duplicate_of == (first[row.sha256] if row.state == "duplicate" else None)
        assert (row.leased_until is not None) == (row.state == "running")
