"""A number is written with what both readings see between its digits; a person is asked where they differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.punctuation import (
    WRITTEN,
    Gap,
    Punctuation,
    decimal_sign,
    value,
    weigh_gap,
    weigh_minus,
    write,
)
from processor.records import Signs
from processor.segmentation.separators import Before, Between

NOTHING = Between()
COMMA, POINT = Between((0,), 0, True, 2.0), Between((0,), 0, True, -2.0)
DOT, BLOT = Between((0,), 0, False, -2.0), Between((0,), 0, False, 0.0)

NONE, NO_MINUS = Gap(-4.0), Gap(-4.0)
A_COMMA, A_POINT = Gap(4.0, False, 5.0), Gap(4.0, False, -5.0)
EITHER = Gap(4.0, False, 0.0)
"""A separator that may be a comma or a point."""
MAYBE_COMMA = Gap(0.5, True, 5.0)


def number(digits: str, *gaps: Gap, minus: Gap = NO_MINUS, decimal: str = "") -> Punctuation:
    """`digits` with `gaps` before the last of them; those before are empty."""
    return write(digits, minus, [NONE] * (len(digits) - 1 - len(gaps)) + list(gaps), decimal)


@pytest.mark.parametrize(
    ("shape", "seen", "there"),
    [
        (COMMA, Signs(comma=0.95), True),
        (NOTHING, Signs(comma=0.95), True),
        (DOT, Signs(point=0.9), True),
        (POINT, Signs(point=0.4, comma=0.3), True),
        (NOTHING, Signs(point=0.2), False),
        (DOT, Signs(point=0.2), False),
        (BLOT, Signs(), False),
        (COMMA, Signs(comma=0.2), None),
        (COMMA, Signs(), None),
        (NOTHING, Signs(comma=0.6), None),
        (DOT, Signs(point=0.5), None),
        (COMMA, None, True),
        (NOTHING, None, False),
        (DOT, None, None),
    ],
)
def test_what_both_see_stands_and_what_one_sees_is_doubtful(
    shape: Between, seen: Signs | None, there: bool | None
) -> None:
    gap = weigh_gap(shape, seen)
    assert (None if gap.doubtful else gap.there > 0) == there


@pytest.mark.parametrize(("sure", "there"), [(0.1, False), (0.4, None), (0.85, None), (0.95, True)])
def test_one_of_a_row_of_dots_has_to_be_seen_more_surely(sure: float, there: bool | None) -> None:
    gap = weigh_gap(POINT, Signs(point=sure), in_row=True)
    assert (None if gap.doubtful else gap.there > 0) == there
    assert weigh_gap(POINT, None, in_row=True).doubtful


def test_shape_and_second_reading_tell_together_which_it_is() -> None:
    assert weigh_gap(COMMA, Signs(comma=0.95)).comma > weigh_gap(COMMA, Signs(0.5, 0.5)).comma > 0
    assert weigh_gap(POINT, Signs(0.5, 0.45)).comma < 0
    assert weigh_gap(POINT, Signs(comma=0.95)).comma > 0


@pytest.mark.parametrize(
    ("shape", "seen", "there"),
    [
        (Before(0), Signs(), True),
        (Before(), Signs(dash=0.95), True),
        (Before(), Signs(dash=0.5), None),
        (Before(), Signs(dash=0.1), False),
        (Before(filler=True), Signs(dash=0.95), False),
        (Before(), None, False),
    ],
)
def test_a_minus_is_what_either_sees_and_no_filler(
    shape: Before, seen: Signs | None, there: bool | None
) -> None:
    gap = weigh_minus(shape, seen)
    assert (None if gap.doubtful else gap.there > 0) == there


@pytest.mark.parametrize(
    ("digits", "gaps", "text"),
    [
        ("125", [], "125"),
        ("125", [A_COMMA], "12,5"),
        ("125", [A_POINT, NONE], "1.25"),
        ("1234567", [A_POINT, NONE, NONE, A_POINT, NONE, NONE], "1.234.567"),
        ("123456", [A_POINT, NONE, NONE, A_COMMA, NONE], "1.234,56"),
        ("24122026", [A_POINT, NONE, A_POINT, NONE, NONE, NONE], "24.12.2026"),
    ],
)
def test_a_number_as_written(digits: str, gaps: list[Gap], text: str) -> None:
    assert number(digits, *gaps) == Punctuation(text)


def test_a_minus_stands_before_it() -> None:
    assert number("125", A_COMMA, minus=Gap(4.0)) == Punctuation("-12,5")


def test_what_makes_no_number_stands_in_no_text() -> None:
    assert number("1253", A_COMMA, A_COMMA) == Punctuation("1253", may="")


def test_a_doubtful_comma_is_told_with_what_the_number_is_without_it() -> None:
    assert number("125", MAYBE_COMMA) == Punctuation("12,5", may="125")
    assert number("125", Gap(-0.5, True, 5.0)) == Punctuation("125", may="12,5")
    assert number("125", A_COMMA, minus=Gap(-0.5, True)) == Punctuation("12,5", may="-12,5")


def test_a_doubt_that_makes_no_number_is_none() -> None:
    """Of `1?2,5` only one answer is a number that people write."""
    assert number("125", Gap(-0.5, True, 5.0), A_COMMA) == Punctuation("12,5")


def test_what_changes_only_how_a_number_is_written_is_no_doubt_about_it() -> None:
    assert number("12500", Gap(0.5, True, -5.0), NONE, NONE) == Punctuation("12.500")
    assert number("125", EITHER).may is None
    assert number("1250", EITHER, NONE, NONE, decimal=",").may == "1.250"


def test_more_doubts_than_anybody_can_tell_are_not_told() -> None:
    assert number("1234567", *[MAYBE_COMMA] * 6) == Punctuation("1234567", may="")


def test_few_people_write_four_decimals() -> None:
    assert number("20773", Gap(0.2, True, -5.0), NONE, NONE, NONE) == Punctuation("20773")
    assert number("20773", A_POINT, NONE, NONE, NONE) == Punctuation("2.0773")


def test_the_page_settles_which_a_doubtful_one_is() -> None:
    assert number("125", EITHER, decimal=",").written == "12,5"
    assert number("125", EITHER, decimal=".").written == "12.5"
    assert number("125", A_POINT, decimal=",").written == "12.5"
    assert number("12500", A_POINT, NONE, NONE, decimal=",").written == "12.500"


@pytest.mark.parametrize(
    ("texts", "sign"),
    [
        (["1,5", "2,25", "-3,5"], ","),
        (["1.5", "2.25", "3.5", "7", "1.250"], "."),
        (["1.250,5", "2,5", "3,5", "12.500"], ","),
        (["1,5", "2,5"], ""),
        (["1,5", "2,5", "3,5", "4.5"], ""),
        (["1,250", "2,500", "3,750"], ""),
        (["24.12.2026", "25.12.2026", "26.12.2026"], ""),
        ([], ""),
    ],
)
def test_a_page_has_a_decimal_sign_where_nearly_all_its_numbers_have(texts: list[str], sign: str) -> None:
    assert decimal_sign(texts) == sign


@pytest.mark.parametrize(
    ("one", "other", "decimal"),
    [
        ("12,5", "12.5", ""),
        ("1.250", "1250", ""),
        ("1,250.5", "1250,5", ""),
        ("-1.250", "-1250", ","),
        ("1.234.567", "1234567", "."),
    ],
)
def test_numbers_that_are_written_differently_and_the_same(one: str, other: str, decimal: str) -> None:
    assert value(one, decimal) == value(other, decimal)


@pytest.mark.parametrize(
    ("one", "other", "decimal"),
    [
        ("12,5", "125", ""),
        ("0.125", "125", ""),
        ("-5", "5", ""),
        ("1.250", "1250", "."),
        ("1.250", "1,250", ","),
    ],
)
def test_numbers_that_differ(one: str, other: str, decimal: str) -> None:
    assert value(one, decimal) != value(other, decimal)


gaps = st.builds(Gap, st.floats(-4, 4), st.booleans(), st.floats(-5, 5))


@given(st.text("0123456789", min_size=1, max_size=6), gaps, st.lists(gaps, min_size=5, max_size=5))
def test_the_digits_are_never_changed_and_what_is_sure_is_a_number(
    digits: str, minus: Gap, between: list[Gap]
) -> None:
    found = write(digits, minus, between[: len(digits) - 1])
    assert "".join(c for c in found.written if c.isdigit()) == digits
    assert WRITTEN.fullmatch(found.written.removeprefix("-"))
    if found.may:
        assert value(found.may) != value(found.written)
