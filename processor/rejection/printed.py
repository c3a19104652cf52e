"""Rejection as printed: numbers set in type, told from those written by hand.

Type repeats itself: two 3s of one type on one page are the same but for the grain of the scan, and hardly any
hand writes two alike. It is drawn with level and upright edges, symmetric where the figure is, it resembles
other types, and it stands on its line as if ruled there. One digit alone tells little; all digits of a number
tell, and so does the company that it keeps on its page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from processor.records import Box, Cause, Gray, Rejection

LIMIT = 2.0
"""Nats for print from which a number is left out: a number lost is worse than one too many."""

Traits = NDArray[np.float64]
"""(7,) float64, of one digit: the shares of its edges that are upright and level, how much its stroke varies,
how like itself it is mirrored, upside down and turned about, and how like the same digit of Pillow's type."""

# Fitted; see `judge_numbers`. A row for each digit: a constant, and what a unit of each trait weighs.
WEIGHTS = np.array(
    [
        [-13.2, 36.2, -4.7, -3.4, -0.8, 1.1, 9.2, 2.9],
        [-1.8, -4.5, 35.6, -3.0, 5.4, 3.0, -3.8, -0.8],
        [-12.8, 42.0, 22.1, -0.3, 1.9, -0.5, -1.1, 12.4],
        [-16.5, 66.8, 29.1, 3.7, 1.1, 2.7, 0.7, 12.7],
        [-10.5, 2.1, 34.5, 4.8, -5.2, 6.3, -1.3, 9.8],
        [-12.9, 51.7, 31.9, 1.0, 4.0, -5.4, -0.4, 5.7],
        [-8.8, 26.2, 19.8, -6.5, 8.1, -4.1, 9.3, 6.6],
        [-9.6, 18.1, 26.1, -6.3, 4.0, -1.4, 3.2, 6.3],
        [-11.3, 45.1, 4.0, -9.5, 2.4, -0.2, 6.3, 9.3],
        [-5.9, 1.4, 0.3, -6.1, 6.5, -2.3, 5.4, 10.4],
    ]
)

MOST_OF_ONE = 5.0
"""No digit weighs more nats than this by itself."""

MOST_OF_A_LONE_DIGIT = 1.0
"""... and no number of one digit without a twin more than this: many write their 1s and 7s like type."""

NUMBER_CONSTANT = 0.96
NUMBER_WEIGHTS = np.array([-0.69, 0.78, 0.16, 1.91, 0.19, -1.24, -0.44, -1.27])
"""What the traits of a number weigh: that it is one digit, its digits' nats (mean, sum), how alike others on
the page are (mean, sum), and how its tops, its feet and its steps scatter."""

USUAL_REPEAT = 3.0
USUAL_TOPS, USUAL_FEET, USUAL_STEPS = -3.0, -3.0, -2.5
MOST_SCATTER = 1.5
"""Logarithms of what is as usual in print as in writing; the weights count what goes beyond."""

LEAST_DIFFERENT = 0.004
"""One minus the correlation of two prints of one letter is hardly ever less: grain."""

SAME_HEIGHT = 0.06
SAME_STROKE = 0.25
"""Numbers of one type differ by at most so much (in logarithms), or by a pixel and a half in height."""

COMPANY = 2.0
MOST_COMPANY = 3.0
"""What the numbers of like height and stroke weigh beside a number's own traits, and at most, in nats."""

_LEVEL_DEGREES = 6.0
_HIGH = 40
_FRAME = 24, 32
_BOX = 24, 16


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A digit as it was read, its box on the working grid, and its own ink (h, w), uint8, high = ink."""

    digit: int
    box: Box
    ink: Gray


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    figure: Figure
    traits: Traits
    stroke: float
    unit: NDArray[np.float32]

    @property
    def nats(self) -> float:
        constant, *weights = WEIGHTS[self.figure.digit]
        return float(np.clip(constant + self.traits @ np.array(weights), -MOST_OF_ONE, MOST_OF_ONE))


def judge_numbers(numbers: Sequence[Sequence[Figure]]) -> list[Rejection | None]:
    """Why each of a page's `numbers` is printed; None for those that are written by hand.

    Two logistic regressions, over the traits of digits and of numbers, fitted on 2,290 numbers in twelve
    types (DejaVu, Computer Modern, Hershey's, an oblique grotesque) of 100 to 300 dpi, 910 by 20 of MNIST's
    writers, no sample twice, and 228 cheque amounts. A number that stands alone on its page is judged by its
    own digits; a single digit, only by its twins and its company: without these it stays.

    Fails on types that imitate handwriting, on digits that touch (they are measured as they were cut), and
    on writing by stencil.
    """
    measured = [[_measure(figure) for figure in number] for number in numbers]
    own = _own_nats(measured)
    nats = own + _company(measured, own)
    return [
        Rejection(Cause.PRINTED, "{} nats for print", float(n), LIMIT) if n > LIMIT else None for n in nats
    ]


def _own_nats(numbers: Sequence[Sequence[_Measured]]) -> NDArray[np.float64]:
    """Nats (N,) for print from each number's own digits, and how often they stand on the page once more."""
    repeats = iter(_repeats([m for number in numbers for m in number]))
    own = np.zeros(len(numbers))
    for place, number in enumerate(numbers):
        twins = [next(repeats) for _ in number]
        traits = _number_traits([m.nats for m in number], twins, [m.figure.box for m in number])
        nats = NUMBER_CONSTANT + float(np.array(traits) @ NUMBER_WEIGHTS)
        own[place] = min(nats, MOST_OF_A_LONE_DIGIT) if twins == [None] else nats
    return own


def _number_traits(
    nats: Sequence[float], repeats: Sequence[float | None], boxes: Sequence[Box]
) -> list[float]:
    """What `NUMBER_WEIGHTS` weigh; what cannot be measured on a number counts as usual."""
    known = [repeat - USUAL_REPEAT for repeat in repeats if repeat is not None]
    return [
        float(len(boxes) == 1),
        sum(nats) / len(nats),
        sum(nats),
        sum(known) / max(1, len(known)),
        sum(known),
        *_regularity(boxes),
    ]


def _regularity(boxes: Sequence[Box]) -> tuple[float, float, float]:
    """How far the tops, the feet and, from three digits on, the steps scatter beyond what is usual."""
    if len(boxes) < 2:
        return 0.0, 0.0, 0.0
    height = float(np.median([b.height for b in boxes]))
    middles = np.array([b.centre[0] for b in boxes])
    tops = _spread(np.array([float(b.y) for b in boxes]), middles, height) - USUAL_TOPS
    feet = _spread(np.array([float(b.bottom) for b in boxes]), middles, height) - USUAL_FEET
    uneven = 0.0
    if len(boxes) > 2:
        steps = np.diff(middles)
        uneven = float(np.log(steps.std(ddof=1) / max(1.0, abs(float(steps.mean()))) + 0.02)) - USUAL_STEPS
    return _within(tops), _within(feet), _within(uneven)


def _within(value: float) -> float:
    return min(MOST_SCATTER, max(-MOST_SCATTER, value))


def _spread(edges: NDArray[np.float64], middles: NDArray[np.float64], height: float) -> float:
    """The logarithm of how far `edges` scatter, in digit heights, about a line that may climb a little."""
    if len(edges) > 2:
        away = middles - middles.mean()
        slope = float(np.clip((away @ edges) / max(1e-9, float(away @ away)), -0.03, 0.03))
        edges = edges - slope * away
    return float(np.log((edges.std(ddof=1) + 0.5) / height + 0.005))


def _repeats(digits: Sequence[_Measured]) -> list[float | None]:
    """For each digit how like it its nearest twin is: one of its kind and height; None where there is none.

    As the negative logarithm of what they differ by, 1 minus their correlation.
    """
    found: list[float | None] = [None] * len(digits)
    heights = np.array([m.figure.box.height for m in digits], np.float64)
    for digit in range(10):
        own = [i for i, m in enumerate(digits) if m.figure.digit == digit]
        if len(own) < 2:
            continue
        units = np.array([digits[i].unit for i in own])
        alike = units @ units.T
        alike[~_same_height(heights[own])] = -np.inf
        np.fill_diagonal(alike, -np.inf)
        for i, best in zip(own, alike.max(axis=1), strict=True):
            if np.isfinite(best):
                found[i] = float(-np.log(max(0.0, 1 - best) + LEAST_DIFFERENT))
    return found


def _same_height(heights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, N): whether two heights in pixels are those of one type."""
    reach = np.log(1 + np.maximum(SAME_HEIGHT, 1.5 / heights))
    return np.asarray(np.abs(np.log(heights)[:, None] - np.log(heights)) < reach[:, None], np.bool_)


def _company(numbers: Sequence[Sequence[_Measured]], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats (N,) for print from the numbers of like height and stroke: they are in one type, or by one pen."""
    if len(numbers) < 2:
        return np.zeros(len(numbers))
    heights = np.array([np.median([m.figure.box.height for m in number]) for number in numbers])
    strokes = np.log([np.median([m.stroke for m in number]) for number in numbers])
    like = _same_height(heights) & (np.abs(strokes[:, None] - strokes) < SAME_STROKE)
    np.fill_diagonal(like, False)
    told = like @ np.clip(own, -MOST_COMPANY, MOST_COMPANY)
    nats = COMPANY * told / (like.sum(axis=1) + 1)
    return np.asarray(np.clip(nats, -MOST_COMPANY, MOST_COMPANY), np.float64)


def _measure(figure: Figure) -> _Measured:
    stroke, varies = _stroke(figure.ink)
    glyph = _stretched(figure.ink)
    traits = np.array(
        [
            *_straightness(figure.ink),
            varies,
            float((glyph * glyph[:, ::-1]).sum()),
            float((glyph * glyph[::-1]).sum()),
            float((glyph * glyph[::-1, ::-1]).sum()),
            float((glyph * _type_of(figure.digit)).sum()),
        ],
        np.float64,
    )
    return _Measured(figure, traits, stroke * figure.box.height, _framed(figure.ink))


def _straightness(ink: Gray) -> tuple[float, float]:
    """The shares of a digit's edges that are upright and level, by the size of their gradients."""
    height, width = ink.shape
    size = max(4, round(width * _HIGH / height)), _HIGH
    even = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if height > _HIGH else cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(np.pad(even.astype(np.float32) / 255, 4), (0, 0), 1.2)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    steep = np.hypot(across, down)
    angle = np.degrees(np.arctan2(down, across)) % 180
    upright = steep[np.minimum(angle, 180 - angle) < _LEVEL_DEGREES].sum()
    level = steep[np.abs(angle - 90) < _LEVEL_DEGREES].sum()
    whole = float(steep.sum()) + 1e-6
    return float(upright) / whole, float(level) / whole


def _stroke(ink: Gray) -> tuple[float, float]:
    """Mean width of a digit's strokes, in its heights, and how much that varies, as a share of it."""
    height, width = ink.shape
    size = 2 * max(4, round(width * _HIGH / height)), 2 * _HIGH
    solid = cv2.resize(np.where(ink > 0, 255, 0).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR) > 127
    distance = cv2.distanceTransform(np.pad(solid.astype(np.uint8), 1), cv2.DIST_L2, 5)
    ridge = distance[(distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)) - 1e-6) & (distance > 1.5)]
    if not ridge.size:
        return 0.05, 0.5
    return float(ridge.mean()) / _HIGH, float(ridge.std() / ridge.mean())


def _stretched(ink: Gray) -> NDArray[np.float32]:
    """A digit stretched to a box of one size, so that types of every width are alike: unit length, mean 0."""
    way = cv2.INTER_AREA if ink.shape[0] > _BOX[0] else cv2.INTER_LINEAR
    return _unit(np.asarray(cv2.resize(ink, _BOX[::-1], interpolation=way), np.float32), 0.7)


def _framed(ink: Gray) -> NDArray[np.float32]:
    """A digit at one height and its own width, in the middle of a frame, flat: unit length, mean 0."""
    height, width = ink.shape
    high, wide = _FRAME
    size = int(np.clip(round(high * width / height), 2, wide))
    way = cv2.INTER_AREA if height > high else cv2.INTER_LINEAR
    frame = np.zeros(_FRAME, np.float32)
    left = (wide - size) // 2
    frame[:, left : left + size] = cv2.resize(ink, (size, high), interpolation=way)
    return _unit(frame, 0.8).ravel()


def _unit(values: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(values, (0, 0), blur)
    centred = smooth - smooth.mean()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length if length > 0 else centred, np.float32)


@cache
def _type_of(digit: int) -> NDArray[np.float32]:
    """The digit in Pillow's own type, a plain grotesque: what other types are compared with."""
    image = Image.new("L", (300, 300))
    ImageDraw.Draw(image).text((60, 220), str(digit), fill=255, font=ImageFont.load_default(200), anchor="ls")
    ink = np.asarray(image)
    rows, columns = np.flatnonzero(ink.max(axis=1) > 127), np.flatnonzero(ink.max(axis=0) > 127)
    return _stretched(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
