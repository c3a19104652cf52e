"""A model takes over between two scans: none is lost or mixed, and a refused one harms nothing."""

import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import Engine as Database

from processor.commands.start import places, staging
from processor.commands.status import counted, status
from processor.custody import Custody
from processor.daemon import Daemon
from processor.endings import ATTEMPTS
from processor.engines.local import LocalEngine
from processor.engines.tasks import Outcome, ScanTask, Verdict
from processor.errors import BadModel, DigitInboxError, Exit, Transient
from processor.patience import Stop
from processor.prediction.archive import CURRENT, find_model, verify
from processor.records import ScanResult
from processor.results.database import open_database, reading
from processor.results.queries import Fields, Summary, refusal
from processor.settings import LoadedSettings, load
from processor.succession import Succession
from tests.conftest import PROCESSOR, Command
from tests.model_copies import (
    SURE,
    accepting_from,
    copy_model,
    damage,
    fill_with_nan,
    name_current,
)
from tests.sample_readings import a_number, a_page, a_result
from tests.stand_ins import Memory, SerialEngine, drop

Rows = list[tuple[Any, ...]]
Answer = TypeVar("Answer", Outcome, Verdict)


class House:
    """A product folder with models `a` and `b`; a stand-in for reading verifies its model and names it."""

    def __init__(self, home: Path) -> None:
        self.inbox = home / "inbox"
        self.results = home / "results"
        self.results.mkdir()
        self.archive = home / "models_archive"
        for name in ("a", "b"):
            copy_model(self.archive, name)
        self.promote("a")
        self.flags: dict[str, Any] = {"intake.settle_seconds": 0, "intake.rescan_seconds": 3600}
        self.database: Database = open_database(f"sqlite:///{self.results / 'results.db'}")
        self.stop = Stop()
        self.heard = Memory()
        self.engine = SerialEngine(self.read, slots=1)
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.copies: list[int] = []

    @property
    def settings(self) -> LoadedSettings:
        return load(None, self.flags)

    def promote(self, name: str) -> None:
        name_current(self.archive, name)

    def read(self, task: ScanTask) -> ScanResult:
        """Reads with whatever model lies where the task says; then does what is to happen meanwhile."""
        assert task.model is not None
        self.copies.append(len(list(task.model.parents[1].glob("*/*/manifest.json"))))
        model = verify(task.model)
        self.meanwhile.pop(task.file, lambda: None)()
        return a_result(a_page(a_number("12")), model=model.name)

    def once(self) -> Summary:
        return self.run(Daemon.once)

    def run(self, how: Callable[[Daemon], None]) -> Summary:
        with staging(self.results) as folder:
            custody = Custody(
                self.database,
                inbox=self.inbox,
                results=self.results,
                staging=folder,
                limits=self.settings.values.limits,
                listener=self.heard,
            )
            self.succession = Succession(
                self.settings,
                find_model(self.archive, self.settings.values.recognition.model),
                folder=folder / "models",
                engine=self.engine,
                database=self.database,
                listener=self.heard,
            )
            daemon = Daemon(
                self.settings,
                places(self.settings, []),
                custody=custody,
                engine=self.engine,
                listener=self.heard,
                stop=self.stop,
                succession=self.succession,
            )
            try:
                how(daemon)
            finally:
                custody.give_back()
        return custody.tally.summary()

    def scans(self, count: int) -> None:
        for number in range(count):
            drop(self.inbox, f"{number}.png", str(number))

    def read_by(self) -> list[str]:
        """The model of each scan, in the order in which they were read."""
        with reading(self.database) as connection:
            return list(connection.exec_driver_sql("SELECT model FROM scans ORDER BY id").scalars())

    @property
    def refused(self) -> Fields | None:
        return refusal(self.database)


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    house = House(home)
    yield house
    house.database.dispose()


# Between two scans


def test_a_promoted_model_reads_the_next_scan(house: House) -> None:
    house.scans(4)
    house.meanwhile = {"1.png": lambda: house.promote("b")}
    counts = house.once()
    assert (counts.seen, counts.done) == (4, 4)
    assert house.read_by() == ["a", "a", "b", "b"]
    assert house.heard.said == ["The model b reads from now on."]
    assert [path.name for path in house.engine.examined] == ["b"]
    with reading(house.database) as connection:
        rows = connection.exec_driver_sql("SELECT name, sha256, manifest, first_used_at FROM models").all()
    assert [(row.name, json.loads(row.manifest)["name"]) for row in rows] == [("a", "a"), ("b", "b")]
    assert {row.sha256 for row in rows} == {find_model(house.archive, "a").manifest["weights"][0]["sha256"]}
    assert all(row.first_used_at for row in rows)


def test_of_two_quick_promotions_the_last_one_counts(house: House) -> None:
    copy_model(house.archive, "c")
    house.scans(3)
    house.meanwhile = {"0.png": lambda: [house.promote(name) for name in ("b", "c")]}  # type: ignore[func-returns-value]
    house.once()
    assert house.read_by() == ["a", "c", "c"]


def test_a_model_promoted_while_another_is_tried_follows_it(house: House) -> None:
    copy_model(house.archive, "c")
    house.scans(3)
    examine = house.engine.examine

    def slow(model: Path) -> None:
        house.promote("c")
        examine(model)

    house.engine.examine = slow  # type: ignore[method-assign]
    house.meanwhile = {"0.png": lambda: house.promote("b")}
    house.once()
    assert house.read_by() == ["a", "c", "c"]
    assert house.heard.said == ["The model b reads from now on.", "The model c reads from now on."]


def test_copies_of_earlier_models_do_not_pile_up(house: House) -> None:
    house.scans(9)
    house.meanwhile = {f"{n}.png": lambda n=n: house.promote("ba"[n % 2]) for n in range(9)}  # type: ignore[misc]
    house.once()
    assert house.read_by() == [*"abababab", "a"]
    assert max(house.copies) == 2


def test_a_model_named_in_the_settings_stays(house: House) -> None:
    house.flags["recognition.model"] = "b"
    house.scans(3)
    house.meanwhile = {"0.png": lambda: house.promote("a"), "1.png": lambda: house.promote("nothing")}
    house.once()
    assert house.read_by() == ["b", "b", "b"]
    assert house.refused is None
    assert not house.succession.wants_a_turn()


def test_scans_under_way_and_those_behind_them_outlive_their_model_in_the_archive(house: House) -> None:
    house.engine.slots = 3
    house.scans(3)

    def remove() -> None:
        house.promote("b")
        shutil.rmtree(house.archive / "a")

    house.meanwhile = {"0.png": remove}
    house.once()
    assert house.read_by() == ["a", "a", "a"]
    assert house.heard.warnings == []


def test_no_scan_is_handed_out_while_the_next_model_is_tried(house: House) -> None:
    class Slow(SerialEngine):
        """Answers at the third question; a scan that comes meanwhile is read by the model it came under."""

        asked = 0

        def verdict(self) -> Verdict | None:
            self.asked += 1
            assert self.tasks == type(self.tasks)()
            return super().verdict() if self.asked >= 3 else None

    house.engine = Slow(house.read, slots=1)
    house.scans(2)
    house.meanwhile = {"0.png": lambda: house.promote("b")}
    house.once()
    assert house.read_by() == ["a", "b"]
    assert house.engine.asked == 3


def test_an_idle_watch_notices_a_promotion(house: House) -> None:
    def visit() -> None:
        deadline = time.monotonic() + 20
        house.promote("b")
        while not house.heard.said and time.monotonic() < deadline:
            time.sleep(0.02)
        house.stop.ask()

    visitor = threading.Thread(target=visit)
    house.scans(1)
    house.meanwhile = {"0.png": visitor.start}
    house.run(Daemon.watch)
    visitor.join()
    assert house.heard.said == ["The model b reads from now on."]
    assert house.read_by() == ["a"]


# What is refused


def refuse_by(house: House, act: Callable[[], object], scans: int = 4) -> Fields:
    """Does something to the archive after the first scan; every scan is read by `a` all the same."""
    house.scans(scans)
    house.meanwhile = {"0.png": act}
    counts = house.once()
    assert (counts.seen, counts.done) == (scans, scans)
    assert house.read_by() == ["a"] * scans
    assert len(house.heard.warnings) == 1
    assert "a reads on" in house.heard.warnings[0]
    refused = house.refused
    assert refused is not None
    assert refused["in_use"] == "a"
    assert refused["at"] <= datetime.now(UTC)
    return refused


def damaged(house: House) -> None:
    damage(house.archive / "b")
    house.promote("b")


def vanished(house: House) -> None:
    shutil.rmtree(house.archive / "b")
    house.promote("b")


@pytest.mark.parametrize("act", [damaged, vanished])
def test_a_model_that_cannot_be_used_is_refused_once_and_the_old_one_reads_on(
    house: House, act: Callable[[House], None]
) -> None:
    refused = refuse_by(house, lambda: act(house))
    assert refused["name"] == "b"
    assert "b" in refused["reason"]
    assert house.engine.examined == []


@pytest.mark.parametrize(
    "content", [None, b"", b" \n", b"\xff\xfe\n", b"nowhere\n", b"../models_archive/b\n", b"x\0\n", b"\0"]
)
def test_a_current_that_names_no_model_is_refused(house: House, content: bytes | None) -> None:
    def spoil() -> None:
        (house.archive / CURRENT).unlink()
        if content is not None:
            (house.archive / CURRENT).write_bytes(content)

    refused = refuse_by(house, spoil)
    assert refused["name"] in {None, "nowhere", "../models_archive/b", "\ufffd\ufffd", "x\ufffd", "\ufffd"}


def test_a_current_that_is_a_pipe_is_not_waited_for(house: House) -> None:
    def spoil() -> None:
        (house.archive / CURRENT).unlink()
        os.mkfifo(house.archive / CURRENT)

    refuse_by(house, spoil)


def test_a_model_that_a_worker_cannot_load_is_refused_by_the_path_it_is_published_at(house: House) -> None:
    class Strict(SerialEngine):
        def examine(self, model: Path) -> None:
            self.faults = {"b": BadModel(f"{model / 'weights'} holds NaN.", "Train it again.")}
            super().examine(model)

    house.engine = Strict(house.read, slots=1)
    refused = refuse_by(house, lambda: house.promote("b"))
    assert refused["reason"] == f"{house.archive / 'b' / 'weights'} holds NaN. Train it again."
    assert len(house.engine.examined) == 1


def test_a_worker_killed_while_it_loads_does_not_condemn_the_model_at_once(house: House) -> None:
    faults = [Transient("killed", ""), Transient("killed", "")]

    class Unlucky(SerialEngine):
        def examine(self, model: Path) -> None:
            self.faults = {"b": faults.pop()} if faults else {}
            super().examine(model)

    house.engine = Unlucky(house.read, slots=1)
    house.scans(2)
    house.meanwhile = {"0.png": lambda: house.promote("b")}
    house.once()
    assert house.read_by() == ["a", "b"]
    assert len(house.engine.examined) == ATTEMPTS


def test_a_worker_killed_each_time_it_loads_does(house: House) -> None:
    house.engine.faults = {"b": Transient("The worker was killed.", "")}
    assert refuse_by(house, lambda: house.promote("b"))["reason"] == "The worker was killed."
    assert len(house.engine.examined) == ATTEMPTS


def test_the_notice_goes_when_a_later_promotion_succeeds(house: House) -> None:
    copy_model(house.archive, "c")
    house.scans(3)
    house.meanwhile = {"0.png": lambda: damaged(house), "1.png": lambda: house.promote("c")}
    house.once()
    assert house.read_by() == ["a", "a", "c"]
    assert len(house.heard.warnings) == 1
    assert house.refused is None


def test_the_notice_goes_when_the_model_in_use_is_named_again(house: House) -> None:
    house.scans(3)
    house.meanwhile = {"0.png": lambda: damaged(house), "1.png": lambda: house.promote("a")}
    house.once()
    assert house.read_by() == ["a", "a", "a"]
    assert house.refused is None


def test_a_model_that_was_repaired_where_it_lies_takes_over(house: House) -> None:
    def repair() -> None:
        shutil.rmtree(house.archive / "b")
        copy_model(house.archive, "b")

    house.scans(4)
    house.meanwhile = {"0.png": lambda: damaged(house), "1.png": repair}
    house.once()
    assert house.read_by() == ["a", "a", "b", "b"]
    assert house.refused is None


def test_the_notice_outlives_the_run_and_goes_with_the_next_good_start(house: House) -> None:
    refuse_by(house, lambda: damaged(house), scans=2)
    with pytest.raises(BadModel, match="sha256"):
        house.once()
    assert house.refused is not None
    house.promote("a")
    house.once()
    assert house.refused is None


def test_a_model_that_fails_at_the_start_is_named_where_it_is_published(house: House) -> None:
    def refuse(task: ScanTask) -> ScanResult:
        raise BadModel(f"{task.model} holds NaN.", "Train it again.")

    house.engine.read = refuse
    house.scans(1)
    with pytest.raises(BadModel) as caught:
        house.once()
    assert caught.value.message == f"{house.archive / 'a'} holds NaN."
    with reading(house.database) as connection:
        assert connection.exec_driver_sql("SELECT state FROM scans").scalar_one() == "queued"


# The workers


@pytest.fixture
def page() -> NDArray[np.uint8]:
    """A small page, (160, 400) uint8, with the handwritten digits 3 to 6."""
    with np.load(Path(__file__).with_name("data") / "mnist-sample.npz") as sample:
        images, labels = sample["images"], sample["labels"]
    pixels = np.full((160, 400), 255, np.uint8)
    for place, digit in enumerate((3, 4, 5, 6)):
        image = Image.fromarray(images[labels == digit][0]).resize((56, 56), Image.Resampling.BICUBIC)
        pixels[50:106, 30 + 90 * place : 86 + 90 * place] -= np.asarray(image)
    return pixels


def a_scan(page: NDArray[np.uint8], number: int, pages: int = 1) -> bytes:
    """A scan like no other: its number is written into the white of a corner, too faint to be ink."""
    own = page.copy()
    own[0, :16] -= np.array([number >> bit & 1 for bit in range(16)], np.uint8)
    buffer = io.BytesIO()
    images = [Image.fromarray(np.roll(own, shift, axis=1)) for shift in range(pages)]
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


class Workshop:
    """The real engine with one worker, which is given scans and models."""

    def __init__(self, home: Path, page: NDArray[np.uint8]) -> None:
        self.engine = LocalEngine(load(home / "settings.toml"), 1)
        self.scan = drop(home, "scan.tif", a_scan(page, 1))
        self.sha256 = hashlib.sha256(self.scan.read_bytes()).hexdigest()
        self.staging = home / "staged"
        self.staging.mkdir()

    def read(self, model: Path) -> ScanResult | DigitInboxError:
        task = ScanTask(
            id=1, source=self.scan, file="scan.tif", sha256=self.sha256, staging=self.staging, model=model
        )
        self.engine.submit(task)
        outcome = self.wait_for(lambda: next(iter(self.engine.wait(0.2)), None))
        return outcome.result

    def examine(self, model: Path) -> Verdict:
        self.engine.examine(model)

        def ask() -> Verdict | None:
            assert self.engine.wait(0.2) == []
            return self.engine.verdict()

        return self.wait_for(ask)

    @staticmethod
    def wait_for(ask: Callable[[], Answer | None]) -> Answer:
        deadline = time.monotonic() + 60
        while (found := ask()) is None:
            assert time.monotonic() < deadline
        return found


def status_of(result: ScanResult | DigitInboxError) -> tuple[str, list[str]]:
    assert isinstance(result, ScanResult), result
    numbers = [number for page in result.pages for number in page.numbers]
    return result.model, [digit.status.value for number in numbers for digit in number.digits]


def test_a_worker_takes_models_in_turn_and_refuses_bad_ones(home: Path, page: NDArray[np.uint8]) -> None:
    archive = home / "archive"
    easy = copy_model(archive, "easy", **accepting_from(0.2))
    strict = copy_model(archive, "strict", **accepting_from(SURE))
    hollow = copy_model(archive, "hollow")
    fill_with_nan(hollow)
    workshop = Workshop(home, page)
    try:
        assert workshop.examine(easy) == Verdict(easy, None)
        # The thresholds are the manifest's, so they change with the model.
        name, accepted = status_of(workshop.read(easy))
        assert (name, set(accepted)) == ("easy", {"accepted"})
        fault = workshop.examine(hollow).fault
        assert isinstance(fault, BadModel)
        assert str(hollow) in fault.message
        assert status_of(workshop.read(strict)) == ("strict", ["review"] * len(accepted))
        # A model that fails when a scan comes is the model's fault, not the scan's.
        assert isinstance(workshop.read(hollow), BadModel)
        # The one loaded before is kept until then, and still serves although its folder is gone.
        shutil.rmtree(strict)
        assert status_of(workshop.read(strict))[0] == "strict"
        # A worker that takes the place of a killed one loads what its scan names, whatever CURRENT says.
        (archive / CURRENT).write_text("hollow\n")
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        result = workshop.read(easy)
        while isinstance(result, Transient):
            result = workshop.read(easy)
        assert status_of(result)[0] == "easy"
    finally:
        workshop.engine.close()
    assert workshop.engine.verdict() is None


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_worker_does_not_grow_with_the_models_it_has_had(home: Path, page: NDArray[np.uint8]) -> None:
    folders = [copy_model(home / "archive", name) for name in ("one", "two")]
    workshop = Workshop(home, page)

    def resident_mb() -> float:
        (worker,) = multiprocessing.active_children()
        pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    try:
        sizes = []
        for number in range(200):
            folder = folders[number % 2]
            assert workshop.examine(folder).fault is None
            assert status_of(workshop.read(folder))[0] == folder.name
            sizes.append(resident_mb())
    finally:
        workshop.engine.close()
    assert max(sizes[100:]) < max(sizes[:100]) + 20, sizes[::20]


# The real daemon


class Service:
    """`processor run` over an inbox, with an archive that is promoted in while it reads."""

    def __init__(self, home: Path, workers: int) -> None:
        self.home = home
        self.archive = home / "models_archive"
        for name in ("one", "two", "three"):
            copy_model(self.archive, name)
        damage(copy_model(self.archive, "damaged"))
        fill_with_nan(copy_model(self.archive, "hollow"))
        self.promotions: list[tuple[str, datetime, datetime]] = []
        self.promote("one")
        (home / "settings.toml").write_text(
            f"[intake]\nsettle_seconds = 0.1\nrescan_seconds = 1\n[workers]\ncount = {workers}\n"
            '[outputs]\nannotated = "none"\n'
        )
        self.process = subprocess.Popen(
            [PROCESSOR, "run", "--json"],
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def promote(self, name: str) -> None:
        before = datetime.now(UTC)
        name_current(self.archive, name)
        self.promotions.append((name, before, datetime.now(UTC)))

    def query(self, sql: str) -> Rows:
        # Waits for the tables, which the daemon makes first.
        deadline = time.monotonic() + 60
        while True:
            try:
                with sqlite3.connect(f"file:{self.home}/results/results.db?mode=ro", uri=True) as database:
                    return database.execute(sql).fetchall()
            except sqlite3.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def wait_for(self, sql: str, wanted: object) -> None:
        deadline = time.monotonic() + 240
        while (found := self.query(sql)[0][0]) != wanted:
            assert time.monotonic() < deadline, f"{sql}: {found} instead of {wanted}"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def wait_for_done(self, at_least: int) -> None:
        self.wait_for(f"SELECT COUNT(*) >= {at_least} FROM scans WHERE state = 'done'", 1)

    def end(self) -> tuple[dict[str, Any], str]:
        os.killpg(self.process.pid, signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == Exit.DONE, err
        assert "Traceback" not in err
        counts: dict[str, Any] = json.loads(out)
        return counts, err

    def reigns(self) -> list[tuple[str, datetime, datetime]]:
        """Which model should read from when to when; a damaged one never does, and the one before stays."""
        found = []
        ends = [after for _, _, after in self.promotions[1:]] + [datetime.now(UTC)]
        good = ""
        for (name, begin, _), end in zip(self.promotions, ends, strict=True):
            good = name if name not in {"damaged", "hollow"} else good
            found.append((good, begin, end))
        return found

    def misread(self) -> Rows:
        """Scans stamped with a model that was not current between their arrival and their end."""
        reigns = self.reigns()
        rows = self.query("SELECT file, model, queued_at, finished_at FROM scans")
        return [row for row in rows if row[1] not in _models_between(reigns, _utc(row[2]), _utc(row[3]))]


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _models_between(reigns: list[tuple[str, datetime, datetime]], begin: datetime, end: datetime) -> set[str]:
    return {name for name, first, last in reigns if first <= end and begin <= last}


@pytest.fixture
def services(home: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(workers: int = 1) -> Service:
        started.append(Service(home, workers))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            os.killpg(service.process.pid, signal.SIGKILL)
        service.process.communicate()


def test_ten_promotions_while_the_daemon_reads(
    services: Callable[..., Service], page: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    service = services(workers=1)
    settings = load(service.home / "settings.toml")
    number = 0
    for name in ("two", "three", "one", "damaged", "two", "three", "hollow", "one", "two", "three"):
        for _ in range(2):
            number += 1
            drop(service.home / "inbox", f"{number}.tif", a_scan(page, number, pages=2))
        service.wait_for_done(number - 1)
        service.promote(name)
        if name in {"damaged", "hollow"}:
            service.wait_for("SELECT COUNT(*) FROM refused_models", 1)
            counts = told_by_status(settings)
            assert counts["refused_model"]["name"] == name
            assert counts["model"] == counts["refused_model"]["in_use"]
            assert f"/models_archive/{name}" in counts["refused_model"]["reason"]
            status(settings, as_json=False)
            assert f"refused       {name}, since " in capsys.readouterr().out
    drop(service.home / "inbox", "last.tif", a_scan(page, 999))
    service.wait_for_done(number + 1)
    counts, err = service.end()
    assert (counts["seen"], counts["done"], counts["pages"]) == (21, 21, 41)
    assert counts["model"] == "three"
    assert service.misread() == []
    used = service.query("SELECT model, COUNT(*) FROM scans GROUP BY model ORDER BY model")
    assert [name for name, _ in used] == ["one", "three", "two"]
    assert service.query("SELECT model FROM scans WHERE file = 'last.tif'") == [("three",)]
    assert service.query("SELECT name FROM models ORDER BY name") == [("one",), ("three",), ("two",)]
    read = service.query("SELECT digits, COUNT(*) FROM readings GROUP BY digits ORDER BY digits")
    assert read == [(digit, 41) for digit in "3456"]
    assert Counter(line.split(" is refused")[0] for line in err.splitlines() if "refused" in line) == {
        "The model damaged": 1,
        "The model hollow": 1,
    }
    counts = told_by_status(settings)
    assert (counts["model"], counts["refused_model"]) == ("three", None)


def told_by_status(settings: LoadedSettings) -> dict[str, Any]:
    database = open_database(settings.database_url, create=False)
    try:
        return counted(database, settings)
    finally:
        database.dispose()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_promotions_at_any_moment(
    services: Callable[..., Service], page: NDArray[np.uint8]
) -> None:
    service = services(workers=2)
    dice = random.Random(7)
    names = ["one", "two", "three", "damaged", "hollow", "nowhere"]
    count = 0
    for _ in range(200):
        for _ in range(dice.randrange(4)):
            count += 1
            drop(service.home / "inbox", f"{count}.tif", a_scan(page, count, pages=dice.choice((1, 1, 3))))
        # The promotions must meet scans under way, however slow the machine is.
        service.wait_for_done(count - 6)
        name = dice.choice(names)
        if name == "nowhere":
            # One that may still be reading is taken out of the archive, and put back. Not the one promoted
            # last: before it is taken over, it would be refused rightly.
            last = next(good for good, _, _ in reversed(service.reigns()))
            victim = service.archive / dice.choice([good for good in names[:3] if good != last])
            victim.rename(victim.with_name(".away"))
            time.sleep(dice.random() / 4)
            victim.with_name(".away").rename(victim)
        else:
            service.promote(name)
        time.sleep(dice.random() / 2)
    service.promote("two")
    service.wait_for_done(count)
    service.wait_for("SELECT COUNT(*) FROM refused_models", 0)
    counts, _ = service.end()
    assert (counts["seen"], counts["done"], counts["model"]) == (count, count, "two")
    wrong = service.misread()
    assert wrong == []


def test_a_model_at_the_start_that_only_loading_finds_out_is_exit_4(
    home: Path, processor: Command, page: NDArray[np.uint8]
) -> None:
    archive = home / "models_archive"
    fill_with_nan(copy_model(archive, "hollow"))
    name_current(archive, "hollow")
    drop(home / "inbox", "a.tif", a_scan(page, 1))
    done = processor("run", "--once", "--workers", "1")
    assert done.returncode == Exit.NO_MODEL
    assert str(archive / "hollow") in done.stderr
    assert "Traceback" not in done.stderr
    assert (home / "inbox" / "a.tif").exists()
