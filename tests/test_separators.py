"""Points, commas and dashes are told by where small marks stand and how they look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.records import Box
from processor.segmentation.separators import Before, Between, between_digits, dash_before, hangs

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


def between(marks: list[Box], *, count: int = 3, boxed: bool = False) -> list[Between]:
    return between_digits(digits(count), marks, STROKE, boxed=boxed)


def kinds(found: list[Between]) -> str:
    """What stands in each gap: a comma or a point, `?` what is not clear, `_` nothing."""
    return "".join(
        "_" if not gap.marks else "?" if not gap.clear else "," if gap.comma > 0 else "." for gap in found
    )


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ([], "______"),
        ([comma(1)], "_,____"),
        ([point(1)], "_.____"),
        ([point(0), point(3), comma(4)], ".__.,_"),
    ],
)
def test_commas_and_points_are_told_by_shape_and_place(marks: list[Box], told: str) -> None:
    assert kinds(between(marks, count=7)) == told


def test_a_comma_is_surest_where_it_is_slender_and_reaches_below() -> None:
    standing = Box(gap(1) - 3, BASELINE - 10, 6, 10)
    (_, sure), (_, likely), (_, round_one) = between([comma(1)]), between([standing]), between([point(1)])
    assert sure.comma > likely.comma > 0 > round_one.comma


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
def test_what_is_no_separator_stands_in_no_gap(mark: Box) -> None:
    assert kinds(between([mark])) == "__"


@pytest.mark.parametrize(("side", "boxed", "told"), [(6, False, "_."), (5, False, "_?"), (6, True, "_?")])
def test_a_fine_point_may_be_dirt_and_one_between_boxes_a_piece_of_them(
    side: int, boxed: bool, told: str
) -> None:
    mark = Box(gap(1) - 3, BASELINE - side, side, side)
    assert kinds(between([mark], boxed=boxed)) == told


def test_a_comma_is_one_however_slender_also_between_boxes() -> None:
    assert kinds(between([Box(gap(1) - 1, BASELINE - 4, 3, 14)], boxed=True)) == "_,"


@pytest.mark.parametrize(
    "marks",
    [[Box(gap(1) - 8, BASELINE + 2, 15, 9)], [point(1), Box(gap(1) + 4, BASELINE - 6, 6, 6)]],
    ids=["a blot below the line", "two points"],
)
def test_what_nobody_can_tell_is_not_clear(marks: list[Box]) -> None:
    assert kinds(between(marks)) == "_?"


def test_dirt_beside_a_comma_does_not_hide_it() -> None:
    found = between([Box(gap(1) + 4, BASELINE - 3, 3, 3), comma(1)])
    assert kinds(found) == "_,"
    assert (found[1].marks, found[1].chosen) == ((0, 1), 1)


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        ([dash(175)], Before(0)),
        ([comma(1), dash(175)], Before(1)),
        ([dash(175), dash(150)], Before(filler=True)),
        ([dash(175), dash(325)], Before(filler=True)),
        ([dash(175, TOP + 10), dash(175, TOP + 25)], Before(filler=True)),
        ([dash(140)], Before()),
        ([dash(175, TOP + 35)], Before()),
        ([Box(130, TOP + 18, 65, 5)], Before()),
    ],
    ids=["one", "beside a comma", "two", "one behind", "an equals sign", "far", "at the baseline", "a line"],
)
def test_one_dash_before_a_number_is_a_minus(marks: list[Box], found: Before) -> None:
    assert dash_before(digits(3), marks) == found


def test_only_what_is_low_and_at_the_baseline_hangs() -> None:
    assert hangs(comma(0), TOP, BASELINE)
    assert hangs(point(0), TOP, BASELINE)
    assert not hangs(Box(0, TOP, 8, HEIGHT), TOP, BASELINE)
    assert not hangs(Box(0, TOP + 10, 8, 8), TOP, BASELINE)


boxes = st.builds(Box, st.integers(150, 400), st.integers(80, 180), st.integers(1, 40), st.integers(1, 40))


@given(st.integers(1, 6), st.lists(boxes, max_size=5), st.integers(-90, 90))
def test_a_mark_stands_in_one_gap_at_most_and_a_shift_changes_nothing(
    count: int, marks: list[Box], shift: int
) -> None:
    found = between_digits(digits(count), marks, STROKE)
    used = [i for gap in found for i in gap.marks]
    assert len(found) == count - 1
    assert len(used) == len(set(used))
    assert between_digits(_moved(digits(count), shift), _moved(marks, shift), STROKE) == found


def _moved(group: list[Box], shift: int) -> list[Box]:
    return [Box(b.x + shift, b.y, b.width, b.height) for b in group]
