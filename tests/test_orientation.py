"""Which way up a page is: clear evidence turns it, and nothing else does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import handwriting
from benchmarks.pages import RenderedPage, render
from processor import settings as product_settings
from processor.orientation import quarter_turns
from processor.pages.cleaning import clean
from processor.pipeline import Reader, load_reader, read_page
from processor.records import CutOut, Gray, Page
from processor.segmentation.blobs import find_blobs

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"

Probabilities = tuple[NDArray[np.float32], NDArray[np.float32]]


def seen_as(likeness: Sequence[float]) -> Probabilities:
    """What a classifier gives for marks that are a 5 with these probabilities, and else "none"."""
    table = np.zeros((len(likeness), 11), np.float32)
    table[:, 5], table[:, -1] = likeness, 1 - np.array(likeness)
    return np.zeros((len(likeness), 28, 28), np.float32), table


def nothing(cut_outs: Sequence[CutOut]) -> Probabilities:
    return seen_as([0.0] * len(cut_outs))


def head_heavy(cut_outs: Sequence[CutOut]) -> Probabilities:
    """Knows digits by more ink in the upper half than in the lower."""
    own = [image if image.ndim == 2 else image[0] for image in cut_outs]
    halves = [(image[: len(image) // 2].sum(), image[-(len(image) // 2) :].sum()) for image in own]
    return seen_as([0.99 if upper > 1.2 * lower else 0.01 for upper, lower in halves])


def foot_heavy(cut_outs: Sequence[CutOut]) -> Probabilities:
    _, table = head_heavy([np.ascontiguousarray(np.flip(image, axis=-2)) for image in cut_outs])
    return np.zeros((len(table), 28, 28), np.float32), table


def unasked(cut_outs: Sequence[CutOut]) -> Probabilities:
    raise AssertionError(f"the network was asked about {len(cut_outs)} marks")


def written(heights: Sequence[int], *, lines: int = 4, head: int = 0) -> Gray:
    """(H, W) ink: lines of bars that stand on a common foot, 12 px wide, their heads wider by `head`."""
    ink = np.zeros((80 * lines + 40, 24 * len(heights) + 40), np.uint8)
    for foot in range(80, 80 * lines + 1, 80):
        for place, height in enumerate(heights):
            x = 20 + 24 * place
            ink[foot - height : foot, x : x + 10] = 255
            ink[foot - height : foot - height // 2, x - head // 2 : x + 10 + head // 2] = 255
    return ink


LETTERS = [20, 30, 20, 20, 30, 20, 30, 20, 20, 30]
DIGITS = [26] * 10


def turns_of(ink: Gray, turned: int, classify: object) -> int:
    """What is said of `ink` after it was turned clockwise by so many quarters."""
    lying = np.ascontiguousarray(np.rot90(ink, -turned))
    return quarter_turns(find_blobs(lying > 0, 3), lying, classify)  # type: ignore[arg-type]


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_lines_whose_feet_are_level_stand_upright(turned: int) -> None:
    assert (turned + turns_of(written(LETTERS), turned, nothing)) % 4 == 0


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_digits_that_are_legible_one_way_only_stand_upright(turned: int) -> None:
    assert (turned + turns_of(written(DIGITS, head=6), turned, head_heavy)) % 4 == 0


def test_the_network_is_not_asked_where_the_lines_stand() -> None:
    assert turns_of(written(LETTERS), 0, unasked) == 0


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_marks_that_are_alike_both_ways_stay(turned: int) -> None:
    assert turns_of(written(DIGITS), turned, nothing) == 0


def test_lines_and_digits_that_disagree_leave_the_page_as_it_is() -> None:
    assert turns_of(written(LETTERS, head=6), 2, nothing) == 2
    assert turns_of(written(LETTERS, head=6), 2, foot_heavy) == 0


def test_what_is_legible_as_it_comes_does_not_lie_on_its_side() -> None:
    wide = np.ascontiguousarray(np.rot90(written(LETTERS)))
    assert quarter_turns(find_blobs(wide > 0, 3), wide, nothing) == 1
    legible = [seen_as([0.99] * 40)]
    assert quarter_turns(find_blobs(wide > 0, 3), wide, lambda _: legible[0]) == 0


def test_a_few_digits_among_letters_do_not_turn_a_page() -> None:
    def some(cut_outs: Sequence[CutOut]) -> Probabilities:
        legible = head_heavy(cut_outs)[1][:, 5]
        return seen_as([float(p) if i % 2 else 0.0 for i, p in enumerate(legible)])

    assert turns_of(written(DIGITS, head=6), 2, head_heavy) == 2
    assert turns_of(written(DIGITS, head=6), 2, some) == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_page_of_few_marks_stays(count: int) -> None:
    ink = written(LETTERS[:5], lines=count) if count else np.zeros((90, 90), np.uint8)
    assert turns_of(ink, 2, head_heavy) == 0


def test_specks_and_long_lines_have_no_say() -> None:
    ink = np.ascontiguousarray(np.rot90(written(LETTERS), 2))
    ink[5::9, 3] = 255
    ink[2:4, :] = 255
    assert quarter_turns(find_blobs(ink > 0, 1), ink, nothing) == 2


# Real pages


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader(product_settings.load())


def lying(sheet: RenderedPage, turned: int) -> Page:
    return Page(number=1, pixels=np.ascontiguousarray(np.rot90(sheet.pixels, -turned)), dpi=None)


@pytest.mark.parametrize("kind", ["form", "tally", "free"])
def test_rendered_pages_are_put_upright(kind: str, reader: Reader) -> None:
    sheet = render(kind, handwriting.load(SAMPLE), 2, dpi=100)
    for turned in (0, 1, 2, 3):
        paper = clean(lying(sheet, turned))
        turns = quarter_turns(find_blobs(paper.mask, 4), paper.ink, reader.classify)
        assert (turned + turns) % 4 == 0, f"turned by {turned} quarters"


@pytest.mark.parametrize("turned", [1, 2])
def test_a_turned_page_is_read_with_boxes_on_the_page_as_it_came(turned: int, reader: Reader) -> None:
    sheet = render("free", handwriting.load(SAMPLE), 3, dpi=100)
    page = lying(sheet, turned)
    reading = read_page(page, reader)
    assert reading.skew_degrees == pytest.approx({1: 90, 2: 180}[turned], abs=1)
    assert (reading.width, reading.height) == (page.width, page.height)
    placed = 0
    for true in sheet.numbers:
        x, y = true.box.centre
        x, y = {1: (page.width - y, x), 2: (page.width - x, page.height - y)}[turned]
        inside = (n for n in reading.numbers if n.box.x < x < n.box.right and n.box.y < y < n.box.bottom)
        placed += any(n.digits_only == true.digits for n in inside)
    assert placed >= 0.85 * len(sheet.numbers)
