"""What each of two readings says by itself: kept, shown beside the number, and read back."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import Engine, update

from processor.intake.queue import claim, enqueue, finish
from processor.records import Box, NumberReading, Page, Status, TwoReadings, Winner
from processor.results.annotate import annotate
from processor.results.database import open_read_only, writing
from processor.results.number_strip import number_strip, quarter_turns
from processor.results.queries import run_select, scan_report
from processor.results.rejected_sheet import COLUMNS, MOST_MARKS, rejected_sheet
from processor.results.replacement import stored_reading, stored_scans
from processor.results.schema import numbers
from tests.sample_readings import a_blob, a_digit, a_number, a_page, a_result

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UNSURE = "uncertain: confidence of all its digits 0.81, limit 0.93"
TWICE = TwoReadings(
    first="1250", first_confidence=0.31, second="1256", second_confidence=0.88, winner=Winner.SECOND
)


def read_twice(twice: TwoReadings | None = TWICE, status: Status = Status.REVIEW) -> NumberReading:
    return replace(a_number("1256", status), twice=twice)


def store(engine: Engine, *numbers: NumberReading) -> None:
    enqueue(engine, source=Path("/inbox"), file="a.png", sha256="a" * 64, bytes=9, now=NOW)
    job = claim(engine, NOW, 60)
    assert job is not None
    finish(engine, job, a_result(a_page(*numbers, rejected=(a_blob(),))), NOW)


# Several strips of one number


def of(digits: str, winner: Winner, first: float | None = 0.5) -> TwoReadings:
    return TwoReadings(
        first=digits, first_confidence=first, second=digits[::-1], second_confidence=0.4, winner=winner
    )


def test_strips_of_one_number_are_joined_from_left_to_right() -> None:
    joined = TwoReadings.joined([of("12", Winner.FIRST), of("34", Winner.BOTH)])
    assert (joined.first, joined.second, joined.winner) == ("1234", "2143", Winner.FIRST)
    assert (joined.first_confidence, joined.second_confidence) == (0.25, 0.16)


def test_an_unknown_probability_stays_unknown() -> None:
    assert TwoReadings.joined([of("1", Winner.BOTH, None), of("2", Winner.BOTH)]).first_confidence is None


@given(st.lists(st.sampled_from(list(Winner)), min_size=1, max_size=5))
def test_the_winner_over_all_strips(winners: list[Winner]) -> None:
    joined = TwoReadings.joined([of("1", winner) for winner in winners]).winner
    told = set(winners) - {Winner.BOTH}
    assert joined is (Winner.BOTH if not told else told.pop() if len(told) == 1 else Winner.NEITHER)


# The database


def test_both_readings_are_stored_beside_the_number(engine: Engine, url: str) -> None:
    store(engine, read_twice(), a_number("7"))
    only = open_read_only(url)
    query = (
        "SELECT n.text, t.* FROM numbers AS n LEFT JOIN two_readings AS t ON t.number_id = n.id "
        "ORDER BY n.position DESC"
    )
    rows = run_select(only, query)[1]
    only.dispose()
    assert [(row[0], *row[2:]) for row in rows] == [
        ("7", None, None, None, None, None),
        ("1256", "1250", 0.31, "1256", 0.88, "second"),
    ]


def test_what_was_stored_is_read_back(engine: Engine) -> None:
    kept = read_twice(replace(TWICE, first_confidence=None))
    store(engine, kept, a_number("7"))
    (page,) = stored_reading(engine, stored_scans(engine, [])[0])
    assert [number.twice for number in page.numbers] == [kept.twice, None]


@pytest.mark.parametrize(("status", "shown"), [(Status.REVIEW, UNSURE), (Status.CORRECTED, None)])
def test_a_number_keeps_why_it_is_looked_at_until_a_person_corrects_it(
    engine: Engine, url: str, status: Status, shown: str | None
) -> None:
    store(engine, replace(read_twice(), reason=UNSURE), a_number("7"))
    with writing(engine) as connection:
        where = numbers.c.text == "1256"
        connection.execute(update(numbers).where(where).values(status=status.value))
    only = open_read_only(url)
    told = run_select(only, "SELECT text, reason FROM readings ORDER BY position")[1]
    only.dispose()
    (page,) = stored_reading(engine, stored_scans(engine, [])[0])
    assert told == [(number.text, number.reason) for number in page.numbers]
    assert told == [("1256", shown), ("7", None)]


def test_a_rejected_mark_keeps_what_it_looks_like(engine: Engine) -> None:
    blob = replace(
        a_digit("8"), digit=None, status=Status.REJECTED, reason="text: nats for a word 3, limit 0"
    )
    enqueue(engine, source=Path("/inbox"), file="a.png", sha256="a" * 64, bytes=9, now=NOW)
    job = claim(engine, NOW, 60)
    assert job is not None
    finish(engine, job, a_result(a_page(a_number("7"), rejected=(blob, a_blob()))), NOW)
    (page,) = scan_report(engine, "a.png").pages
    assert [row["looks_like"] for row in page.rejected] == ["8", None]
    assert [row["looks_like"] for row in page.numbers[0].digits] == ["7"]


def test_rows_go_with_their_number(engine: Engine) -> None:
    store(engine, read_twice())
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM numbers")
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM two_readings").scalar_one() == 0


# Pictures


def page(width: int = 400, height: int = 300) -> Page:
    return Page(number=1, pixels=np.full((height, width), 250, np.uint8), dpi=None)


def at(number: NumberReading, x: int = 120, y: int = 100) -> NumberReading:
    """`number` with its digits side by side, 25 px wide and 40 px high."""
    own = tuple(
        replace(digit, box=Box(x + 25 * place, y, 20, 40)) for place, digit in enumerate(number.digits)
    )
    return replace(number, digits=own, box=Box.around(digit.box for digit in own))


def drawn(number: NumberReading, shown: Page) -> Image.Image:
    whole = replace(a_page(number), width=shown.width, height=shown.height)
    return annotate(shown, whole)


def ink(image: Image.Image) -> int:
    return int((np.asarray(image).min(axis=2) < 100).sum())


def test_readings_are_told_where_a_person_must_look_and_only_there() -> None:
    in_review = [drawn(at(read_twice(twice)), page()) for twice in (TWICE, None)]
    accepted = [drawn(at(read_twice(twice, Status.ACCEPTED)), page()) for twice in (TWICE, None)]
    assert ink(in_review[0]) > ink(in_review[1])
    assert np.array_equal(np.asarray(accepted[0]), np.asarray(accepted[1]))


def test_a_strip_cut_tightly_has_room_for_both_readings() -> None:
    tight = page(110, 44)
    told, untold = (drawn(at(read_twice(twice), 4, 2), tight) for twice in (TWICE, None))
    assert told.height > untold.height
    assert ink(told) > ink(untold)


def test_the_strip_of_a_number_has_a_line_for_its_two_readings() -> None:
    number = {"position": 1, "text": "1256", "confidence": 0.6, "status": "review"}
    place = {"x": 120, "y": 100, "width": 90, "height": 40}
    row = {
        "first": "1250",
        "first_confidence": None,
        "second": "",
        "second_confidence": 0.2,
        "winner": "first",
    }
    one, two = (number_strip(page(), number | place, [], told) for told in (None, row))
    assert 10 < two.height - one.height < 40
    why, no_reason = (number_strip(page(), number | place | {"reason": r}, []) for r in (UNSURE, None))
    assert 10 < why.height - no_reason.height < 40
    assert ink(why) > ink(no_reason) + 200
    assert np.array_equal(np.asarray(no_reason), np.asarray(one))


@pytest.mark.parametrize(
    ("skew", "turns"), [(0.0, 0), (-14.0, 0), (91.5, 1), (-90.0, 3), (179.0, 2), (-180.0, 2)]
)
def test_a_page_that_lies_on_its_side_is_shown_upright(skew: float, turns: int) -> None:
    assert quarter_turns(skew) == turns
    upright = np.full((300, 400), 250, np.uint8)
    upright[100:140, 120:210] = 60
    upright[100:110, 120:130] = 0
    pixels = np.ascontiguousarray(np.rot90(upright, -turns))
    y, x = (int(values.min()) for values in np.nonzero(pixels == 60))
    high, wide = (90, 40) if turns % 2 else (40, 90)
    number = {"position": 1, "text": "1", "confidence": 0.9, "status": "accepted", "x": x, "y": y}
    shown = Page(number=1, pixels=pixels, dpi=None)
    strip = np.asarray(number_strip(shown, number | {"width": wide, "height": high}, [], None, turns))
    rows, columns = np.nonzero(strip[:150, :, 0] < 20)
    dark_rows, dark_columns = np.nonzero(strip[:150, :300, 0] < 100)
    assert dark_columns.max() - dark_columns.min() == pytest.approx(216, abs=6)
    assert (rows.mean() < dark_rows.mean(), columns.mean() < dark_columns.mean()) == (True, True)


def blob_row(position: int, reason: str, looks_like: str | None) -> dict[str, object]:
    place = {"x": 50, "y": 40, "width": 30, "height": 40}
    guesses = {"looks_like": looks_like, "confidence": 0.4, "second": None, "second_confidence": None}
    rest = {"digit": None, "third": None, "third_confidence": None}
    return {"position": position, "reason": reason} | place | guesses | rest


def test_every_rejected_mark_has_a_row_that_says_what_it_was_taken_for() -> None:
    first = rejected_sheet(page(), [blob_row(1, "text: nats for a word 3, limit 0", "8")])
    both = rejected_sheet(page(), [blob_row(1, "text", "8"), blob_row(2, "speck", None)])
    assert both.height > 1.8 * first.height
    assert ink(first) > 100


def test_many_marks_stand_in_columns() -> None:
    one, many = (
        rejected_sheet(page(), [blob_row(n, "text", "8") for n in range(count)]) for count in (3, 60)
    )
    assert many.width == COLUMNS * one.width
    assert many.height == 5 * one.height


def test_a_page_of_prose_is_cut_short_and_an_empty_one_says_so() -> None:
    many = rejected_sheet(page(), [blob_row(n, "text", "8") for n in range(1, MOST_MARKS + 20)])
    exact = rejected_sheet(page(), [blob_row(n, "text", "8") for n in range(1, MOST_MARKS + 1)])
    assert 10 < many.height - exact.height < 40
    assert ink(rejected_sheet(page(), [])) > 20


def test_the_edge_of_a_page_has_pictures_too() -> None:
    edge = {**blob_row(1, "cut off by the edge", "1"), "x": 0, "y": 299, "width": 400, "height": 1}
    assert rejected_sheet(page(), [edge]).height > 20
