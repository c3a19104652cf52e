"""Numbers as nobody wrote them: digits of one hand beside each other, touching, uneven, with separators."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Gray
from training.augment import Ink
from training.inks import Inks

DIGIT = 44.0
"""Height in pixels of the digits on the canvas: twice that on a strip."""

ROWS = 84
BASE = 63.0
"""The canvas has so many rows, and the digits stand on this one."""

LABELLED = frozenset("0123456789.,-")
"""What the network is to tell; `=`, `:` and `/` after an amount, and `#` before it, are to be overlooked."""

LENGTHS = (0.05, 0.11, 0.24, 0.24, 0.17, 0.11, 0.05, 0.03)
"""How often numbers have 1, 2, 3 … digits."""

DIFFERENT = 5
"""A hand has at least so many different digits of its own; the others are anybody's of its source."""

PRINTED = frozenset(("printed-digits",))
"""Sources whose digits stand straight, alike and evenly spaced."""

_EDGE = 30.0
_NEAR = np.ones((7, 1), np.uint8)
_FIXED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Hand:
    """A person or a font: the images of each of the ten digits, and whether they are printed."""

    digits: tuple[Sequence[Gray], ...]
    printed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Digits with their share of the numbers; each group of `inks` is a hand."""

    inks: Inks
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A number on its canvas: `ink` (ROWS, W) float32, what it reads, and its digits' height in pixels.

    `middles` (characters, 2) are x and y of the middle of each character of `text` on the canvas.
    """

    ink: Ink
    text: str
    height: float
    middles: NDArray[np.float64]


class Hands:
    """All hands of the sources; those of the first lend the digits that the others lack."""

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources or not all(len(source.inks) for source in sources):
            raise ValueError("numbers are written with the digits of at least one source, none of them empty")
        shares = np.array([source.share for source in sources])
        self._shares = shares / shares.sum()
        self._hands: list[list[Hand]] = []
        lent: tuple[Sequence[Gray], ...] = ()
        for source in sources:
            images = [cropped(image) for image in source.inks.images]
            everybody = _by_digit(images, source.inks.labels, lent)
            lent = lent or everybody
            self._hands.append(_hands(source.inks, images, everybody))

    def pick(self, rng: np.random.Generator) -> Hand:
        hands = self._hands[int(rng.choice(len(self._hands), p=self._shares))]
        return hands[int(rng.integers(len(hands)))]


def _hands(inks: Inks, images: Sequence[Gray], everybody: tuple[Sequence[Gray], ...]) -> list[Hand]:
    """A hand for each group with enough digits, and one in all for the rest."""
    printed = inks.source in PRINTED
    found = []
    order = np.argsort(inks.groups, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(inks.groups[order])) + 1):
        labels = inks.labels[places]
        if len(np.unique(labels)) >= DIFFERENT:
            found.append(Hand(_by_digit([images[i] for i in places], labels, everybody), printed))
    return found or [Hand(everybody, printed)]


def _by_digit(
    images: Sequence[Gray], labels: NDArray[np.int64], lent: tuple[Sequence[Gray], ...]
) -> tuple[Sequence[Gray], ...]:
    own: list[list[Gray]] = [[] for _ in range(10)]
    for image, label in zip(images, labels, strict=True):
        if 0 <= label < 10 and image.size:
            own[label].append(image)
    digits = tuple(mine or (lent[digit] if lent else []) for digit, mine in enumerate(own))
    if not all(digits):
        raise ValueError(f"there is no {[len(d) > 0 for d in digits].index(False)} among the digits")
    return digits


def cropped(image: NDArray[np.uint8]) -> Gray:
    """The box of the ink of an image (h, w), or of the first plane of a cut-out (2, h, w)."""
    plane = image[0] if image.ndim == 3 else image
    x, y, width, height = cv2.boundingRect((plane > 40).view(np.uint8))
    part = np.ascontiguousarray(plane[y : y + height, x : x + width])
    longer = max(part.shape, default=0)
    if longer <= 1.5 * DIGIT:
        return part
    factor = 1.5 * DIGIT / longer
    return np.asarray(cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def number(rng: np.random.Generator) -> str:
    """What to write: one to eight digits, often with zeros at the end, a separator or something after it."""
    count = 1 + int(rng.choice(len(LENGTHS), p=LENGTHS))
    digits = rng.integers(0, 10, count)
    if rng.random() < 0.2:
        digits[-int(rng.integers(1, 4)) :] = 0
    if rng.random() < 0.15:
        start = int(rng.integers(count))
        digits[start : start + 3] = rng.integers(10)
    text = "".join(str(digit) for digit in digits)
    kind = rng.random()
    if count >= 2 and kind < 0.35:
        place = count - int(rng.integers(1, min(3, count)))
        text = text[:place] + (",." if rng.random() < 0.6 else ".,")[0] + text[place:]
    elif count > 3 and kind < 0.5:
        mark = "." if rng.random() < 0.8 else ","
        text = _in_thousands(text, mark)
    return _with_frills(text, rng)


def _in_thousands(text: str, mark: str) -> str:
    first = len(text) % 3
    groups = [text[place : place + 3] for place in range(first, len(text), 3)]
    return mark.join([text[:first], *groups] if first else groups)


def _with_frills(text: str, rng: np.random.Generator) -> str:
    kind = rng.random()
    if kind < 0.28:
        return text + "---==.,:/"[int(rng.integers(9))]
    if kind < 0.31:
        return f"-{text}"
    return f"#{text}" if kind < 0.325 else text


class Writing:
    """One number on its way over the canvas: where the ink of each row ends, and where the pen is."""

    def __init__(self, text: str, hand: Hand, rng: np.random.Generator) -> None:
        self._rng = rng
        self.hand = hand
        loose = 0.0 if hand.printed else 1.0
        self.height = DIGIT * rng.uniform(0.9, 1.1)
        self.stretch = float(np.exp(rng.normal(0, 0.18)))
        width = int(2 * _EDGE + len(text) * 1.5 * self.height * max(1.0, self.stretch) + 100)
        self.ink = np.zeros((ROWS, width), np.float32)
        self._ends = np.full(ROWS, -1e3, np.float32)
        self._pen = _EDGE
        close = rng.random() < 0.75
        self._gap = (rng.normal(0.10, 0.13) if close else rng.uniform(0.2, 0.7)) * self.height
        self._gap = self._gap if loose else rng.uniform(0.02, 0.3) * self.height
        self._uneven = loose * abs(rng.normal(0, 0.06)) * self.height
        self._slope = loose * rng.normal(0, 0.03)
        self._shaken = loose * abs(rng.normal(0, 0.05)) * self.height
        self._turn = loose * np.radians(abs(rng.normal(0, 5)))
        self._sizes = loose * abs(rng.normal(0, 0.1))
        self._zero = rng.uniform(0.6, 1) if loose and rng.random() < 0.2 else 1.0
        self._bold = rng.uniform(0.04, 0.1) * self.height
        self.middles: list[tuple[float, float]] = []

    @property
    def end(self) -> int:
        """The column behind all ink."""
        return min(self.ink.shape[1], int(max(self._ends.max(), self._pen) + _EDGE))

    def digit(self, digit: int) -> None:
        """Writes a digit as near to what stands there as this hand does, over it, touching or apart."""
        rng = self._rng
        images = self.hand.digits[digit]
        glyph = self._shaped(images[int(rng.integers(len(images)))], self._zero if digit == 0 else 1.0)
        rows, columns = glyph.shape
        raised = rng.random() * 0.3 * (self.height - rows) if rows < 0.6 * self.height else 0.0
        line = BASE + self._slope * (self._pen - _EDGE)
        top = int(np.clip(round(line - rows + 2 - raised + rng.normal(0, self._shaken)), 0, ROWS - rows))
        on = glyph > 0.35
        inked = on.any(axis=1)
        starts = np.where(inked, on.argmax(axis=1), 1e3)
        ends = np.where(inked, columns - on[:, ::-1].argmax(axis=1), -1e3)
        near = cv2.dilate(self._ends[:, None], _NEAR)[:, 0][top : top + rows]
        gap = self._gap + rng.normal(0, 1) * self._uneven
        left = float((near - starts).max()) + gap
        left = max(left, self._pen - 0.35 * self.height + min(0.0, gap)) if self._pen > _EDGE else _EDGE
        x = int(np.clip(round(left), 4, self.ink.shape[1] - columns))
        place = self.ink[top : top + rows, x : x + columns]
        np.maximum(place, glyph, out=place)
        own = self._ends[top : top + rows]
        np.maximum(own, ends + x, out=own)
        self._pen = x + max(0.0, float(ends.max()))
        self.middles.append((x + columns / 2, top + rows / 2))

    def _shaped(self, image: Gray, share: float) -> Ink:
        """The digit at its size, stretched and turned, (rows, columns) with at most ROWS rows."""
        rng = self._rng
        rows, columns = image.shape
        wanted = self.height * share * float(np.exp(rng.normal(0, self._sizes)))
        scale = min(
            wanted / rows if rows > 0.35 * columns else self.height / columns, 1.5 * self.height / columns
        )
        turn, wide = rng.normal(0, self._turn), self.stretch * float(np.exp(rng.normal(0, 0.08)))
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = matrix @ np.diag([scale * wide, scale])
        size = (np.abs(matrix) @ (columns, rows)).astype(int) + 4
        shift = size / 2 - matrix @ (columns / 2, rows / 2)
        moved = cv2.warpAffine(image, np.column_stack([matrix, shift]), (int(size[0]), int(size[1])))
        return moved[:ROWS].astype(np.float32) * np.float32(1 / 255)

    def mark(self, character: str) -> None:
        """Writes a separator or a frill behind what stands there, now and then against or below it."""
        rng, high = self._rng, self.height
        base = BASE + self._slope * (self._pen - _EDGE)
        x = max(float(self._ends.max()), self._pen) + max(2.0, rng.uniform(-0.02, 0.18) * high)
        x = max(x - (0.15 * high if rng.random() < 0.3 else 0.0), 20.0)
        low = character in ".,:"
        for x0, y0, x1, y1 in self._strokes(character):
            thickness = max(2, round(self._bold * rng.uniform(0.8, 1.5)))
            ends = [(x + x0 * high, base + y0 * high), (x + x1 * high, base + y1 * high)]
            points = [(round(a * 2**_FIXED), round(b * 2**_FIXED)) for a, b in ends]
            cv2.line(self.ink, points[0], points[1], 1.0, thickness, cv2.LINE_AA, _FIXED)
        end = x + {"#": 0.6, "-": 0.4, "=": 0.4}.get(character, 0.1) * high
        # A digit may stand over a comma, not over a dash.
        self._ends = np.maximum(self._ends, np.float32(end - 0.15 * high if low else end))
        self._pen = end - 0.25 * high if low else end
        if character in LABELLED:
            self.middles.append(((x + end) / 2, base if low else base - 0.4 * high))

    def _strokes(self, character: str) -> list[tuple[float, float, float, float]]:
        """(x0, y0, x1, y1) of each stroke, in digit heights from the pen on the base line."""
        rng = self._rng
        if character == ".":
            long = 0.0 if rng.random() < 0.6 else 0.1
            return [(0.0, -0.03, rng.uniform(0.0, 0.06) + long, -0.03 - long * rng.uniform(0, 1))]
        if character == ",":
            long = rng.uniform(0.1, 0.28)
            return [(0.3 * long, -0.4 * long, -rng.uniform(0, 0.4) * long, 0.6 * long)]
        if character == ":":
            return [(0, -0.06, 0.04, -0.06), (0, -0.5, 0.04, -0.5)]
        if character == "#":
            sides = [(0.15 + k, -1.0, k, 0.0) for k in (0.0, 0.25)]
            return [*sides, *((0.0, -0.35 - k, 0.55, -0.35 - k) for k in (0.0, 0.25))]
        if character == "/":
            return [(0.0, -rng.uniform(0.0, 0.3), rng.uniform(0.1, 0.3), -rng.uniform(0.4, 0.7))]
        y, long = -rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.6)
        dash = (0.0, y, long, y + rng.normal(0, 0.1))
        return [dash, (0.0, y + 0.18, long, dash[3] + 0.18)] if character == "=" else [dash]


def write(text: str, hand: Hand, rng: np.random.Generator) -> Written:
    """`text` of digits, `.,-` and `=:/#` in one hand; what it reads leaves the last four out."""
    writing = Writing(text, hand, rng)
    for character in text:
        if character.isdigit():
            writing.digit(int(character))
        else:
            writing.mark(character)
    reads = "".join(character for character in text if character in LABELLED)
    return Written(writing.ink[:, : writing.end], reads, writing.height, np.array(writing.middles))
