"""Pages of numbers with commas, points and minus signs, on what is printed on forms to write on.

Dots of a dotted line, walls of a comb, grid lines and dirt stand where separators do; whole numbers stand
among them, so that a separator that was not written shows as well as one that was lost.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.layouts import A4, number_text
from benchmarks.sheet import Sheet

COMMA_PAGES = 0.6
"""So many pages are by people who write a decimal comma, the others by those who write a point."""

DIRT = 60
"""Specks on a dirty page, of the size of a pen's stroke and less."""

WALL = 0.25
"""Millimetres that grid lines are wide."""


def figure(rng: np.random.Generator, decimal: str) -> str:
    """A number as it is written where `decimal` is the decimal sign: whole, or with separators."""
    thousand = "." if decimal == "," else ","
    kind = rng.random()
    if kind < 0.4:
        return _whole(rng, int(rng.integers(1, 7)))
    if kind < 0.75:
        return f"{_whole(rng, int(rng.integers(1, 4)))}{decimal}{number_text(rng, int(rng.integers(1, 3)))}"
    if kind < 0.83:
        return f"{_whole(rng, int(rng.integers(1, 4)))}{thousand}{number_text(rng, 3)}"
    if kind < 0.88:
        grouped = f"{_whole(rng, int(rng.integers(1, 3)))}{thousand}{number_text(rng, 3)}"
        return f"{grouped}{decimal}{number_text(rng, 2)}"
    if kind < 0.93:
        return f"-{_whole(rng, int(rng.integers(1, 3)))}{decimal}{number_text(rng, 1)}"
    if kind < 0.96:
        return f"-{_whole(rng, int(rng.integers(1, 4)))}"
    return f"{rng.integers(1, 29):02d}.{rng.integers(1, 13):02d}.{rng.integers(2019, 2030)}"


def _whole(rng: np.random.Generator, digits: int) -> str:
    return str(int(rng.integers(10 ** (digits - 1), 10**digits)))


def dotted(sheet: Sheet) -> None:
    """Fields on dotted lines: fine or heavy dots, close or wide apart, the writing on them or across."""
    size, pitch = sheet.rng.uniform(0.2, 0.65), sheet.rng.uniform(0.9, 2.2)

    def line(x: float, y: float, width: float) -> None:
        for at in np.arange(x, x + width, max(pitch, 1.6 * size)):
            sheet.dot(float(at), y, float(size))

    _fields(sheet, line)


def lined(sheet: Sheet) -> None:
    """Fields on ruled lines."""
    _fields(sheet, lambda x, y, width: sheet.rule(x, y, x + width, y))


def _fields(sheet: Sheet, line: Callable[[float, float, float], None]) -> None:
    """Two columns of fields by one hand, each upon a `line` from (x, y), so many millimetres wide."""
    rng, decimal, writer = sheet.rng, _decimal(sheet), _writer(sheet)
    above = rng.uniform(-0.3, 1.2)
    for x in (18.0, 112.0):
        for row in range(19):
            y = 32 + 13.5 * row
            sheet.print_text(x, y - 1, ("Total", "Rest", "Share", "Count")[row % 4], 3.2)
            line(x + 16, y, 62)
            sheet.write(figure(rng, decimal), x + 20 + rng.uniform(0, 8), y - above, writer=writer)


def grid(sheet: Sheet) -> None:
    """A table of narrow cells, every number in one; some slip towards a line."""
    rng, decimal, writer = sheet.rng, _decimal(sheet), _writer(sheet)
    left, top, width, height = 15.0, 30.0, 45.0, 9.5
    for row in range(26):
        sheet.rule(left, top + row * height, left + 4 * width, top + row * height, WALL)
    for column in range(5):
        x = left + column * width
        sheet.rule(x, top, x, top + 25 * height, WALL)
        for row in range(25 if column < 4 else 0):
            y = top + (row + 1) * height - rng.uniform(0.8, 3.2)
            sheet.write(figure(rng, decimal), x + rng.uniform(2, 6), y, writer=writer)


def combs(sheet: Sheet) -> None:
    """Whole numbers in boxes and half-open combs of one digit each, beside free ones with separators."""
    rng, decimal, writer = sheet.rng, _decimal(sheet), _writer(sheet)
    box = 1.5 * sheet.style.digit_mm
    for row in range(19):
        y, digits = 30 + 13.5 * row, int(rng.integers(3, 8))
        top, bottom = y - 1.25 * sheet.style.digit_mm, y + 0.25 * sheet.style.digit_mm
        tooth = bottom - rng.uniform(0.3, 0.6) * box if row % 2 else top
        sheet.rule(20, bottom, 20 + box * digits, bottom)
        if not row % 2:
            sheet.rule(20, top, 20 + box * digits, top)
        for edge in range(digits + 1):
            sheet.rule(20 + edge * box, tooth, 20 + edge * box, bottom)
        sheet.write(_whole(rng, digits), 20, y, pitch=box, writer=writer)
        sheet.write(figure(rng, decimal), 112 + rng.uniform(0, 20), y, writer=writer)


def dirty(sheet: Sheet) -> None:
    """Numbers on plain paper with crumbs and specks about them."""
    for _ in range(DIRT):
        at = sheet.rng.uniform((5, 5), (sheet.width_mm - 5, sheet.height_mm - 5))
        sheet.dot(float(at[0]), float(at[1]), float(sheet.rng.uniform(0.15, 0.6)))
    _fields(sheet, lambda x, y, width: None)


def _decimal(sheet: Sheet) -> str:
    return "," if sheet.rng.random() < COMMA_PAGES else "."


def _writer(sheet: Sheet) -> int:
    return int(sheet.rng.choice(sheet.hands.able("0123456789")))


LAYOUTS: dict[str, Callable[[Sheet], None]] = {
    "dotted": dotted,
    "lined": lined,
    "grid": grid,
    "combs": combs,
    "dirty": dirty,
}
"""Kind of page -> what fills it."""

SIZE = A4
