"""Trials of any page, and pages of letters: they show what they say, and are counted right."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import handwriting
from benchmarks.any_page import PENCIL, TRIALS, Trial, save_trial
from benchmarks.layouts import A4, SIZES_MM
from benchmarks.letters import ALPHABETS, COLUMNS, ROWS, accepted_digits, pages
from benchmarks.pages import render
from processor.intake.queue import claim, enqueue, finish
from processor.records import Status
from processor.results.database import open_database
from tests.sample_readings import a_blob, a_number, a_page, a_result

HANDS = handwriting.load(Path(__file__).parent / "data" / "mnist-sample.npz")


def test_a_photo_has_about_as_many_megapixels_as_it_says() -> None:
    trial = next(trial for trial in TRIALS if trial.name == "photo, 1 megapixel")
    for kind in trial.kinds:
        pixels = trial.page(kind, HANDS, 1).pixels
        assert pixels.shape[0] * pixels.shape[1] == pytest.approx(1e6, rel=0.2)


def test_scans_go_from_75_to_1200_dpi_and_photos_to_50_megapixels() -> None:
    assert {75, 150, 300, 600, 1200} <= {trial.dpi for trial in TRIALS}
    assert {1, 12, 50} <= {trial.megapixels for trial in TRIALS}
    assert {0, 1, 2, 3} <= {trial.quarter_turns for trial in TRIALS}
    assert {-15, 15} <= {trial.look.skew_degrees for trial in TRIALS}


def test_a_turned_page_holds_the_same_numbers() -> None:
    upright, turned = (Trial(name="", dpi=75, quarter_turns=n).page("tally", HANDS, 1) for n in (0, 1))
    assert turned.digits == upright.digits
    assert np.array_equal(turned.pixels, np.rot90(upright.pixels, -1))


def test_digits_on_one_page_are_12_to_400_pixels_high() -> None:
    """At 300 dpi; drawn here at half of that."""
    page = Trial(name="", dpi=150).page("sizes", HANDS, 1)
    heights = [2 * max(box.height for box in number.digit_boxes) for number in page.numbers]
    assert min(heights) == pytest.approx(12, abs=3)
    assert max(heights) == pytest.approx(400, rel=0.1)
    bottom = 12 + sum(2.0 * height for height in SIZES_MM)
    assert bottom < A4[1]


def test_a_pencil_is_gray_and_pressed_unevenly() -> None:
    trial = Trial(name="", dpi=75, look=PENCIL)
    pencil, pen = trial.page("tally", HANDS, 1), render("tally", HANDS, 1, dpi=75)
    darkest = [
        np.array(
            [page.pixels[b.y : b.bottom, b.x : b.right].min() for n in pen.numbers for b in n.digit_boxes]
        )
        for page in (pencil, pen)
    ]
    assert np.median(darkest[0]) > np.median(darkest[1]) + 60
    assert darkest[0].std() > 1.5 * darkest[1].std()


def test_a_trials_pages_and_their_numbers_are_written(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    trial = Trial(name="small", dpi=75, kinds=("tally", "tally"))
    save_trial(trial, HANDS, "03", tmp_path / "scans", tmp_path / "truth")
    rows = (tmp_path / "truth" / "truth.csv").read_text("utf-8").splitlines()
    files = sorted(file.name for file in (tmp_path / "scans").iterdir())
    assert [row.split(",")[0] for row in rows[1:]] == files == ["03-0-tally.png", "03-1-tally.png"]
    with Image.open(tmp_path / "scans" / files[0]) as image:
        assert image.size[0] > 400
    assert len({row.split(",")[1] for row in rows}) == 3


def test_names_of_trials_are_unlike() -> None:
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)


# Letters


def test_every_letter_stands_once_on_a_page() -> None:
    each = COLUMNS * ROWS
    images = [np.full((105, 105), 255, np.uint8) for _ in range(each + 2)]
    for number, image in enumerate(images):
        image[50:52, : number + 1] = 0
    done = pages(images)
    assert len(done) == 2
    assert [int((page == 0).sum()) for page in done][1] < 2 * 2 * (each + 2)
    assert sum(int((page == 0).sum()) for page in done) == sum(int((image == 0).sum()) for image in images)


def test_lookalikes_are_letters_of_their_alphabet() -> None:
    for name, letters, lookalikes in ALPHABETS:
        assert len(set(letters)) == len(letters) == {"Latin": 26, "Greek": 24}.get(name, 47)
        assert lookalikes < set(letters)
        assert len(lookalikes) < 0.4 * len(letters)


def test_only_digits_that_nobody_looks_at_are_counted(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    engine = open_database(f"sqlite:///{tmp_path / 'results.db'}")
    assert accepted_digits(tmp_path / "results.db") == 0
    page = a_page(a_number("12"), a_number("345", Status.REVIEW), a_number("6"), rejected=(a_blob(),))
    enqueue(engine, source=tmp_path, file="a.png", sha256="a" * 64, bytes=1, now=now)
    job = claim(engine, now, 60)
    assert job is not None
    finish(engine, job, a_result(page), now)
    engine.dispose()
    assert accepted_digits(tmp_path / "results.db") == 3
