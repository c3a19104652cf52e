"""Corrections: what a person changed is cut out of the original scan under the label they gave it."""

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import insert, update

from processor.errors import BadDatabase
from processor.intake import queue
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.prediction.strip_reader import StripReader
from processor.records import Box, DigitReading, NumberReading, Status
from processor.results.database import open_database, writing
from processor.results.originals import kept_name
from processor.results.schema import corrections, digits, numbers
from processor.settings import load as load_settings
from tests.sample_readings import a_page, a_result
from tests.test_alignment import ARCHIVE, strip
from training.corrections import corrected_digits, corrected_strips
from training.inks import NONE, own_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODEL = find_model(ARCHIVE, "current").path


class Project:
    """A project whose one scan holds the handwritten number 4096, which was read as 4095."""

    def __init__(self, home: Path, *, lying: bool = False) -> None:
        """`lying`: the page was scanned turned clockwise, so that its lines run from top to bottom."""
        self.lying = lying
        self.settings = load_settings(flags={"paths.models_archive": str(ARCHIVE)})
        self.image = strip("4096")
        self.boxes = self._boxes()
        if lying:
            high = self.image.shape[0]
            self.image = np.ascontiguousarray(np.rot90(self.image, -1))
            self.boxes = [Box(high - b.bottom, b.x, b.height, b.width) for b in self.boxes]
        stream = io.BytesIO()
        Image.fromarray(self.image).save(stream, "PNG")
        self.content = stream.getvalue()
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        self.inbox = home / "inbox"
        self.database = open_database(self._url())
        self._store()

    def _url(self) -> str:
        self.settings.results.mkdir(parents=True, exist_ok=True)
        return self.settings.database_url

    def _boxes(self) -> list[Box]:
        """Where the digits were drawn: runs of columns with ink."""
        ink = (self.image < 200).any(axis=0).astype(int)
        edges = np.flatnonzero(np.diff(np.pad(ink, 1)))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        assert len(runs) == 4
        return [Box(left, 18, right - left, 44) for left, right in runs]

    def _store(self) -> None:
        read = [
            DigitReading(digit=d, confidence=0.5, status=Status.REVIEW, box=box)
            for d, box in zip("4095", self.boxes, strict=True)
        ]
        number = NumberReading(
            text="4095", confidence=0.4, status=Status.REVIEW, box=Box.around(self.boxes), digits=tuple(read)
        )
        page = a_page(number)
        height, width = self.image.shape
        fields = {name: getattr(page, name) for name in ("page", "dpi", "numbers", "rejected")}
        page = type(page)(**fields, width=width, height=height, skew_degrees=90.0 if self.lying else 0.8)
        queue.enqueue(
            self.database,
            source=self.inbox,
            file="form.png",
            sha256=self.sha256,
            bytes=len(self.content),
            now=NOON,
        )
        job = queue.claim(self.database, NOON, 60)
        assert job is not None
        queue.finish(self.database, job, a_result(page), NOON)
        self.original = self.settings.results / "processed" / kept_name("form.png", self.sha256)
        self.original.parent.mkdir(parents=True)
        self.original.write_bytes(self.content)

    def correct(
        self, was: str, now: str | None, *, digit: int | None = None, number: int | None = None, hour: int = 0
    ) -> None:
        """A row as the review page writes it; the reading that it names becomes `corrected`."""
        with writing(self.database) as connection:
            row = {"digit_id": digit, "number_id": number, "was": was, "now": now, "by": "somebody"}
            connection.execute(insert(corrections), {**row, "at": NOON + timedelta(hours=hour)})
            for table, place in ((digits, digit), (numbers, number)):
                if place is not None:
                    corrected = update(table).where(table.c.id == place).values(status="corrected")
                    connection.execute(corrected)


@pytest.fixture
def project(home: Path) -> Project:
    return Project(home)


def corrected(project: Project) -> tuple[list[int], list[str]]:
    heard: list[str] = []
    inks = corrected_digits(project.settings, notice=heard.append)
    assert len(inks) == len(inks.groups) == len(inks.labels)
    return inks.labels.tolist(), heard


def test_a_corrected_digit_is_cut_out_under_its_new_label(project: Project) -> None:
    project.correct("5", "6", digit=4)
    inks = corrected_digits(project.settings)
    assert inks.labels.tolist() == [6]
    box = project.boxes[3]
    (image,) = inks.images
    # Strips are cut out on a grid of two or three times their size, with a stroke's edge around the box.
    _, _, width, height = cv2.boundingRect(own_of(image))
    assert height / width == pytest.approx(box.height / box.width, rel=0.15)
    assert own_of(image).max() > 200


def test_digits_of_a_page_on_its_side_are_learned_upright(home: Path) -> None:
    project = Project(home, lying=True)
    project.correct("5", "6", digit=4)
    (lying,) = corrected_digits(project.settings).images
    box = project.boxes[3]
    _, _, width, height = cv2.boundingRect(own_of(lying))
    assert height / width == pytest.approx(box.width / box.height, rel=0.15)


def test_the_model_reads_the_cut_out_as_what_was_drawn(project: Project) -> None:
    from processor.prediction.glyphs import batch

    project.correct("5", "6", digit=4)
    inks = corrected_digits(project.settings)
    seen = Classifier.load(MODEL).probabilities(batch(inks.images))
    assert seen[0, :NONE].argmax() == 6


def test_the_last_correction_of_a_digit_counts(project: Project) -> None:
    project.correct("8", "6", digit=4, hour=2)
    project.correct("5", "8", digit=4, hour=1)
    assert corrected(project) == ([6], [])


def test_a_correction_that_changes_nothing_takes_the_earlier_one_back(project: Project) -> None:
    project.correct("5", "6", digit=4, hour=1)
    project.correct("5", "5", digit=4, hour=2)
    assert corrected(project) == ([], [])


@pytest.mark.parametrize("now", ["", None, "none", " "])
def test_no_digit_is_labelled_none(project: Project, now: str | None) -> None:
    project.correct("5", now, digit=4)
    assert corrected(project) == ([NONE], [])


def test_a_reading_that_is_not_corrected_any_more_is_left_alone(project: Project) -> None:
    project.correct("5", "6", digit=4)
    with writing(project.database) as connection:
        connection.execute(update(digits).values(status="accepted"))
    assert corrected(project) == ([], [])


def test_a_digit_corrected_to_a_word_is_named(project: Project) -> None:
    project.correct("5", "12", digit=4)
    labels, heard = corrected(project)
    assert labels == []
    assert len(heard) == 1
    assert "'12'" in heard[0]


def test_a_corrected_number_gives_its_digits_in_order(project: Project) -> None:
    project.correct("4095", "40,96", number=1)
    assert corrected(project) == ([4, 0, 9, 6], [])


def test_a_number_that_is_none_gives_its_boxes_as_no_digits(project: Project) -> None:
    project.correct("4095", "", number=1)
    assert corrected(project) == ([NONE] * 4, [])


def test_the_later_of_a_digit_s_and_its_number_s_correction_counts(project: Project) -> None:
    project.correct("5", "1", digit=4, hour=1)
    project.correct("4091", "4096", number=1, hour=2)
    assert corrected(project) == ([4, 0, 9, 6], [])


def test_miscounted_digits_are_aligned_within_their_number(project: Project) -> None:
    with writing(project.database) as connection:
        connection.execute(digits.delete().where(digits.c.id == 2))
    project.correct("495", "4096", number=1)
    assert corrected(project) == ([4, 0, 9, 6], [])


def test_a_number_that_is_not_in_the_ink_is_named(project: Project) -> None:
    project.correct("4095", "1" * 30, number=1)
    labels, heard = corrected(project)
    assert labels == []
    assert "cannot be made out" in heard[0]


def test_an_original_that_stayed_in_its_folder_is_found_there(project: Project) -> None:
    project.correct("5", "6", digit=4)
    project.original.rename(project.inbox / "form.png")
    assert corrected(project) == ([6], [])


@pytest.mark.parametrize("content", [None, b"another scan"])
def test_a_missing_or_changed_original_is_named_and_counted(project: Project, content: bytes | None) -> None:
    project.correct("5", "6", digit=4)
    project.correct("0", "8", digit=2)
    project.original.unlink()
    if content is not None:
        project.original.write_bytes(content)
    labels, heard = corrected(project)
    assert labels == []
    assert len(heard) == 1
    assert heard[0].startswith("form.png: 2 corrections are lost")


def test_a_correction_whose_scan_was_read_anew_is_named(project: Project) -> None:
    project.correct("5", "6", digit=4)
    with writing(project.database) as connection:
        connection.execute(digits.delete())
    labels, heard = corrected(project)
    assert labels == []
    assert "read anew" in heard[0]


def test_no_corrections_are_no_samples(project: Project) -> None:
    assert corrected(project) == ([], [])


def test_without_a_database_the_remedy_is_named(home: Path) -> None:
    assert home.is_dir()
    with pytest.raises(BadDatabase, match="no database"):
        corrected_digits(load_settings())


@pytest.mark.parametrize("lying", [False, True])
def test_a_number_corrected_as_a_whole_is_a_strip_that_judges_second_readers(home: Path, lying: bool) -> None:
    project = Project(home, lying=lying)
    project.correct("4095", "4.096", number=1)
    found = corrected_strips(project.settings, "corrections")
    assert (found.name, found.files, found.digits) == ("corrections", ("form.png",), ("4096",))
    (reading,) = StripReader.load(MODEL).read(found.strips)
    assert len(reading.digits) == 4
    assert reading.digits.startswith("409")


def test_digits_and_what_is_no_number_are_no_strips(project: Project) -> None:
    project.correct("5", "6", digit=4)
    assert len(corrected_strips(project.settings, "corrections")) == 0
    project.correct("4095", None, number=1, hour=1)
    assert len(corrected_strips(project.settings, "corrections")) == 0
