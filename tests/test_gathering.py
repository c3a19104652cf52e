"""Digits become numbers: combs, columns, scattered digits, separators, and what was struck out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processor.gathering import gather
from processor.records import Box, Cause, DigitReading, NumberReading, Rejection, Signs, Status
from processor.rejection.open_set import READ_ONCE, LeastSure
from processor.segmentation.blobs import Blob
from processor.words import Mark, Seen

SHAPE = (400, 900)
SPECK = Rejection(Cause.SPECK, "digit heights", 0.2, 0.3)
UNLIKE = Rejection(Cause.UNLIKE_DIGIT, "likeness to a digit", 0.1, 0.5)


def mark(box: Box, rejection: Rejection | None = None, digit: int = 7) -> Mark:
    """A frame of ink, 4 px wide; `digit` is what the network sees in it."""
    ink = np.ones((box.height, box.width), np.bool_)
    ink[4:-4, 4:-4] = False
    probabilities = np.full(11, 0.001, np.float32)
    probabilities[digit] = 0.99
    seen = None if rejection is SPECK else Seen(np.zeros((28, 28), np.float32), probabilities)
    return Mark(Blob(box, ink), seen, 1.0, rejection)


def reading(one: Mark, confidence: float = 0.99) -> DigitReading:
    if one.rejection is not None:
        return DigitReading(
            digit=None,
            confidence=0.0,
            status=Status.REJECTED,
            box=one.blob.box,
            reason=str(one.rejection),
        )
    digit = str(one.seen.digit) if one.seen else None
    return DigitReading(digit=digit, confidence=confidence, status=Status.ACCEPTED, box=one.blob.box)


def lines_of(*boxes: tuple[int, ...], at: NDArray[np.bool_]) -> NDArray[np.bool_]:
    for x, y, width, height in boxes:
        at[y : y + height, x : x + width] = True
    return at


def blank() -> NDArray[np.bool_]:
    return np.zeros(SHAPE, np.bool_)


def gathered(
    *lines: list[Mark],
    dividers: NDArray[np.bool_] | None = None,
    rulings: NDArray[np.bool_] | None = None,
    confidence: float = 0.99,
    one_number: bool = False,
    least: LeastSure = READ_ONCE,
    ink: NDArray[np.uint8] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[list[NumberReading], list[DigitReading]]:
    readings = [[reading(one, confidence) for one in line] for line in lines]
    return gather(
        lines,
        readings,
        blank() if dividers is None else dividers,
        blank() if rulings is None else rulings,
        one_number=one_number,
        least=least,
        ink=ink,
        mask=mask,
    )


def row(digits: str, x: int = 100, y: int = 100, pitch: int = 32) -> list[Mark]:
    """Digits 24 px wide and 40 px high."""
    return [mark(Box(x + i * pitch, y, 24, 40), digit=int(d)) for i, d in enumerate(digits)]


def texts(numbers: list[NumberReading]) -> list[str]:
    return [number.text for number in numbers]


def test_neighbours_are_one_number_and_far_ones_are_not() -> None:
    numbers, _ = gathered([*row("123"), *row("45", 400)])
    assert texts(numbers) == ["123", "45"]
    assert [n.status for n in numbers] == [Status.ACCEPTED] * 2


def test_scattered_digits_stay_single() -> None:
    places = [(100, 80), (300, 95), (520, 70), (180, 220), (410, 250), (700, 210)]
    lines = [row("5", x, y) for x, y in places]
    numbers, _ = gathered(*lines)
    assert texts(numbers) == ["5"] * 6
    assert all(len(n.digits) == 1 and n.status is Status.ACCEPTED for n in numbers)


def test_digits_of_one_line_with_wide_gaps_stay_single() -> None:
    numbers, _ = gathered([*row("1", 100), *row("2", 200), *row("3", 300)])
    assert texts(numbers) == ["1", "2", "3"]


def test_a_comb_is_one_number() -> None:
    edges = [(92 + 50 * i, 90, 2, 60) for i in range(6)]
    numbers, _ = gathered(row("40721", pitch=50), dividers=lines_of(*edges, at=blank()))
    assert texts(numbers) == ["40721"]
    assert numbers[0].status is Status.ACCEPTED


def test_the_cells_of_a_table_are_numbers_of_their_own() -> None:
    wall = lines_of((162, 0, 2, 400), at=blank())
    numbers, _ = gathered([*row("12", 100), *row("34", 170)], dividers=wall)
    assert texts(numbers) == ["12", "34"]


def test_a_cell_of_two_digits_beside_one_of_one_is_no_comb() -> None:
    walls = lines_of((162, 0, 2, 400), (228, 0, 2, 400), at=blank())
    numbers, _ = gathered([*row("12", 100), *row("3", 175), *row("45", 240)], dividers=walls)
    assert texts(numbers) == ["12", "3", "45"]


def test_a_comma_of_another_line_is_written_and_told() -> None:
    comma = mark(Box(158, 136, 6, 14), SPECK)
    numbers, rejected = gathered(row("125"), [comma])
    assert texts(numbers) == ["12,5"]
    assert numbers[0].digits_only == "125"
    assert numbers[0].status is Status.ACCEPTED
    assert [r.reason for r in rejected] == ["separator: 0.35 digit heights high, limit 0.55"]


def test_a_comma_closes_the_gap_it_stands_in() -> None:
    spaced = [*row("12"), *row("5", 192)]
    comma = mark(Box(170, 136, 6, 14), UNLIKE)
    assert gathered(spaced)[0][0].status is Status.REVIEW
    numbers, _ = gathered([*spaced[:2], comma, spaced[2]])
    assert [(n.text, n.status) for n in numbers] == [("12,5", Status.ACCEPTED)]


def test_a_separator_that_nobody_can_tell_sends_the_number_to_review() -> None:
    blot = mark(Box(153, 142, 16, 10), SPECK)
    numbers, _ = gathered(row("125"), [blot])
    assert [(n.text, n.status) for n in numbers] == [("125", Status.REVIEW)]


def seen(marks: list[Mark], before: str, sure: float = 0.95) -> list[Mark]:
    """`marks` with what the second reading saw before each, `_` for nothing, `?` where it was not asked."""
    signs = {
        "_": Signs(),
        "?": None,
        ".": Signs(point=sure),
        ",": Signs(comma=sure),
        "-": Signs(dash=sure),
    }
    return [replace(one, before=signs[sign]) for one, sign in zip(twice(marks), before, strict=True)]


@pytest.mark.parametrize(
    ("before", "text", "status"),
    [
        ("__,", "12,5", Status.ACCEPTED),
        ("___", "125", Status.ACCEPTED),
        ("-__", "-125", Status.ACCEPTED),
        ("_,,", "125", Status.REVIEW),
        ("__?", "125", Status.REVIEW),
    ],
    ids=["a comma", "nothing", "a minus", "no number", "not known"],
)
def test_what_shapes_do_not_tell_the_second_reading_may(before: str, text: str, status: Status) -> None:
    blot = mark(Box(153, 142, 16, 10), SPECK)
    numbers, rejected = gathered(seen(row("125"), before), [blot])
    assert [(n.text, n.status) for n in numbers] == [(text, status)]
    assert (rejected[0].reason or "").startswith("separator: ")


@pytest.mark.parametrize(("before", "text"), [("___", "125"), ("__.", "12.5"), ("_,_", "1,25")])
def test_a_fine_point_counts_where_the_second_reading_sees_it(before: str, text: str) -> None:
    """Noise between the digits of 10 made an accepted 1.0 of it."""
    dot = mark(Box(158, 136, 5, 4), SPECK)
    numbers, _ = gathered(seen(row("125"), before), [dot])
    assert [(n.text, n.status) for n in numbers] == [(text, Status.ACCEPTED)]
    assert [(n.text, n.status) for n in gathered(row("125"), [dot])[0]] == [("125", Status.REVIEW)]


def test_a_comma_that_touches_a_digit_or_a_line_is_seen_by_the_second_reading_alone() -> None:
    numbers, _ = gathered(seen(row("125"), "__,"))
    assert [(n.text, n.status) for n in numbers] == [("12,5", Status.ACCEPTED)]


@pytest.mark.parametrize(
    ("marks", "sure", "text", "reason"),
    [
        ([Box(158, 136, 6, 14)], 0.0, "125", "separator: it may be 12,5, marks between its digits: 1"),
        ([], 0.6, "12,5", "separator: it may be 125, marks between its digits: 0"),
    ],
    ids=["the first alone", "the second, not surely"],
)
def test_where_the_readings_differ_the_reason_names_the_other_number(
    marks: list[Box], sure: float, text: str, reason: str
) -> None:
    numbers, _ = gathered(seen(row("125"), "__,", sure), [mark(box, SPECK) for box in marks])
    assert [(n.text, n.status) for n in numbers] == [(text, Status.REVIEW)]
    assert numbers[0].reason == reason


def test_a_point_that_parts_thousands_or_not_changes_no_number() -> None:
    point = mark(Box(125, 133, 7, 7), SPECK)
    numbers, _ = gathered(seen(row("1250"), "____"), [point])
    assert [(n.text, n.status) for n in numbers] == [("1250", Status.ACCEPTED)]


@pytest.mark.parametrize(("others", "text"), [("??,", "12,5"), ("??.", "12.5")])
def test_a_page_of_commas_settles_a_mark_that_may_be_either(others: str, text: str) -> None:
    lines = [seen(row("125", y=y), others) for y in (100, 160, 220)]
    doubtful = [
        replace(one, before=Signs(point=0.5, comma=0.5) if i == 2 else Signs())
        for i, one in enumerate(twice(row("125", y=280)))
    ]
    numbers, _ = gathered(*lines, doubtful)
    assert texts(numbers) == [text] * 4


def test_the_dots_of_a_dotted_line_separate_nothing() -> None:
    dots = [Box(x, 136, 6, 6) for x in (60, 76, 158, 200, 216, 232)]
    ink = lines_of(*((b.x, b.y, b.width, b.height) for b in dots), at=blank())
    digits = seen(row("125"), "__.", 0.1)
    marks = [mark(dot, SPECK) for dot in dots]
    told = gathered(digits, marks, mask=ink)[0], gathered(digits, [mark(dots[2], SPECK)], mask=blank())[0]
    assert [(n.text, n.reason is None) for numbers in told for n in numbers] == [
        ("125", True),
        ("12.5", False),
    ]


def test_a_point_between_the_boxes_of_a_row_is_asked_about() -> None:
    edges = lines_of(*((92 + 50 * i, 90, 2, 60) for i in range(6)), at=blank())
    dot = mark(Box(132, 132, 7, 8), SPECK)
    numbers = gathered([*row("407", pitch=50), dot], dividers=edges)[0]
    assert [(n.text, n.status, n.reason) for n in numbers] == [
        ("407", Status.REVIEW, "separator: it may be 4.07, marks between its digits: 1")
    ]
    assert texts(gathered([*row("407", pitch=50), dot])[0]) != ["407"]


@pytest.mark.parametrize(("darkness", "text"), [(250, "12,5"), (200, "12,5"), (150, "125")])
def test_a_mark_much_fainter_than_the_digits_separates_nothing(darkness: int, text: str) -> None:
    comma = mark(Box(158, 136, 6, 14), SPECK)
    ink = np.full(SHAPE, 250, np.uint8)
    ink[136:150, 158:164] = darkness
    numbers, _ = gathered(row("125"), [comma], ink=ink)
    assert [(n.text, n.status) for n in numbers] == [(text, Status.ACCEPTED)]


def test_what_is_struck_out_is_left_out_and_says_so() -> None:
    stroke = lines_of((90, 118, 120, 3), at=blank())
    numbers, rejected = gathered([*row("125"), *row("48", 400)], rulings=stroke)
    assert texts(numbers) == ["48"]
    assert [r.digit for r in rejected] == [None] * 3
    assert all((r.reason or "").startswith("struck out: share crossed 1") for r in rejected)


def test_what_is_written_beside_a_struck_number_is_sure() -> None:
    stroke = lines_of((90, 118, 120, 3), at=blank())
    beside = row("48", 240)
    assert gathered([*row("125"), *beside], rulings=stroke)[0][0].status is Status.ACCEPTED
    assert {n.status for n in gathered([*row("125"), *beside])[0]} == {Status.REVIEW}


def test_a_number_may_go_on_in_what_was_taken_for_struck_out() -> None:
    """A bar from one touching digit into the next looks like a stroke through them."""
    struck = mark(Box(164, 100, 70, 40), Rejection(Cause.STRUCK_OUT, "share crossed", 0.97, 0.85))
    field = [*twice(row("25")), struck]
    assert [n.status for n in gathered(twice(row("25")), one_number=True)[0]] == [Status.ACCEPTED]
    assert [n.status for n in gathered(field, one_number=True)[0]] == [Status.REVIEW]
    assert [n.status for n in gathered(field)[0]] == [Status.REVIEW]


@pytest.mark.parametrize(("confidence", "status"), [(0.99, Status.ACCEPTED), (0.9, Status.REVIEW)])
def test_digits_that_are_not_sure_together_go_to_review(confidence: float, status: Status) -> None:
    numbers, _ = gathered(row("12345"), confidence=confidence)
    assert [n.status for n in numbers] == [status]
    assert numbers[0].confidence == pytest.approx(confidence**5, abs=1e-3)


def twice(marks: list[Mark], differs: str = "") -> list[Mark]:
    """`marks`, read a second time."""
    return [replace(one, differs=differs) for one in marks]


def test_a_field_is_one_number_however_far_its_digits_stand_apart() -> None:
    field = [*row("1", 100), *row("2", 300), *row("3", 500)]
    assert texts(gathered(field)[0]) == ["1", "2", "3"]
    numbers, _ = gathered(field, one_number=True)
    assert [(n.text, n.status) for n in numbers] == [("123", Status.REVIEW)]


def test_only_the_first_line_is_the_field() -> None:
    others = [*row("4", 100, 300), *row("5", 300, 300)]
    assert texts(gathered(row("12"), others, one_number=True)[0]) == ["12", "4", "5"]
    assert texts(gathered([], others, one_number=True)[0]) == ["4", "5"]


def test_a_field_read_twice_the_same_lacks_nothing() -> None:
    field = [*row("1", 100), *row("2", 300)]
    assert [n.status for n in gathered(twice(field), one_number=True)[0]] == [Status.ACCEPTED]
    assert [n.status for n in gathered(twice(field, "13"), one_number=True)[0]] == [Status.REVIEW]


def test_a_page_may_lack_digits_though_it_was_read_twice() -> None:
    spaced = [*row("12"), *row("5", 192)]
    assert [n.status for n in gathered(twice(spaced))[0]] == [Status.REVIEW]


def test_a_field_of_which_a_digit_fell_out_lacks_it() -> None:
    field = twice(row("1234"))
    readings = [reading(one) for one in field]
    out = replace(readings[1], digit=None, status=Status.REJECTED, reason="cut off by the edge: …")
    readings[1] = out
    numbers, rejected = gather([field], [readings], blank(), blank(), one_number=True)
    assert [(n.text, n.status) for n in numbers] == [("134", Status.REVIEW)]
    assert rejected == [out]


@pytest.mark.parametrize(("least", "status"), [(0.95, Status.ACCEPTED), (0.98, Status.REVIEW)])
def test_what_was_read_twice_is_accepted_from_another_confidence(least: float, status: Status) -> None:
    numbers, _ = gathered(twice(row("123")), least=LeastSure(few=1.0, several=least))
    assert [n.status for n in numbers] == [status]
    assert [n.status for n in gathered(row("123"), least=LeastSure(1.0, 1.0))[0]] == [Status.ACCEPTED]


@pytest.mark.parametrize("digits", ["7", "77"])
def test_few_digits_may_be_stray_marks_and_have_to_be_surer(digits: str) -> None:
    strict = LeastSure(few=0.999, several=0.9)
    assert [n.status for n in gathered(twice(row(digits)), least=strict)[0]] == [Status.REVIEW]
    assert [n.status for n in gathered(twice(row("777")), least=strict)[0]] == [Status.ACCEPTED]


@pytest.mark.parametrize(("height", "status"), [(13, Status.REVIEW), (14, Status.ACCEPTED)])
def test_digits_of_few_pixels_have_to_be_surer(height: int, status: Status) -> None:
    marks = [mark(Box(100 + 12 * i, 100, 9, height), digit=5) for i in range(3)]
    limits = LeastSure(several=0.9, small=0.98)
    assert [n.status for n in gathered(twice(marks), least=limits)[0]] == [status]


def a_small_one(height: int) -> list[Mark]:
    return [mark(Box(600, 300, 8, height), digit=1)]


@pytest.mark.parametrize(("height", "stays"), [(40, True), (30, True), (26, False), (14, False)])
def test_a_one_far_lower_than_the_digits_of_its_page_is_none(height: int, stays: bool) -> None:
    numbers, rejected = gathered(row("46029"), row("8573", y=200), a_small_one(height))
    assert texts(numbers)[2:] == ["1"] * stays
    assert all((r.reason or "").startswith("speck: ") for r in rejected)
    assert len(rejected) == 1 - stays


def test_a_small_one_among_small_digits_or_on_a_page_of_few_stays() -> None:
    small = [mark(Box(100 + 20 * i, 300, 12, 16), digit=5) for i in range(3)]
    assert texts(gathered(row("46029"), row("8573", y=200), small, a_small_one(14))[0])[-1] == "1"
    assert texts(gathered(row("46029"), a_small_one(14))[0])[-1] == "1"


def a_lone(digits: str, height: int) -> list[Mark]:
    return [mark(Box(600 + 12 * i, 300, 9, height), digit=int(d)) for i, d in enumerate(digits)]


PAGE = row("46029"), row("8573", y=200)


@pytest.mark.parametrize("digits", ["4", "74"])
@pytest.mark.parametrize(("height", "sure"), [(40, True), (17, True), (15, False), (8, False)])
def test_a_digit_far_lower_than_those_of_numbers_is_looked_at(digits: str, height: int, sure: bool) -> None:
    """In a deep shadow, grain of the paper looks like digits."""
    reasons = why(*PAGE, a_lone(digits, height))
    assert reasons[:2] == [None, None]
    assert (
        reasons[2] is None
        if sure
        else " times as high as the lowest digits of numbers, limit " in str(reasons[2])
    )


def test_one_that_is_unsure_as_well_is_left_out() -> None:
    numbers, rejected = gathered(*PAGE, twice(a_lone("4", 14)), least=LeastSure(few=0.999))
    assert texts(numbers) == ["46029", "8573"]
    assert [str(r.reason)[:6] for r in rejected] == ["speck:"]
    numbers, rejected = gathered(*PAGE, twice(a_lone("4", 30)), least=LeastSure(few=0.999))
    assert (texts(numbers)[2:], rejected) == (["4"], [])


def test_small_digits_are_sure_in_numbers_or_where_the_page_has_such_numbers() -> None:
    assert why(*PAGE, a_lone("745", 12))[2] is None
    assert why(*PAGE, a_lone("745", 12), [mark(Box(100, 300, 9, 12), digit=4)])[2:] == [None, None]
    assert why(row("46029"), a_lone("4", 12)) == [None, None]


def test_an_empty_page_holds_nothing() -> None:
    assert gathered() == ([], [])
    assert gathered([]) == ([], [])


def test_a_number_beside_which_a_digit_fell_apart_is_looked_at() -> None:
    crumbs = [mark(Box(170, 100 + 10 * i, 6, 8), SPECK) for i in range(4)]
    assert gathered([*row("12"), *crumbs])[0][0].status is Status.REVIEW
    assert gathered(row("12"), crumbs)[0][0].status is Status.REVIEW
    assert gathered([*row("12"), *crumbs[:2]])[0][0].status is Status.ACCEPTED


def test_print_on_the_paper_is_no_digit_that_fell_apart() -> None:
    crumbs = [mark(Box(170, 100 + 10 * i, 6, 8), SPECK) for i in range(4)]
    ink = np.full(SHAPE, 250, np.uint8)
    ink[:, 165:] = 120
    assert gathered([*row("12"), *crumbs], ink=ink)[0][0].status is Status.ACCEPTED


def test_a_comma_between_flat_digits_is_written() -> None:
    digits = [mark(Box(100, 100, 24, 40)), mark(Box(128, 116, 30, 24)), mark(Box(184, 117, 30, 22))]
    comma = mark(Box(166, 138, 6, 14), SPECK)
    assert texts(gathered(digits, [comma])[0]) == ["77,7"]


# Why a number is looked at


def why(*lines: list[Mark], **options: Any) -> list[str | None]:
    """The reasons of the numbers of `lines`; one is accepted where there is none, and only there."""
    numbers, _ = gathered(*lines, **options)
    assert [n.reason is None for n in numbers] == [n.status is Status.ACCEPTED for n in numbers]
    return [n.reason for n in numbers]


def test_an_accepted_number_has_no_reason() -> None:
    assert why(row("125"), row("48", 400)) == [None, None]


def test_digits_that_are_not_sure_together_are_the_reason() -> None:
    assert why(row("12345"), confidence=0.9) == [
        "uncertain: confidence of all its digits together 0.591, limit 0.8"
    ]
    strict = LeastSure(few=1.0, several=0.98)
    assert why(twice(row("12")), least=strict) == [
        "uncertain: confidence of all its digits together 0.98, limit 1"
    ]


@pytest.mark.parametrize(
    ("differs", "reason"),
    [
        ("", "uncertain: confidence 0.6, limit 0.9"),
        ("173", "read otherwise a second time: the other reading sees 173, confidence in this one 0.486"),
    ],
)
def test_another_reading_or_the_least_sure_digit_comes_before_what_may_be_missing(
    differs: str, reason: str
) -> None:
    spaced = [replace(one, differs=differs) for one in [*row("12"), *row("5", 192)]]
    readings = [doubted(one, confidence) for one, confidence in zip(spaced, (0.9, 0.6, 0.9), strict=True)]
    (number,), _ = gather([spaced], [readings], blank(), blank(), one_number=True)
    assert (number.status, number.reason) == (Status.REVIEW, reason)


def doubted(one: Mark, confidence: float) -> DigitReading:
    why = str(Rejection(Cause.UNCERTAIN, "confidence", confidence, 0.9))
    return replace(reading(one, confidence), status=Status.REVIEW, reason=why)


def test_what_may_lie_between_or_beside_the_digits_is_the_reason() -> None:
    assert why(row("125"), [mark(Box(153, 142, 16, 10), SPECK)]) == [
        "separator: it may be 12,5, marks between its digits: 1"
    ]
    assert why([*row("12"), *row("5", 192)]) == [
        "may lack digits: a gap of 0.9 digit heights in it, limit 0.65"
    ]
    assert why([*row("12"), mark(Box(162, 100, 24, 40), UNLIKE)]) == [
        "may lack digits: a mark that is no digit stands 0.15 digit heights beside it, limit 0.6"
    ]
    assert why(row("12"), row("7", 212))[0] == (
        "may lack digits: another digit stands 1.4 digit heights beside it, limit 1.6"
    )
    crumbs = [mark(Box(170, 100 + 10 * i, 6, 8), SPECK) for i in range(4)]
    assert why([*row("12"), *crumbs]) == [
        "may lack digits: specks in it or beside it, 0.8 digit heights together, limit 0.5"
    ]
    assert why(row("12", x=0)) == ["cut off by the edge: 0 pixels from the edge of the page"]


def test_the_boxes_of_a_row_that_were_not_read_are_the_reason() -> None:
    edges = lines_of(*((92 + 50 * i, 90, 2, 60) for i in range(6)), at=blank())
    skipped = [*row("12", pitch=50), *row("34", 250, pitch=50)]
    assert why(skipped, dividers=edges) == ["may lack digits: boxes in it that were not read: 1"]
    unread = mark(Box(250, 100, 24, 40), UNLIKE)
    assert why([*row("123", pitch=50), unread], dividers=edges) == [
        "may lack digits: a mark stands 1 box away that was not read"
    ]
