"""The frozen values that travel between the stages; every box is half-open, in pixels, origin top left."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processor.states import ScanState as ScanState
from processor.states import Status as Status

Gray = NDArray[np.uint8]
"""(H, W) uint8."""

Mask = NDArray[np.bool_]
"""(H, W) bool."""

CutOut = NDArray[np.uint8]
"""Ink of one mark, high = ink: (h, w) where it stands alone, or (2, h, w): its own, and all about it."""

Glyphs = NDArray[np.float32]
"""(N, 2, 28, 28) float32 in [0, 1], ink = 1: a mark's own ink, and with all ink about it; N may be 0."""


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open rectangle [x, x + width) × [y, y + height) in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @staticmethod
    def around(boxes: Iterable["Box"]) -> "Box":
        """The smallest box that holds all of `boxes` (at least one)."""
        boxes = list(boxes)
        x, y = min(b.x for b in boxes), min(b.y for b in boxes)
        return Box(x, y, max(b.right for b in boxes) - x, max(b.bottom for b in boxes) - y)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One decoded page: `pixels` is (H, W) gray or (H, W, 3) RGB, uint8, upright, 0 = black.

    `dpi` is what the file states, `None` where it states nothing believable. `reduced` is how many pixels of
    the file on a side became one of these, where a huge page was decoded smaller; `width` and `height` are
    the file's all the same.
    """

    number: int
    pixels: NDArray[np.uint8]
    dpi: float | None
    reduced: int = 1
    size: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        return self.size[0] if self.size else int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return self.size[1] if self.size else int(self.pixels.shape[0])


class Cause(StrEnum):
    """What a rejected blob was taken for, or why a digit or a number needs a person."""

    SPECK = "speck"
    RULED_LINE = "ruled line"
    MARK = "mark"
    OVERSIZED = "oversized"
    TEXT = "text"
    SEVERAL_CHARACTERS = "several characters"
    EDGE = "cut off by the edge"
    UNLIKE_DIGIT = "unlike any digit"
    UNCERTAIN = "uncertain"
    READ_TWICE = "read otherwise a second time"
    SEPARATOR = "separator"
    FILLER = "filler"
    STRUCK_OUT = "struck out"
    PRINTED = "printed"
    INCOMPLETE = "may lack digits"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a blob is no digit (or no sure one): what it is, the measure and the limit it broke.

    The value stands where the `measure` has braces, else behind it; no limit is told where it says nothing.
    """

    cause: Cause
    measure: str
    value: float
    limit: float | None = None

    def __str__(self) -> str:
        value = f"{self.value:.3g}"
        told = self.measure.replace("{}", value) if "{}" in self.measure else f"{self.measure} {value}"
        return f"{self.cause}: {told}" + ("" if self.limit is None else f", limit {self.limit:.3g}")


def read_otherwise(other: str, confidence: float) -> Rejection:
    """Why a number, or a digit of it, is looked at in which another reading sees `other`."""
    return Rejection(Cause.READ_TWICE, f"the other reading sees {other}, confidence in this one", confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitReading:
    """One digit, or one rejected blob (`digit is None`), on the original page.

    `top` holds the three best classes with their calibrated probabilities, best first; it is empty for a
    blob that was rejected before the network saw it. `glyph` is the (28, 28) float32 cut-out the network
    saw, where there is one; it is drawn on contact sheets, never stored.
    """

    digit: str | None
    confidence: float
    status: Status
    box: Box
    reason: str | None = None
    top: tuple[tuple[str, float], ...] = ()
    glyph: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Signs:
    """How surely a reading that cuts nothing sees a point, comma or dash before a digit, each in [0, 1]."""

    point: float = 0.0
    comma: float = 0.0
    dash: float = 0.0

    @property
    def separator(self) -> float:
        """How surely there is a point or a comma, whichever."""
        return min(1.0, self.point + self.comma)


class Winner(StrEnum):
    """Which of the two readings of a number is reported."""

    BOTH = "both"
    FIRST = "first"
    SECOND = "second"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoReadings:
    """What each reading alone makes of the strip that a number stands in, and which of them is reported.

    `first` and `second` are digits, perhaps none, each with its probability by that reading. A strip may hold
    more than the number, where its marks were parted afterwards. `first_confidence` is None where what was
    read had to give way to what stands around it, so that no way of cutting the strip spells it.
    """

    first: str
    first_confidence: float | None
    second: str
    second_confidence: float
    winner: Winner

    @classmethod
    def joined(cls, strips: Sequence["TwoReadings"]) -> "TwoReadings":
        """The readings of a number that stands in several strips, from left to right."""
        firsts = [strip.first_confidence for strip in strips]
        known = [first for first in firsts if first is not None]
        told = {strip.winner for strip in strips} - {Winner.BOTH}
        return cls(
            first="".join(strip.first for strip in strips),
            first_confidence=round(math.prod(known), 4) if len(known) == len(firsts) else None,
            second="".join(strip.second for strip in strips),
            second_confidence=round(math.prod(strip.second_confidence for strip in strips), 4),
            winner=Winner.NEITHER if len(told) > 1 else next(iter(told), Winner.BOTH),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReading:
    """Neighbouring digits of one line, in writing order; `text` keeps separators that were recognised.

    `twice` is what each of two readings makes of it; None where it was read once. `reason` says why a person
    must look at it; None where nobody need.
    """

    text: str
    confidence: float
    status: Status
    box: Box
    digits: tuple[DigitReading, ...]
    field: str | None = None
    twice: TwoReadings | None = None
    reason: str | None = None

    @property
    def digits_only(self) -> str:
        return "".join(d.digit or "" for d in self.digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReading:
    """Everything found on one page; `numbers` in reading order, `rejected` from top to bottom."""

    page: int
    width: int
    height: int
    dpi: float | None
    skew_degrees: float
    numbers: tuple[NumberReading, ...]
    rejected: tuple[DigitReading, ...]
    form: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFile:
    """A finished output under a temporary name; the parent renames it to `target`."""

    staged: Path
    target: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What a worker hands to the parent: readings, stamps and staged files, nothing committed yet.

    `annotated` gives the target of the annotated image for each page, or `None` where none is wanted.
    """

    pages: tuple[PageReading, ...]
    model: str
    settings_digest: str
    program_version: str
    seconds: float
    annotated: tuple[Path | None, ...]
    staged: tuple[StagedFile, ...]
