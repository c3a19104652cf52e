"""Augmentation: a stored digit written again, by another hand, pen and scanner.

Everything happens on ink at about the size of a scan, before `normalise`, so that what the network is
trained on went through the same door as what it will read.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import CutOut

Ink = NDArray[np.float32]
"""Planes (P, h, w) float32, 0 = paper, 1 = ink: a mark's own ink, and all ink about it where there is any."""

_FIELD = 96
_FIELDS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """How far a hand, a pen and a scanner may differ from the sample's; shares are probabilities.

    Lengths are shares of the digit's longer side.
    """

    rotation_degrees: float = 12.0
    shear: float = 0.35
    stretch: float = 0.22
    elastic: float = 0.035
    stroke: float = 0.6
    binarised: float = 0.3
    blurred: float = 0.15
    coarse: float = 0.15
    broken: float = 0.08
    underlined: float = 0.15
    smudged: float = 0.1
    salted: float = 0.03


class Augmenter:
    """Writes ink again; the same generator gives the same results."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self._fields = _elastic_fields(np.random.default_rng(0))

    def __call__(self, image: CutOut, rng: np.random.Generator) -> Ink:
        """A cut-out, high = ink, to a new float32 one of 22 to 40 px, (H, W) or (2, H, W), not normalised."""
        ink = self._written(image if image.ndim == 3 else image[np.newaxis], rng)
        return ink if image.ndim == 3 else ink[0]

    def _written(self, image: CutOut, rng: np.random.Generator) -> Ink:
        """The planes (P, h, w) of one mark; what happens to its own ink, the first, happens to all."""
        hand = self.hand
        ink = self._place(image, rng)
        if rng.random() < hand.stroke:
            ink = _restroke(ink, rng)
        if rng.random() < hand.broken:
            ink = _break(ink, rng)
        if rng.random() < hand.underlined:
            ink = _underline(ink, rng)
        if rng.random() < hand.smudged:
            ink = _smudge(ink, rng)
        if rng.random() < hand.coarse:
            ink = _coarsen(ink, rng)
        if rng.random() < hand.blurred:
            ink = _blurred(ink, 0.4 + rng.uniform(0, 0.02) * max(ink.shape))
        if rng.random() < hand.salted:
            ink = _salt(ink, rng)
        return _binarise(ink, rng, hand.binarised)

    def _place(self, image: CutOut, rng: np.random.Generator) -> Ink:
        """The digit slanted, stretched, turned and bent on a canvas of another size, in one resampling."""
        hand = self.hand
        x, y, width, height = cv2.boundingRect((image[0] > 25).view(np.uint8))
        longer = max(width, height, 1)
        target = float(rng.integers(22, 41))
        turn = math.radians(rng.uniform(-hand.rotation_degrees, hand.rotation_degrees))
        shear, stretch = rng.uniform(-hand.shear, hand.shear), rng.uniform(-hand.stretch, hand.stretch)
        scale = target / longer
        # The matrix maps canvas places to places of the image: remap asks where each pixel comes from.
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        slant = np.array([[1, shear], [0, 1]])
        sizes = np.diag([math.exp(stretch), math.exp(-stretch)]) * scale
        inverse = np.linalg.inv(rotation @ slant @ sizes)
        side = int(target * 1.6)
        middle = np.array([x + width / 2, y + height / 2]) - inverse @ np.full(2, side / 2)
        to_image = np.column_stack([inverse, middle]).astype(np.float32)
        source = cv2.transform(_GRID[:side, :side], to_image)
        bend = float(np.float32(hand.elastic * longer * rng.random()))
        source = cv2.scaleAdd(self._field(rng, side), bend, source)
        across, down = cv2.split(source)
        smooth = cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC
        moved = np.stack([cv2.remap(plane, across, down, smooth) for plane in image])
        return np.asarray(moved, np.float32) * np.float32(1 / 255)

    def _field(self, rng: np.random.Generator, side: int) -> Ink:
        """A smooth random displacement (side, side, 2), about 1 in size."""
        field = self._fields[rng.integers(_FIELDS)]
        x, y = (int(v) for v in rng.integers(0, 2 * _FIELD - side, 2))
        return np.asarray(field[y : y + side, x : x + side], np.float32)


_GRID = np.stack(np.meshgrid(np.arange(128), np.arange(128)), axis=-1).astype(np.float32) + np.float32(0.5)


def _elastic_fields(rng: np.random.Generator) -> NDArray[np.float32]:
    """(fields, side, side, 2) displacements, smooth over a quarter of a digit.

    Source: P. Simard et al., "Best practices for convolutional neural networks" (2003).
    """
    fields = np.empty((_FIELDS, 2 * _FIELD, 2 * _FIELD, 2), np.float32)
    for field in fields:
        smooth = cv2.GaussianBlur(rng.standard_normal(field.shape).astype(np.float32), (0, 0), 9)
        field[:] = smooth / smooth.std()
    return fields


def _restroke(ink: Ink, rng: np.random.Generator) -> Ink:
    """Strokes bolder or finer: the level at which the blurred edge is cut decides the width."""
    side = max(ink.shape)
    soft = _blurred(ink, rng.uniform(0.008, 0.02) * side)
    level = rng.uniform(0.25, 0.6) * float(soft[0].max())
    gain = rng.uniform(2, 6)
    return np.asarray(np.clip((soft - np.float32(level)) * np.float32(gain) + 0.5, 0, 1), np.float32)


def _break(ink: Ink, rng: np.random.Generator) -> Ink:
    """One or two fine gaps through the strokes, as a failing pen or a removed line leaves them."""
    side = max(ink.shape)
    for _ in range(int(rng.integers(1, 3))):
        centre = rng.uniform(0.3, 0.7, 2) * side
        angle = rng.uniform(0, math.pi)
        reach = np.array([math.cos(angle), math.sin(angle)]) * side
        _line(ink, centre - reach, centre + reach, int(rng.integers(1, 2 + side // 50)), 0.0)
    return ink


def _underline(ink: Ink, rng: np.random.Generator) -> Ink:
    """What is left of a ruled line or box at one edge of the digit, whole or dotted."""
    box = _box(ink)
    if box is None:
        return ink
    x, y, width, height = box
    edge = rng.random()
    thickness = int(rng.integers(1, 2 + max(ink.shape) // 18))
    tilt = rng.uniform(-0.04, 0.04) * max(width, height)
    low, high = np.sort(rng.uniform(-0.3, 1.3, 2))
    if edge < 0.85:
        at = y + height * (rng.uniform(0.93, 1.04) if edge < 0.7 else rng.uniform(-0.05, 0.05))
        start, stop = (x + low * width, at), (x + high * width, at + tilt)
    else:
        at = x + width * (1.05 if rng.random() < 0.7 else -0.05)
        start, stop = (at, y + low * height), (at + tilt, y + high * height)
    dashes = 1 if rng.random() < 0.6 else int(rng.integers(3, 9))
    places = np.linspace(start, stop, 2 * dashes)
    for first, last in zip(places[::2], places[1::2], strict=True):
        _line(ink, first, last, thickness, 1.0)
    return ink


def _smudge(ink: Ink, rng: np.random.Generator) -> Ink:
    """Bits beside the digit: a neighbour's stroke end, a comma, a speck."""
    box = _box(ink)
    if box is None:
        return ink
    x, y, width, height = box
    for _ in range(int(rng.integers(1, 3))):
        across = rng.uniform(-0.14, 0.0) if rng.random() < 0.5 else rng.uniform(1.0, 1.14)
        place = np.array([x + across * width, y + rng.uniform(-0.02, 1.05) * height])
        reach = rng.normal(0, 0.06, 2) * max(width, height)
        _line(ink, place, place + reach, int(rng.integers(1, 2 + max(ink.shape) // 20)), rng.uniform(0.5, 1))
    return ink


def _coarsen(ink: Ink, rng: np.random.Generator) -> Ink:
    """A low resolution: the digit is 10 to 18 px high."""
    box = _box(ink)
    if box is None:
        return ink
    factor = rng.uniform(10, 18) / max(box[2], box[3])
    shrunk = [cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for plane in ink]
    return np.asarray(np.stack(shrunk), np.float32)


def _salt(ink: Ink, rng: np.random.Generator) -> Ink:
    """Single dark and light pixels about the digit."""
    box = _box(ink)
    if box is None:
        return ink
    x, y, width, height = box
    window = ink[:, y : y + height, x : x + width]
    chance = rng.random((height, width))
    window[:, chance < 0.015] = 1
    window[:, chance > 0.97] *= np.float32(0.3)
    return ink


def _binarise(ink: Ink, rng: np.random.Generator, share: float) -> Ink:
    """As cleaning leaves it: nothing below a share of the stroke's darkness, or one bit a pixel."""
    level = np.float32(rng.uniform(0.3, 0.5)) * ink[0].max(initial=0)
    if rng.random() < share:
        return np.asarray(ink > level, np.float32)
    return ink if rng.random() < 0.3 else np.where(ink > level, ink, np.float32(0))


def _box(ink: Ink) -> tuple[int, int, int, int] | None:
    x, y, width, height = cv2.boundingRect((ink[0] > 0.3).view(np.uint8))
    return (x, y, width, height) if width and height else None


def _line(
    ink: Ink, start: NDArray[np.float64], stop: NDArray[np.float64], thickness: int, value: float
) -> None:
    places = [tuple(round(float(v)) for v in place) for place in (start, stop)]
    for plane in ink:
        cv2.line(plane, places[0], places[1], value, thickness, cv2.LINE_8)


def _blurred(ink: Ink, sigma: float) -> Ink:
    return np.stack([np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32) for plane in ink])
