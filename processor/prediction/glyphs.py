"""The one normaliser: ink of any size to the 28×28 glyph that the network was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Glyphs

SIZE = 28
"""Side of a glyph in pixels."""

BOX = 20
"""The longer side of the ink within a glyph, as in MNIST."""

MIN_STROKE = 2.0
"""Strokes thinner than this many glyph pixels are thickened: a fine pen would vanish when it is shrunk."""

FAINTEST = 0.1
"""Ink below this share of the darkest is paper: it does not count for the crop."""

_PLACES = np.arange(BOX, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Frame:
    """How a mark was brought to its glyph: `size` px in x and y are one glyph pixel, `start` is the glyph's
    left and upper edge on the cut-out, and contrast was raised `gain` times."""

    size: tuple[float, float]
    start: tuple[float, float]
    gain: float


def normalise(ink: NDArray[np.generic]) -> NDArray[np.float32]:
    """Brings one digit's ink to MNIST's form: longer side 20 px, centre of mass in the middle of 28×28.

    `ink` is (h, w), high = ink, uint8 0..255, bool or float 0..1, with all other ink masked out. The result
    is (28, 28) float32 in [0, 1] with the strokes' core at 1; ink without a mark gives zeros.
    Method: Y. LeCun et al., "Gradient-based learning applied to document recognition" (1998), plus a floor
    on the stroke width. Size is lost: a speck fills the glyph like a digit, so reject by size before.
    """
    return _framed(_as_float(ink))[0]


def with_surroundings(ink: NDArray[np.generic]) -> NDArray[np.float32]:
    """(2, 28, 28) float32: the glyph of a mark, and the same frame with all ink that stands about the mark.

    `ink` is (2, h, w), a mark's own ink and all ink; or (h, w), a mark that stands alone. What half a digit
    lacks, or how a neighbour leans into a digit's box, only the surroundings tell.
    """
    if ink.ndim == 2:
        glyph = normalise(ink)
        return np.stack([glyph, glyph])
    own, around = _as_float(ink[0]), _as_float(ink[1])
    glyph, frame = _framed(own)
    return np.stack([glyph, np.maximum(glyph, _seen_through(frame, around))])


def batch(inks: Sequence[NDArray[np.generic]]) -> Glyphs:
    """Normalises each of `inks`, (h, w) or (2, h, w), into one array (N, 2, 28, 28) float32; N may be 0."""
    glyphs = np.zeros((len(inks), 2, SIZE, SIZE), np.float32)
    for glyph, ink in zip(glyphs, inks, strict=True):
        glyph[:] = with_surroundings(ink)
    return glyphs


def _framed(ink: NDArray[np.float32]) -> tuple[NDArray[np.float32], _Frame]:
    glyph = np.zeros((SIZE, SIZE), np.float32)
    place = _place(ink)
    if place is None:
        return glyph, _Frame((1.0, 1.0), (0.0, 0.0), 0.0)
    x, y, cropped, gain = place
    thick = _thicken(cropped)
    margin = (thick.shape[0] - cropped.shape[0]) // 2
    small = _shrink(thick)
    core = _core(small)
    small = np.asarray(np.minimum(small * np.float32(1 / core), 1), np.float32)
    height, width = small.shape
    total = float(small.sum())
    centre_y = float(small.sum(axis=1) @ _PLACES[:height]) / total
    centre_x = float(small.sum(axis=0) @ _PLACES[:width]) / total
    # Whole-pixel shifts: a glyph that is already normalised must come through unblurred.
    top = min(max(round(SIZE / 2 - centre_y), 0), SIZE - height)
    left = min(max(round(SIZE / 2 - centre_x), 0), SIZE - width)
    glyph[top : top + height, left : left + width] = small
    size = thick.shape[1] / width, thick.shape[0] / height
    start = x - margin - left * size[0], y - margin - top * size[1]
    return glyph, _Frame(size, start, gain / core)


def _seen_through(frame: _Frame, ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """(28, 28) of the `ink` (h, w) that the frame shows, as dark as the mark itself was made."""
    (across, down), (x, y) = frame.size, frame.start
    if max(across, down) > 1:
        # What becomes one pixel is averaged before: nothing thin may fall between the samples.
        ink = np.asarray(cv2.blur(ink, (2 * int(across / 2) + 1, 2 * int(down / 2) + 1)), np.float32)
    # The middle of glyph pixel u lies at start + (u + 0.5) size, less half a pixel of the ink's own.
    to_ink = np.array([[across, 0, x + 0.5 * across - 0.5], [0, down, y + 0.5 * down - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(ink, to_ink, (SIZE, SIZE), flags=flags) * np.float32(frame.gain)
    return np.where(seen > FAINTEST, np.minimum(seen, 1), 0).astype(np.float32)


def stroke_width(ink: NDArray[np.float32]) -> float:
    """The mean width of the strokes in pixels: twice the area over the perimeter.

    The perimeter is taken from the total variation along both axes (Cauchy-Crofton), so soft edges and
    strokes of a single pixel are measured as well as binary ones. Noise inside the ink makes it too small.
    """
    padded = cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    vertical = cv2.norm(padded[1:], padded[:-1], cv2.NORM_L1)
    horizontal = cv2.norm(padded[:, 1:], padded[:, :-1], cv2.NORM_L1)
    variation = vertical + horizontal
    return 2 * float(cv2.sumElems(ink)[0]) / (np.pi / 4 * variation) if variation > 0 else 0.0


def _as_float(ink: NDArray[np.generic]) -> NDArray[np.float32]:
    if ink.ndim != 2:
        raise ValueError(f"ink has shape {ink.shape}, expected (height, width)")
    if ink.dtype == np.uint8:
        return ink.astype(np.float32) * np.float32(1 / 255)
    return np.clip(ink.astype(np.float32), 0, 1)


def _place(ink: NDArray[np.float32]) -> tuple[int, int, NDArray[np.float32], float] | None:
    """Left and upper edge of the ink's own box, the ink in it with its core at 1, and how much that took.

    What is fainter than `FAINTEST` is cleared; None where it is blank.
    """
    darkest = float(ink.max(initial=0))
    if darkest <= 0:
        return None
    x, y, width, height = cv2.boundingRect((ink > FAINTEST * darkest).view(np.uint8))
    box = ink[y : y + height, x : x + width]
    cleared = np.asarray(cv2.threshold(box, FAINTEST * darkest, 0, cv2.THRESH_TOZERO)[1], np.float32)
    core = _core(cleared)
    return x, y, np.asarray(np.minimum(cleared * np.float32(1 / core), 1), np.float32), 1 / core


def _core(ink: NDArray[np.float32]) -> float:
    """The mean over the darker half of the ink's range."""
    return float(cv2.mean(ink, mask=(ink > 0.5 * ink.max()).view(np.uint8))[0])


def _thicken(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dilates fine strokes until they will measure `MIN_STROKE` after shrinking.

    The dilation is a threshold on the distance to the ink, so its radius need not be whole, and its cost
    does not grow with it: a 4 px pen on a digit 400 px high needs 18 px on each side.
    """
    pixel = max(ink.shape) / BOX
    missing = MIN_STROKE * pixel - stroke_width(ink)
    if missing <= 0.1 * pixel:
        return ink
    # The box grows by the same amount and is shrunk to 20 px again.
    radius = missing / 2 * (1 + MIN_STROKE / BOX)
    margin = int(np.ceil(radius))
    padded = cv2.copyMakeBorder(ink, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    paper = (padded < 0.5).view(np.uint8)
    distance = cv2.distanceTransform(paper, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(np.maximum(padded, np.clip(np.float32(radius + 1) - distance, 0, 1)), np.float32)


def _shrink(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = ink.shape
    longer = max(height, width)
    if longer == BOX:
        return ink
    size = max(1, round(width * BOX / longer)), max(1, round(height * BOX / longer))
    if longer > BOX:
        return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.clip(cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float32)
