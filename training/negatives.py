"""What is no digit: pieces and pairs of digits, letters, and the marks that forms are full of."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Box, CutOut, Gray, Mask
from processor.segmentation.blobs import surroundings, two_planes
from training.cutting import Labelled, label_candidates
from training.inks import NONE, Inks, collect

LETTERS = "ACDEFGHJKLMNPQRTUVWXYadefhkmnprtuvwxy#%&?$@=*<>{}[]~^"
"""Printed characters that nobody takes for a digit: without O o I i l S s B b Z z g q c j | + and
round brackets: some hands write 7 as a plus."""

_SIDE = 64


def pieces(digits: Inks, count: int, rng: np.random.Generator) -> Inks:
    """Halves and thirds of digits, the rest of the digit about them; none of a 1, whose halves are ones."""
    usable = np.flatnonzero(digits.labels != 1)
    images: list[CutOut] = []
    while len(images) < count:
        image = digits.images[int(rng.choice(usable))]
        x, y, width, height = cv2.boundingRect(image)
        share = rng.uniform(0.3, 0.6)
        across, down = max(1, int(share * width)), max(1, int(share * height))
        part = [
            Box(x, y, width, down),
            Box(x, y + height - down, width, down),
            Box(x, y, across, height),
            Box(x + width - across, y, across, height),
        ][rng.integers(4)]
        inside = image[part.y : part.bottom, part.x : part.right]
        if inside.any():
            images.append(two_planes(surroundings(image, part), inside > 0))
    return _none("pieces", images)


def runs(digits: Inks, count: int, rng: np.random.Generator) -> Inks:
    """Two or three digits of one writer pushed together."""
    images: list[Gray] = []
    while len(images) < count:
        row, _ = _row(digits, int(rng.choice([2, 2, 2, 3])), rng)
        images.append(row)
    return _none("runs", images)


def proposals(digits: Inks, rows: int, rng: np.random.Generator) -> Inks:
    """What the page reader proposes on `rows` rows of touching digits: whole digits, pieces and pairs."""
    found: list[Labelled] = []
    for _ in range(rows):
        row, owners = _row(digits, int(rng.integers(2, 5)), rng)
        found += label_candidates(row, row > 110, owners)
    return collect(
        "proposals", [image for image, _ in found], [label for _, label in found], [0] * len(found)
    )


def marks(count: int, rng: np.random.Generator) -> Inks:
    """Drawn points, commas, dashes, ticks, crosses, corners of boxes, blots, scribbles and texture."""
    drawers = [drawer for drawer, share in _MARKS for _ in range(share)]
    images: list[Gray] = []
    while len(images) < count:
        canvas = np.zeros((_SIDE, _SIDE), np.uint8)
        drawers[rng.integers(len(drawers))](canvas, rng)
        if canvas.any():
            images.append(canvas)
    return _none("marks", images)


def _none(source: str, images: Sequence[CutOut]) -> Inks:
    return collect(source, images, [NONE] * len(images), list(range(len(images))))


def _row(digits: Inks, count: int, rng: np.random.Generator) -> tuple[Gray, list[tuple[int, Mask]]]:
    """`count` digits of one writer in a row, touching or nearly, 44 px high; and the ink of each."""
    first = int(rng.integers(len(digits)))
    same = np.flatnonzero(digits.groups == digits.groups[first])
    chosen = rng.choice(same, count)
    shapes = [trimmed(digits.images[i], float(rng.uniform(30, 48))) for i in chosen]
    row = np.zeros((60, sum(s.shape[1] for s in shapes) + 8), np.uint8)
    owners: list[tuple[int, Mask]] = []
    x, right = 4, 4
    for i, shape in zip(chosen, shapes, strict=True):
        height, width = shape.shape
        x = max(0, right - int(rng.integers(-2, 8))) if owners else x
        y = (60 - height) // 2 + int(rng.integers(-4, 5))
        y = min(max(y, 0), 60 - height)
        place = np.zeros_like(row)
        place[y : y + height, x : x + width] = shape[:, : place.shape[1] - x]
        row = np.maximum(row, place)
        owners.append((int(digits.labels[i]), place > 110))
        right = x + width
    if rng.random() < 0.3:
        _underline(row, rng)
    return row, owners


def _underline(row: Gray, rng: np.random.Generator) -> None:
    """A dotted, dashed or whole ruled line through the digits' feet, as a form has it."""
    width = row.shape[1]
    y, thickness = rng.uniform(44, 54), int(rng.integers(1, 5))
    dash, gap = (width, 1) if rng.random() < 0.3 else (int(rng.integers(1, 7)), int(rng.integers(2, 8)))
    tilt = rng.normal(0, 2)
    for x in range(0, width, dash + gap):
        at = y + tilt * x / width + rng.normal(0, 0.6)
        _pen(row, np.array([(float(x), at), (x + dash - 1.0, at)]), thickness)


def trimmed(image: Gray, height: float) -> Gray:
    """A digit cut to its ink and enlarged so that its longer side is `height` px."""
    x, y, w, h = cv2.boundingRect((image > 40).view(np.uint8))
    factor = height / max(w, h)
    size = max(2, round(w * factor)), max(2, round(h * factor))
    return np.asarray(cv2.resize(image[y : y + h, x : x + w], size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _pen(canvas: Gray, points: NDArray[np.float64], thickness: int) -> None:
    cv2.polylines(canvas, [np.round(points * 8).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 3)


def _point(canvas: Gray, rng: np.random.Generator) -> None:
    axes = tuple(int(v) for v in rng.integers(5, 18, 2))
    cv2.ellipse(canvas, (32, 32), (axes[0], max(axes[1], axes[0] // 2)), rng.uniform(0, 180), 0, 360, 255, -1)
    for _ in range(int(rng.integers(0, 4))):
        centre = tuple(int(v) for v in rng.integers(20, 45, 2))
        cv2.circle(canvas, (centre[0], centre[1]), int(rng.integers(3, 9)), 255, -1)


def _comma(canvas: Gray, rng: np.random.Generator) -> None:
    thick = rng.uniform(7, 13)
    steps = np.linspace(0, 1, 12)
    bend = rng.uniform(0, 14)
    xs = 38 - 10 * steps * rng.uniform(0.4, 2) + bend * np.sin(steps * math.pi) * 0.5
    ys = 16 + 34 * steps * rng.uniform(0.5, 1)
    for x, y, step in zip(xs, ys, steps, strict=True):
        cv2.circle(
            canvas, (round(float(x)), round(float(y))), max(2, round(thick * (1 - 0.75 * step))), 255, -1
        )


def _dash(canvas: Gray, rng: np.random.Generator) -> None:
    angle = rng.uniform(-0.55, 0.55)
    reach = np.array([math.cos(angle), math.sin(angle)]) * rng.uniform(14, 28)
    middle = np.array([32, 32]) + rng.normal(0, 3, 2)
    _pen(canvas, np.stack([32 - reach, middle, 32 + reach]), int(rng.integers(2, 13)))
    if rng.random() < 0.2:
        _pen(canvas, np.stack([32 - reach, 32 + reach]) + np.array([0, 13]), int(rng.integers(2, 6)))


def _tick(canvas: Gray, rng: np.random.Generator) -> None:
    low = np.array([rng.uniform(18, 30), rng.uniform(42, 54)])
    start = low - (rng.uniform(6, 14), rng.uniform(6, 18))
    stop = low - (-rng.uniform(14, 32), rng.uniform(24, 40))
    _pen(canvas, np.stack([start, low, stop]), int(rng.integers(2, 7)))


def _cross(canvas: Gray, rng: np.random.Generator) -> None:
    # Upright ones, too: some hands write 7 as a plus, so that a person must say which it is.
    turn = rng.choice([math.pi / 4, math.pi / 4, 0.0]) + rng.normal(0, 0.15)
    thickness = int(rng.integers(2, 8))
    for angle in (turn, turn + math.pi / 2 + rng.normal(0, 0.2)):
        reach = np.array([math.cos(angle), math.sin(angle)]) * rng.uniform(16, 27)
        _pen(canvas, np.stack([32 - reach, 32 + reach]), thickness)


def _corner(canvas: Gray, rng: np.random.Generator) -> None:
    """L and T pieces, and rectangles with a side missing: what is left of a form's boxes."""
    low, high = 10, 54
    corners = np.array([(low, low), (high, low), (high, high), (low, high), (low, low)], np.float64)
    corners[:, 0] = 32 + (corners[:, 0] - 32) * rng.uniform(0.4, 1)
    start = int(rng.integers(1, 4))  # not from the top left: two sides from there make a 7
    count = int(rng.integers(3, 6))
    points = np.roll(corners[:4], -start, axis=0)
    _pen(canvas, np.vstack([points, points])[:count], int(rng.integers(1, 6)))
    if rng.random() < 0.3:
        at = rng.uniform(15, 50)
        _pen(canvas, np.array([(at, 10.0), (at, 54.0)]), int(rng.integers(1, 6)))


def _bracket(canvas: Gray, rng: np.random.Generator) -> None:
    width = int(rng.integers(9, 18))
    start = 100 if rng.random() < 0.5 else -80
    cv2.ellipse(
        canvas, (32, 32), (width, 26), 0, start, start + 160, 255, int(rng.integers(2, 6)), cv2.LINE_AA
    )


def _ruled(canvas: Gray, rng: np.random.Generator) -> None:
    """Pieces of a ruled line with bits of strokes hanging from it."""
    y = rng.uniform(20, 44)
    _pen(canvas, np.array([(2.0, y), (62.0, y + rng.normal(0, 2))]), int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(0, 5))):
        x = rng.uniform(4, 60)
        _pen(
            canvas, np.array([(x, y), (x + rng.normal(0, 5), y + rng.normal(0, 9))]), int(rng.integers(2, 6))
        )


def _scribble(canvas: Gray, rng: np.random.Generator) -> None:
    count = int(rng.integers(5, 14))
    points = 32 + np.cumsum(rng.normal(0, 11, (count, 2)), axis=0)
    _pen(canvas, np.clip(points, 4, 60), int(rng.integers(1, 6)))


def _blot(canvas: Gray, rng: np.random.Generator) -> None:
    soft = cv2.GaussianBlur(rng.standard_normal(canvas.shape).astype(np.float32), (0, 0), rng.uniform(4, 9))
    disc = np.zeros_like(canvas)
    cv2.circle(disc, (32, 32), int(rng.integers(14, 30)), 255, -1)
    canvas[(soft > np.quantile(soft, rng.uniform(0.2, 0.6))) & (disc > 0)] = 255


def _texture(canvas: Gray, rng: np.random.Generator) -> None:
    """Specks, waves and hatching of security paper and of noisy scans."""
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(
            rng.standard_normal(canvas.shape).astype(np.float32), (0, 0), rng.uniform(0.7, 2)
        )
        canvas[soft > np.quantile(soft, rng.uniform(0.75, 0.95))] = 255
        return
    gap = int(rng.integers(6, 14))
    lean = rng.uniform(-0.5, 0.5)
    xs = np.linspace(4, 60, 12)
    for y in range(int(rng.integers(6, 16)), 60, gap):
        wave = y + lean * (xs - 32) + rng.uniform(0, 3) * np.sin(xs / rng.uniform(3, 9))
        _pen(canvas, np.stack([xs, wave], axis=1), int(rng.integers(1, 4)))


_MARKS: tuple[tuple[Callable[[Gray, np.random.Generator], None], int], ...] = (
    (_point, 3),
    (_comma, 2),
    (_dash, 3),
    (_tick, 1),
    (_cross, 2),
    (_corner, 2),
    (_bracket, 1),
    (_ruled, 2),
    (_scribble, 2),
    (_blot, 2),
    (_texture, 2),
)
