"""The page with what was read on it: boxes coloured by status, labels beside the ink, a legend below."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

import numpy as np
from PIL import Image

from processor.records import Box, DigitReading, NumberReading, Page, PageReading, Status
from processor.results.canvas import Canvas, Corner
from processor.results.contact_sheet import contact_sheet
from processor.results.lettering import (
    BLACK,
    SHADES,
    WHITE,
    Colour,
    Rgb,
    Run,
    guess,
    percent,
    short_reason,
    shorten,
    stacked,
    tag,
)

__all__ = ["annotate", "contact_sheet"]

LONG_SIDE_PIXELS = 2000
LEGIBLE_LONG_SIDE_PIXELS = 1000
LEGIBLE_DIGIT_PIXELS = 40
LARGEST_ENLARGEMENT = 8
LEGEND_TEXT_PIXELS = 18
LEGEND_CAUSES = 3
TINY_PIXELS = 16
FEW = 12


def annotate(page: Page, reading: PageReading) -> Image.Image:
    """Draws `reading` onto its page: RGB, at most about 2000 pixels long, and a legend strip below the page.

    Larger pages are reduced, and pages too small to be labelled are enlarged by a whole factor. A page whose
    numbers stand close to its upper or lower edge gets a gray margin there, and a narrow one on its right, so
    that a strip cut tightly around a number has room for labels and legend.
    """
    boxes = [number.box for number in reading.numbers]
    scale = _scale(page, boxes)
    canvas = Canvas(page, scale, _margins(page, reading.numbers, scale))
    for blob in reading.rejected:
        canvas.outline(canvas.scaled(blob.box), SHADES[Status.REJECTED].fill, 1, dashed=True)
    for number in reading.numbers:
        _outline(canvas, number)
    for number in reading.numbers:
        _label(canvas, number)
    _name_causes(canvas, reading.rejected)
    return Image.fromarray(_with_legend(canvas.pixels, reading))


def _scale(page: Page, numbers: Sequence[Box]) -> float:
    """Below 1 for a page that is too large, else a whole factor that makes page and digits legible."""
    longest = max(page.width, page.height)
    if longest > LONG_SIDE_PIXELS:
        return LONG_SIDE_PIXELS / longest
    wanted = LEGIBLE_LONG_SIDE_PIXELS / longest
    if numbers:
        wanted = max(wanted, LEGIBLE_DIGIT_PIXELS / max(1.0, median(box.height for box in numbers)))
    return float(max(1, min(int(np.ceil(wanted)), LONG_SIDE_PIXELS // longest, LARGEST_ENLARGEMENT)))


def _margins(page: Page, numbers: Sequence[NumberReading], scale: float) -> tuple[int, int]:
    """Pixels to add above and below the page, so that a label fits between its edge and every number."""
    if not numbers:
        return 0, 0
    boxes = [number.box for number in numbers]
    size = max(_label_size(box.height * scale) for box in boxes)
    label = 3 + tag([Run("0", size)], BLACK, WHITE).shape[0]
    readings = tag([Run("0", _small(size))], BLACK, WHITE).shape[0] if any(map(_is_told, numbers)) else 0
    top = label - round(min(box.y for box in boxes) * scale)
    bottom = label + readings - round((page.height - max(box.bottom for box in boxes)) * scale)
    return max(0, top), max(0, bottom)


def _label_size(height: float) -> int:
    """Lettering size for a number of that height on the canvas."""
    return int(np.clip(0.5 * height, 13, 40))


def _outline(canvas: Canvas, number: NumberReading) -> None:
    """The number's border, and inside it a thinner one for each of its digits."""
    frame = canvas.scaled(number.box, pad=3)
    canvas.outline(frame, SHADES[number.status].fill, 3 if number.status is Status.REVIEW else 2)
    canvas.occupy(frame)
    if len(number.digits) > 1:
        for digit in number.digits:
            box = canvas.scaled(digit.box)
            canvas.outline(box, SHADES[digit.status].fill, 2 if digit.status is Status.REVIEW else 1)
            canvas.occupy(box)


def _label(canvas: Canvas, number: NumberReading) -> None:
    """The read text below the number and each digit above its box; where both do not fit, the text alone."""
    frame = canvas.scaled(number.box, pad=3)
    size = _label_size(frame.height)
    label = _text_label(canvas, number, size)
    if _is_told(number):
        with_readings = _with_readings(label, number, _small(size))
        below, beside = _around(frame, with_readings)[1:]
        label = with_readings if canvas.first_free(with_readings, (*below, *beside)) else label
    above, below, beside = _around(frame, label)
    digits = _digit_labels(canvas, number, max(11, round(0.75 * size))) if len(number.digits) > 1 else []
    place = canvas.first_free(label, (*below, *beside))
    if place and digits and all(canvas.fits(*digit) for digit in digits):
        for digit in digits:
            canvas.put(*digit)
        canvas.put(label, place)
    elif place := canvas.first_free(label, (*above, *below, *beside)):
        canvas.put(label, place)
    else:
        label = _text_label(canvas, number, max(11, round(0.7 * size)))
        canvas.put_best(label, [corner for side in _around(frame, label) for corner in side])


def _text_label(canvas: Canvas, number: NumberReading, size: int) -> Rgb:
    shade = SHADES[number.status]
    text = shorten(number.text, size, canvas.width // 2)
    confidence = Run(f" {percent(number.confidence)}%", round(0.7 * size))
    return tag([Run(text, size), confidence], shade.text, shade.fill)


def _small(size: int) -> int:
    return max(11, round(0.55 * size))


def _is_told(number: NumberReading) -> bool:
    """Whether what each of two readings says is shown: where a person must look, and only there."""
    return number.status is Status.REVIEW and number.twice is not None


def _with_readings(label: Rgb, number: NumberReading, size: int) -> Rgb:
    """The label with a line below it that tells what each of the two readings says by itself."""
    assert number.twice is not None
    first = guess(number.twice.first, number.twice.first_confidence)
    second = guess(number.twice.second, number.twice.second_confidence)
    line = tag([Run(f"1st {first}  2nd {second}", size)], BLACK, WHITE)
    return stacked((label, line))


def _digit_labels(canvas: Canvas, number: NumberReading, size: int) -> list[tuple[Rgb, Corner]]:
    """A label "digit confidence" above each digit; none at all where the digits stand too close for that."""
    labels: list[tuple[Rgb, Corner]] = []
    top, free_from = canvas.scaled(number.box, pad=3).y, 0.0
    for digit in sorted(number.digits, key=lambda d: d.box.x):
        runs = [Run(digit.digit or "?", size), Run(f" {percent(digit.confidence)}", round(0.65 * size))]
        label = tag(runs, _darker(SHADES[digit.status].fill), WHITE, margin=1)
        centred = canvas.scaled(digit.box).centre[0] - label.shape[1] / 2
        x = max(centred, free_from)
        if x > centred + label.shape[1] / 4:
            return []
        labels.append((label, (round(x), top - label.shape[0])))
        free_from = x + label.shape[1] + 1
    return labels


def _darker(colour: Colour) -> Colour:
    """The status's colour, dark enough to be read as lettering on white."""
    red, green, blue = (round(0.7 * part) for part in colour)
    return red, green, blue


def _around(frame: Box, label: Rgb) -> tuple[list[Corner], list[Corner], list[Corner]]:
    """Where a label can stand: above, below and beside its frame."""
    height, width = label.shape[:2]
    lefts = frame.x, frame.right - width
    middle = round(frame.centre[1] - height / 2)
    return (
        [(x, frame.y - height) for x in lefts],
        [(x, frame.bottom) for x in lefts],
        [(frame.right, middle), (frame.x - width, middle)],
    )


def _name_causes(canvas: Canvas, rejected: Sequence[DigitReading]) -> None:
    """The short reason beside each rejected blob, unless it would hide something; the legend counts them all.

    Tiny blobs stay nameless where there are many: a sheet of creased paper was covered with "speck".
    """
    causes = Counter(short_reason(blob.reason) for blob in rejected)
    for blob in rejected:
        cause, box = short_reason(blob.reason), canvas.scaled(blob.box)
        tiny = max(box.width, box.height) < TINY_PIXELS
        if cause and not (tiny and causes[cause] > FEW):
            label = tag([Run(cause, 12)], SHADES[Status.REJECTED].fill, WHITE, margin=1)
            if place := canvas.first_free(label, [corner for side in _around(box, label) for corner in side]):
                canvas.put(label, place)


def _with_legend(pixels: Rgb, reading: PageReading) -> Rgb:
    """The canvas on top of a white strip with the counts: of numbers by status, as their frames show it."""
    width = pixels.shape[1]
    rows = _wrapped(_legend_entries(reading), width)
    height = sum(row.shape[0] for row in rows) + 12
    whole = np.full((pixels.shape[0] + height, width, 3), 255, np.uint8)
    whole[: pixels.shape[0]] = pixels
    whole[pixels.shape[0]] = SHADES[Status.REJECTED].fill
    y = pixels.shape[0] + 6
    for row in rows:
        whole[y : y + row.shape[0], : row.shape[1]] = row
        y += row.shape[0]
    return whole


def _legend_entries(reading: PageReading) -> list[Rgb]:
    digits = [digit for number in reading.numbers for digit in number.digits]
    found = f"{_count(digits, 'digit')} in {_count(reading.numbers, 'number')}"
    if not reading.numbers:
        found = "no numbers found"
    entries = [_entry(f"page {reading.page}: {found}")]
    counts = Counter(number.status for number in reading.numbers)
    kinds = [status for status in (Status.ACCEPTED, Status.REVIEW, Status.CORRECTED) if counts[status]]
    entries += [_entry(f"{status} {counts[status]}", status) for status in kinds]
    if reading.rejected:
        entries.append(_entry(f"rejected {len(reading.rejected)}", Status.REJECTED))
        entries += [_entry(text) for text in _causes(reading.rejected)]
    return entries


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _causes(rejected: Sequence[DigitReading]) -> list[str]:
    causes = Counter(cause for blob in rejected if (cause := short_reason(blob.reason)))
    return [f"{cause} {count}" for cause, count in causes.most_common(LEGEND_CAUSES)]


def _entry(text: str, status: Status | None = None) -> Rgb:
    """One legend entry, led by a swatch in its status's colour."""
    line = tag([Run(text, LEGEND_TEXT_PIXELS)], BLACK, WHITE, margin=8)
    if status is None:
        return line
    swatch = np.full((line.shape[0], line.shape[0] + 4, 3), 255, np.uint8)
    swatch[4:-4, 8:] = SHADES[status].fill
    return np.hstack([swatch, line])


def _wrapped(entries: Sequence[Rgb], width: int) -> list[Rgb]:
    """Entries side by side, in as many rows as the width needs; an entry wider than a row is cut."""
    rows: list[list[Rgb]] = [[]]
    for entry in entries:
        if rows[-1] and sum(e.shape[1] for e in rows[-1]) + entry.shape[1] > width:
            rows.append([])
        rows[-1].append(entry[:, :width])
    return [np.hstack(row) for row in rows]
