"""Numbers as written: pages of them are drawn the same, and what is counted is what was read."""

from pathlib import Path

import pytest

from benchmarks import handwriting
from benchmarks.pages import LOOKS, TrueNumber, render_sheet
from benchmarks.separated import LAYOUTS, SIZE
from benchmarks.written import Found, rows, written_at
from processor.punctuation import WRITTEN
from processor.records import Box

HANDS = handwriting.load(Path(__file__).parent / "data" / "mnist-sample.npz")


def a_number(text: str, x: int = 0) -> TrueNumber:
    digits = "".join(char for char in text if char.isdigit())
    box = Box(x, 0, 40, 20)
    return TrueNumber(text=text, digits=digits, field=None, box=box, digit_boxes=(box,))


def read_as(text: str, true: str, *, accepted: bool = True) -> Found:
    return Found(text, a_number(text).digits, accepted, a_number(true))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_page_is_full_of_numbers_as_people_write_them(kind: str) -> None:
    first, second = (
        render_sheet(SIZE, LAYOUTS[kind], HANDS, 7, dpi=60, look=LOOKS["scan"]) for _ in range(2)
    )
    assert first.numbers == second.numbers
    assert len(first.numbers) >= 38
    assert all(WRITTEN.fullmatch(number.text.removeprefix("-")) for number in first.numbers)
    assert any(number.text != number.digits for number in first.numbers)


def test_a_number_belongs_to_what_is_written_in_its_place() -> None:
    numbers = [a_number("12,5"), a_number("7", x=100)]
    assert written_at(Box(95, 2, 40, 20), numbers) is numbers[1]
    assert written_at(Box(50, 0, 40, 20), numbers) is None
    assert written_at(Box(0, 0, 9, 9), []) is None


@pytest.mark.parametrize(
    ("text", "true", "as_written", "another"),
    [
        ("12,5", "12,5", True, False),
        ("125", "12,5", False, True),
        ("12.5", "12,5", False, False),
        ("1.250", "1250", False, False),
        ("-12", "12", False, True),
        ("13,5", "12,5", False, False),
    ],
)
def test_a_lost_comma_makes_another_number_and_a_thousands_point_does_not(
    text: str, true: str, as_written: bool, another: bool
) -> None:
    found = read_as(text, true)
    assert (found.as_written, found.of_another_value) == (as_written, another)


def test_shares_are_of_those_whose_digits_are_right() -> None:
    found = [
        read_as("12,5", "12,5"),
        read_as("125", "12,5"),
        read_as("12,5", "12,5", accepted=False),
        read_as("13,5", "12,5"),
    ]
    figures = {row.measure: row.figure for row in rows("", found)}
    assert list(figures.values()) == [pytest.approx(2 / 3), pytest.approx(2 / 3), 0.5, 0.5]
    assert [row.figure for row in rows("", [])] == [0.0] * 4
