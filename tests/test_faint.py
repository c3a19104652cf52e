"""Digits too faint for ink: what is left of them sends the number beside them to review."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from processor.gathering import gather
from processor.records import Box, Cause, DigitReading, Gray, Mask, Status
from processor.rejection.faint import judge_faint
from processor.segmentation.blobs import Blob, find_blobs
from processor.words import Mark, Seen

SHAPE = (140, 500)
DARK, LIMIT = 220, 130
"""How dark a stroke is, and from where on it is ink."""


def blank() -> Mask:
    return np.zeros(SHAPE, np.bool_)


def written(*digits: tuple[str, int, int], grain: float = 4.0) -> Gray:
    """Digits 40 px high, each at its column and so dark, on paper with a grain."""
    page = np.random.default_rng(3).normal(12, grain, SHAPE).clip(0, 255)
    for digit, x, darkness in digits:
        stroke = np.zeros(SHAPE, np.uint8)
        cv2.putText(stroke, digit, (x, 90), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 1, 5, cv2.LINE_AA)
        page = np.where(stroke > 0, darkness, page)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), 0.8), np.uint8)


def boxes(mask: Mask) -> list[Box]:
    return sorted((blob.box for blob in find_blobs(mask, 20)), key=lambda box: box.x)


def looked_at(ink: Gray, mask: Mask, lines: Mask | None = None) -> bool:
    return judge_faint(boxes(mask), ink, mask, blank() if lines is None else lines) is not None


@pytest.mark.parametrize("x", [60, 230])
@pytest.mark.parametrize("digit", "123456789")
def test_a_faint_digit_beside_a_number_is_missed(digit: str, x: int) -> None:
    ink = written((digit, x, 115), ("5", 120, DARK), ("2", 170, DARK))
    against = judge_faint(boxes(ink > LIMIT), ink, ink > LIMIT, blank())
    assert against is not None
    assert against.cause is Cause.UNCERTAIN
    assert against.value is not None
    assert against.limit is not None
    assert against.value < against.limit


def test_a_faint_digit_between_digits_is_missed() -> None:
    ink = written(("3", 100, DARK), ("4", 145, 115), ("6", 190, DARK))
    assert looked_at(ink, ink > LIMIT)


def test_crumbs_of_a_faint_digit_explain_nothing() -> None:
    ink = written(("8", 60, 118), ("5", 120, DARK))
    mask = ink > LIMIT
    mask[64:68, 55:95] |= ink[64:68, 55:95] > 90
    assert looked_at(ink, mask)


@pytest.mark.parametrize("grain", [2.0, 10.0, 25.0])
def test_paper_is_no_stroke_however_grainy(grain: float) -> None:
    ink = written(("5", 120, DARK), ("2", 170, DARK), grain=grain)
    assert not looked_at(ink, ink > LIMIT)


def test_soft_strokes_hide_nothing() -> None:
    ink = np.asarray(cv2.GaussianBlur(written(("5", 120, DARK), ("0", 170, DARK)), (0, 0), 2.0), np.uint8)
    assert not looked_at(ink, ink > 90)


@pytest.mark.parametrize("darkness", [40, 70])
def test_what_shines_through_is_too_faint(darkness: int) -> None:
    ink = written(("9", 60, darkness), ("5", 120, DARK))
    assert not looked_at(ink, ink > LIMIT)


def test_a_ruled_line_is_no_digit_and_nor_is_what_stands_far_away() -> None:
    lines = blank()
    lines[:, 100:103] = True
    ink = written(("7", 320, 115), ("5", 120, DARK))
    ink[lines] = 115
    assert not looked_at(ink, ink > LIMIT, lines)


def test_what_stands_higher_is_of_another_line() -> None:
    ink = written(("5", 120, DARK))
    ink[0:34, 60:110] = written(("7", 60, 115))[50:84, 60:110]
    assert not looked_at(ink, ink > LIMIT)


def gathered(ink: Gray, mask: NDArray[np.bool_]) -> tuple[list[Status], list[str | None]]:
    probabilities = np.full(11, 0.0005, np.float32)
    probabilities[5] = 0.995
    seen = Seen(np.zeros((28, 28), np.float32), probabilities)
    marks = [Mark(Blob(b, mask[b.y : b.bottom, b.x : b.right]), seen, 1.0, None) for b in boxes(mask)]
    readings = [
        DigitReading(digit="5", confidence=0.995, status=Status.ACCEPTED, box=m.blob.box) for m in marks
    ]
    numbers, _ = gather([marks], [readings], blank(), blank(), ink=ink, mask=mask)
    return [n.status for n in numbers], [d.reason for n in numbers for d in n.digits]


def test_the_number_waits_for_a_person_and_says_why() -> None:
    whole = written(("5", 120, DARK), ("5", 165, DARK))
    assert gathered(whole, whole > LIMIT) == ([Status.ACCEPTED], [None, None])
    lost = written(("1", 60, 115), ("5", 120, DARK), ("5", 165, DARK))
    status, reasons = gathered(lost, lost > LIMIT)
    assert status == [Status.REVIEW]
    assert all("faint stroke" in (reason or "") for reason in reasons)
