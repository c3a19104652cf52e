"""Points, commas and minus signs are written where they stand and look so; else the digits stand alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.records import Box
from processor.segmentation.separators import hangs, punctuate

STROKE = 4.0
TOP, HEIGHT, PITCH = 100, 40, 40
BASELINE = TOP + HEIGHT


def digits(count: int) -> list[Box]:
    """Digits of 24 x 40 px, 16 px apart."""
    return [Box(200 + i * PITCH, TOP, 24, HEIGHT) for i in range(count)]


def gap(after: int) -> int:
    """The middle of the gap behind the digit of that index."""
    return 200 + after * PITCH + 32


def comma(after: int) -> Box:
    return Box(gap(after) - 3, BASELINE - 4, 6, 14)


def point(after: int) -> Box:
    return Box(gap(after) - 3, BASELINE - 6, 6, 6)


def dash(x: int, y: int = TOP + 18) -> Box:
    return Box(x, y, 18, 5)


@pytest.mark.parametrize(
    ("number", "marks", "text"),
    [
        ("125", [], "125"),
        ("125", [comma(1)], "12,5"),
        ("125", [point(1)], "12.5"),
        ("1234567", [point(0), point(3)], "1.234.567"),
        ("123456", [point(2), comma(4)], "123456"),
        ("1234567", [point(0), point(3), comma(4)], "1234567"),
        ("1234567", [comma(0), point(3)], "1,234.567"),
        ("24122026", [point(1), point(3)], "24.12.2026"),
        ("5", [dash(175)], "-5"),
        ("125", [dash(175), comma(1)], "-12,5"),
    ],
)
def test_a_number_as_written(number: str, marks: list[Box], text: str) -> None:
    found = punctuate(number, digits(len(number)), marks, STROKE)
    assert found.text == text
    assert found.doubtful == (text == number and bool(marks))


@pytest.mark.parametrize(
    "mark",
    [
        Box(gap(1) - 3, TOP, 6, 10),
        Box(gap(1) - 3, TOP + 15, 6, 10),
        Box(gap(1) - 3, BASELINE + 15, 6, 12),
        Box(gap(2), BASELINE - 4, 6, 14),
        Box(gap(1) - 4, BASELINE - 30, 8, 34),
        Box(gap(1) - 12, BASELINE - 4, 24, 6),
        Box(gap(1) - 1, BASELINE - 3, 2, 2),
    ],
    ids=["an apostrophe", "at mid-height", "below", "behind", "a one", "an underline", "dust"],
)
def test_what_is_no_separator_leaves_the_digits_as_they_are(mark: Box) -> None:
    found = punctuate("125", digits(3), [mark], STROKE)
    assert (found.text, found.used, found.doubtful) == ("125", (), False)


@pytest.mark.parametrize(
    ("side", "boxed", "doubtful"), [(6, False, False), (5, False, True), (6, True, True)]
)
def test_a_fine_point_may_be_dirt_and_one_between_boxes_a_piece_of_them(
    side: int, boxed: bool, doubtful: bool
) -> None:
    mark = Box(gap(1) - 3, BASELINE - side, side, side)
    found = punctuate("125", digits(3), [mark], STROKE, boxed=boxed)
    assert (found.text, found.used, found.doubtful) == ("125" if doubtful else "12.5", (0,), doubtful)


def test_a_comma_is_one_however_slender_also_between_boxes() -> None:
    fine = Box(gap(1) - 1, BASELINE - 4, 3, 14)
    assert punctuate("125", digits(3), [fine], STROKE, boxed=True).text == "12,5"


@pytest.mark.parametrize(
    "marks",
    [
        [Box(gap(1) - 8, BASELINE + 2, 15, 9)],
        [point(1), Box(gap(1) + 4, BASELINE - 6, 6, 6)],
        [comma(0), comma(1)],
    ],
    ids=["a blot below the line", "two points", "a row of commas"],
)
def test_what_nobody_can_tell_is_doubtful_and_stands_in_no_text(marks: list[Box]) -> None:
    found = punctuate("1253", digits(4), marks, STROKE)
    assert (found.text, found.doubtful) == ("1253", True)


def test_dirt_beside_a_comma_does_not_hide_it() -> None:
    found = punctuate("125", digits(3), [comma(1), Box(gap(1) + 4, BASELINE - 3, 3, 3)], STROKE)
    assert found.text == "12,5"


@pytest.mark.parametrize(
    "marks",
    [
        [dash(175), dash(150)],
        [dash(175), dash(325)],
        [dash(175, TOP + 10), dash(175, TOP + 25)],
        [dash(140)],
        [dash(175, TOP + 35)],
        [Box(130, TOP + 18, 65, 5)],
    ],
    ids=["two before", "one behind", "an equals sign", "too far", "at the baseline", "a line"],
)
def test_dashes_that_are_no_minus(marks: list[Box]) -> None:
    found = punctuate("125", digits(3), marks, STROKE)
    assert (found.text, found.used, found.doubtful) == ("125", (), False)


def test_only_what_is_low_and_at_the_baseline_hangs() -> None:
    assert hangs(comma(0), TOP, BASELINE)
    assert hangs(point(0), TOP, BASELINE)
    assert not hangs(Box(0, TOP, 8, HEIGHT), TOP, BASELINE)
    assert not hangs(Box(0, TOP + 10, 8, 8), TOP, BASELINE)


boxes = st.builds(Box, st.integers(150, 400), st.integers(80, 180), st.integers(1, 40), st.integers(1, 40))


@given(st.text("0123456789", min_size=1, max_size=6), st.lists(boxes, max_size=5), st.integers(-90, 90))
def test_the_digits_are_never_changed_and_a_shift_changes_nothing(
    number: str, marks: list[Box], shift: int
) -> None:
    found = punctuate(number, digits(len(number)), marks, STROKE)
    assert "".join(c for c in found.text if c.isdigit()) == number
    shifted = [_moved(digits(len(number)), shift), _moved(marks, shift)]
    assert punctuate(number, shifted[0], shifted[1], STROKE) == found


def _moved(group: list[Box], shift: int) -> list[Box]:
    return [Box(b.x + shift, b.y, b.width, b.height) for b in group]
