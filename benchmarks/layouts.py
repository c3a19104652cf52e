"""The kinds of sheet that are rendered: scattered numbers, forms, tables, tally lists.

Nothing printed on them holds a digit, so that the truth is exactly what was written by hand.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchmarks.sheet import Sheet

A4, A5 = (210.0, 297.0), (148.0, 210.0)


class Line(NamedTuple):
    """A printed label with an underlined place for a number."""

    label: str
    name: str
    digits: int


class Comb(NamedTuple):
    """A printed label with a row of boxes, one for each digit."""

    label: str
    name: str
    digits: int


class Form(NamedTuple):
    """A printed form; a field of no digits holds the sum of those before it in its section."""

    title: str
    note: str
    sections: Sequence[tuple[str, Sequence[Line | Comb]]]


DELIVERY = Form(
    "Delivery note",
    "Please write clearly with a dark pen, one digit in each box. Leave empty what does not apply.",
    (
        ("Order", (Comb("Customer number", "customer", 8), Comb("Order number", "order", 6))),
        ("Date", (Comb("Day, month, year", "date", 8),)),
        (
            "Goods received",
            (
                Line("Pallets", "pallets", 2),
                Line("Boxes", "boxes", 3),
                Line("Bottles", "bottles", 4),
                Line("Returned empties", "empties", 3),
                Line("All items together", "total", 0),
            ),
        ),
        ("Payment", (Comb("Invoice number", "invoice", 7), Line("Amount in cents", "amount", 6))),
        ("Vehicle", (Line("Mileage at start", "start", 6), Line("Mileage at end", "end", 6))),
    ),
)

METER = Form(
    "Meter reading",
    "Read the black digits only and begin with the leftmost box.",
    (
        ("Meter", (Comb("Meter number", "meter", 8),)),
        ("Electricity", (Comb("Reading before", "before", 6), Comb("Reading now", "reading", 6))),
        (
            "Water",
            (Line("Cold water", "cold", 5), Line("Warm water", "warm", 5), Line("Together", "total", 0)),
        ),
    ),
)

WEATHER = ("Day", "Highest", "Lowest", "Rain", "Wind", "Clouds")

TALLY_ITEMS = (
    "Blackbird", "Blue tit", "Great tit", "House sparrow", "Robin", "Starling", "Swift", "Swallow",
    "Wood pigeon", "Magpie", "Jay", "Wren",
)  # fmt: skip


SIZES_MM = 1.05, 1.05, 2.0, 4.0, 8.0, 16.0, 34.0
"""Heights of digits, in millimetres, that stand on one page: at 300 dpi these are 12 to 400 pixels."""


def free(sheet: Sheet) -> None:
    """Numbers of one to six digits anywhere on white paper, by many hands."""
    step_x, step_y = 8.5 * sheet.style.digit_mm, 3.2 * sheet.style.digit_mm
    y = 15 + sheet.style.digit_mm
    while y < sheet.height_mm - 15:
        x = 12.0
        while x + step_x < sheet.width_mm - 5:
            if sheet.rng.random() < 0.8:
                text = number_text(sheet.rng, int(sheet.rng.integers(1, 7)))
                drop = sheet.rng.uniform(-0.3, 0.3) * sheet.style.digit_mm
                end = sheet.write(text, x + sheet.rng.uniform(0, 4), y + drop)
                x = max(x + step_x / 2, end + 1.5 * sheet.style.digit_mm)
            else:
                x += step_x / 2
        y += step_y


def form(sheet: Sheet, spec: Form = DELIVERY) -> None:
    """A printed form, filled in by one hand."""
    scale = sheet.width_mm / A4[0]
    left, right = 18 * scale, sheet.width_mm - 18 * scale
    sheet.print_text(left, 24 * scale, spec.title, 7)
    sheet.print_text(left, 32 * scale, spec.note, 2.8 * max(scale, 0.8))
    writer = int(sheet.rng.choice(sheet.hands.able("0123456789")))
    y = 40 * scale
    for heading, fields in spec.sections:
        height = 9 + 13 * len(fields)
        sheet.frame(left, y, right - left, height, 0.3)
        sheet.print_text(left + 3, y + 6, heading, 4)
        written: list[int] = []
        for row, entry in enumerate(fields):
            baseline = y + 17 + 13 * row
            text = _value(sheet.rng, entry, written)
            written.append(int(text))
            sheet.print_text(left + 6, baseline - 1, entry.label, 3.4)
            _fill(sheet, entry, left + 62 * scale, baseline, text, writer)
        y += height + 5


def _value(rng: np.random.Generator, entry: Line | Comb, written: Sequence[int]) -> str:
    """What a person would enter after `written`: sums and later readings fit the ones before them."""
    if entry.name == "date":
        return f"{rng.integers(1, 29):02d}{rng.integers(1, 13):02d}{rng.integers(2019, 2030)}"
    if entry.name in ("end", "reading") and written:
        value = written[-1] + int(rng.integers(30, 900))
    elif entry.digits:
        value = int(rng.integers(10 ** (entry.digits - 1), 9 * 10 ** (entry.digits - 1)))
    else:
        value = sum(written)
    return str(value)


def _fill(sheet: Sheet, entry: Line | Comb, x: float, baseline: float, text: str, writer: int) -> None:
    if isinstance(entry, Comb):
        box = 1.5 * sheet.style.digit_mm
        top = baseline - 1.25 * sheet.style.digit_mm
        sheet.rule(x, top, x + box * entry.digits, top)
        sheet.rule(x, top + box, x + box * entry.digits, top + box)
        for edge in range(entry.digits + 1):
            sheet.rule(x + edge * box, top, x + edge * box, top + box)
        sheet.write(text, x, baseline, name=entry.name, pitch=box, writer=writer)
    else:
        sheet.rule(x, baseline + 1, x + 60, baseline + 1)
        sheet.write(text, x + 3, baseline, name=entry.name, writer=writer)


def table(sheet: Sheet, rows: int = 24) -> None:
    """A ruled table of daily weather observations with decimal commas, kept by one hand."""
    columns = tuple(zip(WEATHER, (18.0, 34.0, 34.0, 32.0, 26.0, 26.0), strict=True))
    left, top, row_height = 20.0, 40.0, (sheet.height_mm - 60) / (rows + 1)
    sheet.print_text(left, 20, "Weather station", 6)
    sheet.print_text(left, 29, "Daily observations: temperature in degrees, rain in millimetres", 3)
    writer = int(sheet.rng.choice(sheet.hands.able("0123456789")))
    edges = np.cumsum([left, *(width for _, width in columns)])
    for row in range(rows + 2):
        sheet.rule(left, top + row * row_height, float(edges[-1]), top + row * row_height)
    for edge in edges:
        sheet.rule(float(edge), top, float(edge), top + (rows + 1) * row_height)
    for (name, _), edge in zip(columns, edges[:-1], strict=True):
        sheet.print_text(float(edge) + 2, top + 0.65 * row_height, name, 3.2)
    for row in range(rows):
        baseline = top + (row + 2) * row_height - 0.5 * (row_height - sheet.style.digit_mm)
        for (name, _), edge, text in zip(columns, edges[:-1], _weather(sheet.rng, row + 1), strict=True):
            sheet.write(text, float(edge) + 4, baseline, name=name.lower(), writer=writer)


def _weather(rng: np.random.Generator, day: int) -> tuple[str, ...]:
    lowest = rng.uniform(8, 17)
    highest = lowest + rng.uniform(4, 14)
    numbers = highest, lowest, rng.exponential(6)
    decimals = (f"{value:.1f}".replace(".", ",") for value in numbers)
    return str(day), *decimals, str(rng.integers(1, 60)), str(rng.integers(0, 9))


def tally(sheet: Sheet) -> None:
    """A list of counts on ruled paper with a sum for each column; two people counted."""
    scale = sheet.width_mm / A5[0]
    left, right, top = 12 * scale, sheet.width_mm - 12 * scale, 38 * scale
    row_height = (sheet.height_mm - top - 12 * scale) / (len(TALLY_ITEMS) + 1)
    columns = [left + share * (right - left) for share in (0.4, 0.6, 0.8)]
    sheet.print_text(left, 18 * scale, "Bird count", 7 * scale)
    for x, name in zip(columns, ("Morning", "Noon", "Evening"), strict=True):
        sheet.print_text(x, top - 3, name, 3.6 * scale)
        sheet.rule(x - 3, top - 8, x - 3, sheet.height_mm - 12 * scale, 0.2)
    sheet.rule(left, top, right, top, 0.5)
    writers = sheet.rng.choice(sheet.hands.able("0123456789"), 2)
    sums = np.zeros(3, int)
    for row, item in enumerate((*TALLY_ITEMS, "Sum")):
        bottom = top + (row + 1) * row_height
        counts = sheet.rng.integers(0, (30, 120, 400)[row % 3], 3) if item != "Sum" else sums
        sums = sums + counts
        sheet.rule(left, bottom, right, bottom, 0.5 if item == "Sum" else 0.2)
        sheet.print_text(left + 1, bottom - 0.3 * row_height, item, 4 * scale)
        for column, (x, count) in enumerate(zip(columns, counts.tolist(), strict=True)):
            baseline = bottom - 0.25 * row_height
            sheet.write(str(count), x, baseline, name=item.lower(), writer=int(writers[column % 2]))


def sizes(sheet: Sheet, heights_mm: Sequence[float] = SIZES_MM) -> None:
    """Rows of numbers on white paper, each row written with digits of another height, by one hand."""
    style, y = sheet.style, 12.0
    writer = int(sheet.rng.choice(sheet.hands.able("0123456789")))
    for height in heights_mm:
        sheet.style = replace(style, digit_mm=height, stroke_mm=0.09 * height)
        digits = int(max(2, min(5, 0.8 * sheet.width_mm / height / 1.2)))
        y, x = y + 1.2 * height, 15.0
        while x + 1.2 * digits * height < sheet.width_mm - 10:
            x = sheet.write(number_text(sheet.rng, digits), x, y, writer=writer) + 4 * height
        y += 0.8 * height
    sheet.style = style


def number_text(rng: np.random.Generator, digits: int) -> str:
    """A number of that many digits, leading zeros included."""
    return "".join(str(digit) for digit in rng.integers(0, 10, digits))


KINDS: dict[str, tuple[tuple[float, float], Callable[[Sheet], None]]] = {
    "free": (A4, free),
    "form": (A4, form),
    "table": (A4, table),
    "tally": (A5, tally),
    "sizes": (A4, sizes),
}
"""Kind -> size of its paper in millimetres, and what fills it."""
