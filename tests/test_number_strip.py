"""The picture of one number: its piece of the page above, what was read below."""

import numpy as np
import pytest

from processor.records import Page, Status
from processor.results.lettering import SHADES
from processor.results.number_strip import DIGIT_PIXELS, NARROWEST, Fields, number_strip


def page(*shape: int) -> Page:
    """Dark ink where the number stands, on gray paper."""
    pixels = np.full(shape, 200, np.uint8)
    pixels[100:140, 100:190] = 40
    return Page(number=1, pixels=pixels, dpi=None)


def number(x: int = 100, y: int = 100, width: int = 90, height: int = 40) -> Fields:
    place = {"x": x, "y": y, "width": width, "height": height}
    return {"position": 3, "text": "1,5", "confidence": 0.97, "status": "accepted", **place}


def digit(x: int, name: str = "1", status: Status = Status.ACCEPTED, reason: str | None = None) -> Fields:
    guesses = {"digit": name, "confidence": 0.98, "second": "7", "second_confidence": 0.01}
    place = {"x": x, "y": 100, "width": 40, "height": 40}
    return {**guesses, "third": None, "third_confidence": None, "status": status, "reason": reason, **place}


@pytest.mark.parametrize("shape", [(300, 400), (300, 400, 3)])
def test_a_number_stands_above_what_was_read(shape: tuple[int, ...]) -> None:
    picture = np.asarray(number_strip(page(*shape), number(), [digit(100), digit(150, "5")]))
    assert picture.shape[1] >= NARROWEST
    assert picture.shape[0] > DIGIT_PIXELS
    below = picture[-40:]
    assert (below == 255).all(axis=2).mean() > 0.7
    assert (below < 100).all(axis=2).any()
    dark = (picture[:, :, 0] == 40).any(axis=1)
    assert dark.sum() == pytest.approx(DIGIT_PIXELS, abs=10)


def test_every_digit_is_framed_in_the_colour_of_its_status() -> None:
    digits = [digit(100), digit(150, "5", Status.REVIEW, "uncertain: confidence 0.5, limit 0.9")]
    picture = np.asarray(number_strip(page(300, 400), number(), digits))
    for status in (Status.ACCEPTED, Status.REVIEW):
        assert (picture == SHADES[status].fill).all(axis=2).sum() > DIGIT_PIXELS


def test_every_digit_has_a_line() -> None:
    one = number_strip(page(300, 400), number(), [digit(100)])
    two = number_strip(page(300, 400), number(), [digit(100), digit(150)])
    assert 10 < two.height - one.height < 40


@pytest.mark.parametrize("place", [(0, 0, 30, 40), (370, 260, 30, 40), (0, 0, 400, 300), (399, 299, 1, 1)])
def test_numbers_at_the_edge_of_the_page(place: tuple[int, int, int, int]) -> None:
    assert number_strip(page(300, 400), number(*place), []).height > 20
