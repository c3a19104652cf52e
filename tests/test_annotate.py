"""Annotated pages and contact sheets, on drawn pages: what is marked, what stays uncovered, what is said."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from processor.records import (
    Box,
    Cause,
    DigitReading,
    NumberReading,
    Page,
    PageReading,
    Rejection,
    Status,
)
from processor.results.annotate import annotate, contact_sheet
from processor.results.canvas import Canvas
from processor.results.contact_sheet import CELL_PIXELS, COLUMNS, MOST_CUTOUTS
from processor.results.lettering import (
    BLACK,
    SHADES,
    WHITE,
    Colour,
    Run,
    percent,
    short_reason,
    shorten,
    stacked,
    tag,
    text_width,
)

GLYPH = np.zeros((28, 28), np.float32)
GLYPH[6:22, 12:16] = 1.0


def digit(char: str | None, box: Box, status: Status = Status.ACCEPTED, **more: object) -> DigitReading:
    values: dict[str, object] = {"confidence": 0.987, "glyph": GLYPH, **more}
    return DigitReading(digit=char, box=box, status=status, **values)  # type: ignore[arg-type]


def number(text: str, x: int, y: int, height: int, *, pitch: float = 1.0, **more: object) -> NumberReading:
    """A number whose digits are `height` high and stand `pitch` heights apart."""
    digits = tuple(
        digit(char, Box(x + round(i * pitch * height), y, round(0.6 * height), height))
        for i, char in enumerate(text)
    )
    values: dict[str, object] = {"confidence": 0.98, "status": Status.ACCEPTED, **more}
    return NumberReading(
        text=text,
        box=Box.around(d.box for d in digits),
        digits=digits,
        **values,  # type: ignore[arg-type]
    )


def rejected(box: Box, cause: Cause = Cause.SPECK, **more: object) -> DigitReading:
    reason = str(Rejection(cause, "height", 3, 12))
    return digit(None, box, Status.REJECTED, confidence=0.0, reason=reason, **more)


def reading_of(
    page: Page, numbers: Sequence[NumberReading] = (), blobs: Sequence[DigitReading] = ()
) -> PageReading:
    return PageReading(
        page=page.number,
        width=page.width,
        height=page.height,
        dpi=page.dpi,
        skew_degrees=0.0,
        numbers=tuple(numbers),
        rejected=tuple(blobs),
    )


def page_with(numbers: Sequence[NumberReading], width: int, height: int) -> Page:
    """White paper with a dark cross in every digit's box."""
    pixels = np.full((height, width), 250, np.uint8)
    for box in (d.box for n in numbers for d in n.digits):
        pixels[box.y : box.bottom, box.x + box.width // 2 - 2 : box.x + box.width // 2 + 2] = 20
        pixels[box.y + box.height // 2 : box.y + box.height // 2 + 4, box.x : box.right] = 20
    return Page(number=1, pixels=pixels, dpi=None)


def drawn(page: Page, reading: PageReading) -> NDArray[np.uint8]:
    return np.asarray(annotate(page, reading))


def shows(image: NDArray[np.uint8], text: str, size: int, ink: Colour = BLACK, paper: Colour = WHITE) -> bool:
    """Whether the text stands somewhere on the image, pixel for pixel."""
    label = tag([Run(text, size)], ink, paper, margin=0)
    height, width = label.shape[:2]
    there = np.argwhere((image == ink).all(axis=2))
    if not len(there):
        return False
    (top, left), (bottom, right) = np.maximum(0, there.min(axis=0) - [height, width]), there.max(axis=0)
    part = np.ascontiguousarray(image[top : bottom + height, left : right + width])
    if height > part.shape[0] or width > part.shape[1]:
        return False
    difference = cv2.matchTemplate(part[:, :, 1], label[:, :, 1], cv2.TM_SQDIFF)
    # The correlation is computed by FFT, so an exact hit is only nearly 0: look at the best ones themselves.
    best = np.argwhere(difference <= difference.min() + 16)[:20]
    return any(np.array_equal(part[y : y + height, x : x + width], label) for y, x in best)


def says(image: NDArray[np.uint8], text: str) -> bool:
    """Whether the text stands in the legend."""
    return shows(image, text, 18)


def labelled(
    image: NDArray[np.uint8],
    text: str,
    status: Status = Status.ACCEPTED,
    sizes: Sequence[int] = range(11, 41),
) -> bool:
    """Whether the number's text stands in its status's colours, in any of the sizes."""
    return any(shows(image, text, size, SHADES[status].text, SHADES[status].fill) for size in sizes)


# The page


def test_empty_page_is_shown_whole_above_a_legend_that_says_so() -> None:
    page = Page(
        number=3,
        pixels=np.arange(1200 * 1500, dtype=np.uint32).reshape(1500, 1200).astype(np.uint8),
        dpi=None,
    )
    image = drawn(page, reading_of(page))
    assert np.array_equal(image[:1500], np.repeat(page.pixels[:, :, None], 3, axis=2))
    assert says(image, "page 3: no numbers found")
    assert 1500 < image.shape[0] < 1560


@pytest.mark.parametrize(("width", "height"), [(2480, 3508), (4032, 3024), (10000, 7000)])
def test_large_page_is_reduced(width: int, height: int) -> None:
    page = Page(number=1, pixels=np.full((height, width, 3), 255, np.uint8), dpi=300)
    image = annotate(page, reading_of(page))
    assert max(image.width, image.height - 40) <= 2000
    assert image.width / width == pytest.approx(2000 / max(width, height), rel=0.01)


@pytest.mark.parametrize(("width", "height"), [(300, 400), (600, 361), (108, 44)])
def test_small_page_is_enlarged_by_a_whole_factor(width: int, height: int) -> None:
    page = Page(number=1, pixels=np.full((height, width), 255, np.uint8), dpi=None)
    image = annotate(page, reading_of(page))
    assert image.width % width == 0
    assert image.width >= 2 * width
    assert max(image.size) <= 2060


def test_narrow_strip_becomes_wide_enough_for_its_legend() -> None:
    numbers = [number(str(i), 20, 20 + 65 * i, 40) for i in range(10)]
    page = page_with(numbers, 74, 685)
    image = drawn(page, reading_of(page, numbers))
    assert image.shape[1] >= 360
    assert says(image, "page 1: 10 digits in 10 numbers")
    assert all(labelled(image, str(i), sizes=[40]) for i in range(10))


def test_gray_and_rgb_pages_look_alike() -> None:
    numbers = [number("42", 300, 300, 60)]
    gray = page_with(numbers, 1200, 900)
    rgb = Page(number=1, pixels=np.repeat(gray.pixels[:, :, None], 3, axis=2), dpi=None)
    assert np.array_equal(drawn(gray, reading_of(gray, numbers)), drawn(rgb, reading_of(rgb, numbers)))


def test_the_page_itself_stays_as_it_was() -> None:
    numbers = [number("42", 300, 300, 60)]
    page = page_with(numbers, 1200, 900)
    before = page.pixels.copy()
    annotate(page, reading_of(page, numbers))
    assert np.array_equal(page.pixels, before)


# Marks


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REVIEW, Status.CORRECTED])
def test_number_is_outlined_and_named_in_its_status_colour(status: Status) -> None:
    numbers = [number("7", 500, 400, 80, status=status)]
    page = page_with(numbers, 1200, 900)
    image = drawn(page, reading_of(page, numbers))
    assert tuple(image[440, 497]) == SHADES[status].fill
    assert tuple(image[397, 520]) == SHADES[status].fill
    assert labelled(image, "7", status)


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REVIEW, Status.CORRECTED])
def test_each_digit_is_boxed_in_its_own_colour(status: Status) -> None:
    sure, other = digit("1", Box(500, 400, 40, 80)), digit("2", Box(600, 400, 40, 80), status)
    whole = NumberReading(
        text="12",
        confidence=0.6,
        status=Status.REVIEW,
        box=Box.around([sure.box, other.box]),
        digits=(sure, other),
    )
    page = page_with([whole], 1200, 900)
    image = drawn(page, reading_of(page, [whole]))
    assert tuple(image[430, 500]) == SHADES[Status.ACCEPTED].fill
    assert tuple(image[430, 600]) == SHADES[status].fill
    # What the legend counts are numbers, as what stands out on the page are their frames.
    assert says(image, "review 1")


def test_boxes_follow_the_page_when_it_is_reduced() -> None:
    numbers = [number("5", 1200, 2000, 120)]
    page = page_with(numbers, 2480, 3508)
    image = drawn(page, reading_of(page, numbers))
    blue = np.argwhere((image[:1990] == SHADES[Status.ACCEPTED].fill).all(axis=2))
    scale = 2000 / 3508
    assert blue[:, 1].min() == pytest.approx(1200 * scale, abs=4)
    assert blue[:, 0].max() == pytest.approx(2120 * scale, abs=4)


def test_roomy_number_shows_digits_above_and_text_below() -> None:
    numbers = [number("4072", 300, 300, 60, pitch=1.6)]
    page = page_with(numbers, 1400, 900)
    image = drawn(page, reading_of(page, numbers))
    assert not labelled(image[:300], "4072")
    assert labelled(image[360:], "4072")
    ink = tuple(round(0.7 * part) for part in SHADES[Status.ACCEPTED].fill)
    assert all(any(shows(image[:300], char, size, ink) for size in range(11, 31)) for char in "4072")  # type: ignore[arg-type]


def test_crowded_number_has_one_label() -> None:
    numbers = [number("11111", 300, 300, 30, pitch=0.4, confidence=0.83)]
    page = page_with(numbers, 1400, 900)
    image = drawn(page, reading_of(page, numbers))
    assert labelled(image, "11111")
    assert labelled(image, "83%")
    dark_blue = (image == [round(0.7 * part) for part in SHADES[Status.ACCEPTED].fill]).all(axis=2)
    assert not dark_blue.any()


def test_separators_are_kept_in_the_label() -> None:
    one = number("127", 300, 300, 60)
    numbers = [NumberReading(text="12,7", confidence=0.9, status=one.status, box=one.box, digits=one.digits)]
    page = page_with(numbers, 1400, 900)
    assert labelled(drawn(page, reading_of(page, numbers)), "12,7")


def test_rejected_blob_is_dashed_gray_with_its_cause() -> None:
    page = Page(number=1, pixels=np.full((1100, 1100), 255, np.uint8), dpi=None)
    image = drawn(page, reading_of(page, blobs=[rejected(Box(400, 400, 200, 100), Cause.RULED_LINE)]))
    side = (image[400, 400:600] == SHADES[Status.REJECTED].fill).all(axis=1)
    assert 0.4 < side.mean() < 0.6
    assert shows(image, "ruled line", 12, SHADES[Status.REJECTED].fill)
    assert says(image, "rejected 1")
    assert says(image, "ruled line 1")


def test_many_specks_are_counted_but_not_named_one_by_one() -> None:
    page = Page(number=1, pixels=np.full((1100, 1100), 255, np.uint8), dpi=None)
    blobs = [rejected(Box(50 + 40 * (i % 20), 60 + 60 * (i // 20), 4, 4)) for i in range(60)]
    image = drawn(page, reading_of(page, blobs=blobs))
    assert says(image, "speck 60")
    assert not shows(image, "speck", 12, SHADES[Status.REJECTED].fill)


def test_counts_of_the_legend() -> None:
    numbers = [number("12", 100, 100, 50), number("345", 100, 300, 50, status=Status.REVIEW)]
    page = page_with(numbers, 1200, 900)
    blobs = [rejected(Box(600, 600, 30, 30)), rejected(Box(700, 600, 30, 30), Cause.TEXT)]
    image = drawn(page, reading_of(page, numbers, blobs))
    for text in ("page 1: 5 digits in 2 numbers", "accepted 1", "review 1", "rejected 2", "text 1"):
        assert says(image, text), text
    assert not says(image, "corrected")


# Nothing of the ink is hidden


def test_labels_leave_the_ink_of_a_dense_page_alone() -> None:
    numbers = [
        number("40728", 150 + 440 * column, 150 + 120 * row, 60, pitch=0.8)
        for row in range(25)
        for column in range(5)
    ]
    page = page_with(numbers, 2480, 3508)
    image = drawn(page, reading_of(page, numbers)).astype(int)
    bare = Canvas(page, 2000 / 3508, (0, 0))
    for one in numbers:
        for box in (bare.scaled(d.box) for d in one.digits):
            inner = slice(box.y + 2, box.bottom - 2), slice(box.x + 2, box.right - 2)
            assert np.array_equal(image[inner], bare.pixels[inner])


def test_strip_cut_tightly_around_a_number_gets_room_for_both_labels() -> None:
    numbers = [number("2250", 3, 13, 27)]
    page = page_with(numbers, 108, 44)
    image = drawn(page, reading_of(page, numbers))
    assert labelled(image, "2250")
    ink = tuple(round(0.7 * part) for part in SHADES[Status.ACCEPTED].fill)
    assert any(shows(image, "5", size, ink) for size in range(11, 31))  # type: ignore[arg-type]
    assert image.shape[1] == 8 * 108


@given(st.lists(st.tuples(st.integers(-50, 450), st.integers(-50, 350)), max_size=40), st.data())
@settings(max_examples=30, deadline=None)
def test_a_free_corner_never_touches_what_is_there(
    corners: list[tuple[int, int]], data: st.DataObject
) -> None:
    canvas = Canvas(Page(number=1, pixels=np.full((300, 400), 255, np.uint8), dpi=None), 1.0, (0, 0))
    label = np.zeros((data.draw(st.integers(1, 30)), data.draw(st.integers(1, 60)), 3), np.uint8)
    covered = np.zeros((300, 400), int)
    for corner in corners:
        if canvas.first_free(label, [corner]):
            canvas.put(label, corner)
            covered[corner[1] : corner[1] + label.shape[0], corner[0] : corner[0] + label.shape[1]] += 1
    assert covered.max(initial=0) <= 1
    assert np.array_equal(covered > 0, (canvas.pixels == 0).all(axis=2))


# Odd input


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (5000, 2), (7, 7)])
def test_pages_of_odd_shapes(width: int, height: int) -> None:
    page = Page(number=1, pixels=np.full((height, width), 255, np.uint8), dpi=None)
    numbers = [number("3", 0, 0, max(1, height // 2))]
    image = drawn(page, reading_of(page, numbers, [rejected(Box(0, 0, width, height))]))
    assert image.shape[1] >= 360
    assert says(image, "page 1: 1 digit in 1 number")


def test_boxes_beyond_the_page_and_empty_ones_are_cut_to_it() -> None:
    page = Page(number=1, pixels=np.full((1000, 1000), 255, np.uint8), dpi=None)
    odd = [Box(-50, -50, 30, 30), Box(980, 980, 90, 90), Box(2000, 50, 10, 10), Box(500, 500, 0, 0)]
    numbers = [
        NumberReading(text="8", confidence=1.0, status=Status.ACCEPTED, box=box, digits=(digit("8", box),))
        for box in odd
    ]
    image = drawn(page, reading_of(page, numbers, [rejected(box) for box in odd]))
    assert says(image, "page 1: 4 digits in 4 numbers")


def test_number_without_digits_and_text_too_long_for_the_page() -> None:
    page = Page(number=1, pixels=np.full((400, 300), 255, np.uint8), dpi=None)
    box = Box(100, 150, 60, 40)
    long = NumberReading(text="1234567890" * 9, confidence=0.5, status=Status.REVIEW, box=box, digits=())
    image = drawn(page, reading_of(page, [long]))
    assert image.shape[1] == 900
    assert labelled(image, "…", Status.REVIEW)


# Colours and lettering


def linear(colour: Colour) -> NDArray[np.float64]:
    part = np.array(colour) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira & Fernandes, "A physiologically-based model for simulation of color vision deficiency",
# 2009: what remains of linear RGB at full severity.
SEVERE = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "none": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
}


@pytest.mark.parametrize("sight", SEVERE)
def test_statuses_differ_for_colour_blind_eyes(sight: str) -> None:
    seen = [np.clip(np.array(SEVERE[sight]) @ linear(shade.fill), 0, 1) for shade in SHADES.values()]
    rgb = np.power(np.array([seen], np.float32), 1 / 2.2)
    lab = cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    apart = [np.linalg.norm(lab[i] - lab[j]) for i in range(len(lab)) for j in range(i)]
    assert min(apart) > 20


@pytest.mark.parametrize("status", list(Status))
def test_lettering_contrasts_with_its_ground(status: Status) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    lights = sorted(float(weights @ linear(colour)) for colour in SHADES[status])
    assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5


@pytest.mark.parametrize(("narrowest", "width"), [(0, 5), (9, 9)])
def test_stacked_pictures_stand_at_the_left_on_white(narrowest: int, width: int) -> None:
    picture = stacked([np.full((high, wide, 3), 7, np.uint8) for high, wide in ((2, 3), (4, 5))], narrowest)
    expected = np.full((6, width), 255, np.uint8)
    expected[:2, :3] = expected[2:, :5] = 7
    assert np.array_equal(picture, np.dstack([expected] * 3))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=500), max_size=40), st.integers(0, 200))
def test_shortened_text_fits_and_keeps_its_beginning(text: str, width: int) -> None:
    short = shorten(text, 14, width)
    assert text_width(short, 14) <= width
    assert text.startswith(short.removesuffix("…").rstrip()) or short == text
    assert short == text or text_width(text, 14) > width


@given(st.floats(-1, 2))
def test_percent_has_two_digits_and_never_rounds_up(confidence: float) -> None:
    text = percent(confidence)
    assert len(text) == 2
    assert text.isdecimal()
    assert int(text) <= max(0.0, confidence * 100)


def test_reason_is_cut_to_its_cause() -> None:
    assert short_reason(str(Rejection(Cause.EDGE, "gap", 0, 2))) == "cut off by the edge"
    assert short_reason(None) == ""


def test_letters_of_two_sizes_stand_on_one_baseline() -> None:
    label = tag([Run("0", 40), Run("0", 20)], BLACK, WHITE)
    dark = label.min(axis=2) < 100
    large, small = dark[:, : label.shape[1] // 2], dark[:, -text_width("0", 20) :]
    assert abs(np.nonzero(large.any(axis=1))[0].max() - np.nonzero(small.any(axis=1))[0].max()) <= 1


# Contact sheet


def cells(image: Image.Image, rows: int) -> NDArray[np.uint8]:
    """The cut-outs' pixels below the first heading: (rows, columns, 84, 84, 3)."""
    pixels, top = np.asarray(image), 32
    columns = (image.width - 16) // CELL_PIXELS
    height = (pixels.shape[0] - top) // rows
    return np.array(
        [
            [pixels[top + r * height + 10 :][:84, 8 + c * CELL_PIXELS + 2 :][:, :84] for c in range(columns)]
            for r in range(rows)
        ]
    )


def glyph_with(pixel: int) -> NDArray[np.float32]:
    glyph = np.zeros((28, 28), np.float32)
    glyph[pixel // 28, pixel % 28] = 1.0
    return glyph


def one_page(count: int, page: int = 1) -> PageReading:
    digits = [digit(str(i % 10), Box(i, 0, 1, 1), glyph=glyph_with(i % 784)) for i in range(count)]
    numbers = [
        NumberReading(text=d.digit or "", confidence=0.9, status=d.status, box=d.box, digits=(d,))
        for d in digits
    ]
    blank = Page(number=page, pixels=np.zeros((9, 9), np.uint8), dpi=None)
    return reading_of(blank, numbers)


def test_contact_sheet_shows_ink_dark_in_reading_order_and_wraps() -> None:
    image = contact_sheet([one_page(20)])
    grid = cells(image, rows=2)
    assert grid.shape[1] == COLUMNS
    for i in range(20):
        dark = np.argwhere(grid[i // COLUMNS, i % COLUMNS].max(axis=2) < 50)
        assert len(dark) == 9
        assert tuple(dark[0] // 3) == (i // 28, i % 28)
    assert (grid[1, 4:] == 255).all()


def test_contact_sheet_names_digit_and_score() -> None:
    image = np.asarray(contact_sheet([one_page(3)]))
    blue = SHADES[Status.ACCEPTED]
    for text in "012":
        assert shows(image, text, 18, blue.text, blue.fill)
    assert shows(image, "98%", 13, blue.text, blue.fill)
    assert says(image, "page 1: 3 cut-outs")


def test_contact_sheet_gives_the_reason_of_a_rejected_blob_cut_to_its_cell() -> None:
    blob = digit(
        None, Box(0, 0, 9, 9), Status.REJECTED, reason="something that takes far too long to say: size 3"
    )
    page = Page(number=1, pixels=np.zeros((9, 9), np.uint8), dpi=None)
    image = np.asarray(contact_sheet([reading_of(page, blobs=[blob])]))
    gray = SHADES[Status.REJECTED].fill
    assert tuple(image[45, 8]) == gray
    assert shows(image, "something", 12, gray)
    assert shows(image, "…", 12, gray)
    assert not (image[32:, CELL_PIXELS + 8 :] < 255).any()


def test_contact_sheet_skips_what_was_never_cut_out() -> None:
    blobs = [rejected(Box(0, 0, 3, 3), glyph=None), rejected(Box(0, 0, 3, 3))]
    page = Page(number=1, pixels=np.zeros((9, 9), np.uint8), dpi=None)
    assert says(np.asarray(contact_sheet([reading_of(page, blobs=blobs)])), "page 1: 1 cut-out")


@pytest.mark.parametrize("readings", [[], [one_page(0)], [one_page(0), one_page(0, page=2)]])
def test_empty_contact_sheet_says_so(readings: list[PageReading]) -> None:
    image = contact_sheet(readings)
    assert says(np.asarray(image), "no digits were cut out")
    assert image.height < 100


def test_contact_sheet_orders_pages_and_heads_each() -> None:
    image = np.asarray(contact_sheet([one_page(2, page=2), one_page(4, page=1)]))
    half = image.shape[0] // 2
    assert says(image[:half], "page 1: 4 cut-outs")
    assert says(image[half:], "page 2: 2 cut-outs")


def test_contact_sheet_of_a_long_document_is_bounded_and_says_so() -> None:
    image = contact_sheet([one_page(MOST_CUTOUTS + 50), one_page(30, page=2)])
    assert image.height < 20_000
    title = f"page 1: {MOST_CUTOUTS + 50} cut-outs, the first {MOST_CUTOUTS} shown"
    assert says(np.asarray(image)[:40], title)
