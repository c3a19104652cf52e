"""The one normaliser: ink of any size to the 28×28 glyph that the network was trained on."""

from collections.abc import Sequence

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


def normalise(ink: NDArray[np.generic]) -> NDArray[np.float32]:
    """Brings one digit's ink to MNIST's form: longer side 20 px, centre of mass in the middle of 28×28.

    `ink` is (h, w), high = ink, uint8 0..255, bool or float 0..1, with all other ink masked out. The result
    is (28, 28) float32 in [0, 1] with the strokes' core at 1; ink without a mark gives zeros.
    Method: Y. LeCun et al., "Gradient-based learning applied to document recognition" (1998), plus a floor
    on the stroke width. Size is lost: a speck fills the glyph like a digit, so reject by size before.
    """
    cropped = _crop(_as_float(ink))
    glyph = np.zeros((SIZE, SIZE), np.float32)
    if cropped is None:
        return glyph
    small = _with_core_at_one(_shrink(_thicken(cropped)))
    height, width = small.shape
    total = float(small.sum())
    centre_y = float(small.sum(axis=1) @ _PLACES[:height]) / total
    centre_x = float(small.sum(axis=0) @ _PLACES[:width]) / total
    # Whole-pixel shifts: a glyph that is already normalised must come through unblurred.
    top = min(max(round(SIZE / 2 - centre_y), 0), SIZE - height)
    left = min(max(round(SIZE / 2 - centre_x), 0), SIZE - width)
    glyph[top : top + height, left : left + width] = small
    return glyph


def batch(inks: Sequence[NDArray[np.generic]]) -> Glyphs:
    """Normalises each of `inks` into one array (N, 1, 28, 28) float32; N may be 0."""
    glyphs = np.zeros((len(inks), 1, SIZE, SIZE), np.float32)
    for glyph, ink in zip(glyphs, inks, strict=True):
        glyph[0] = normalise(ink)
    return glyphs


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


def _crop(ink: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The ink's own box, its core at 1, what is fainter than `FAINTEST` cleared; None where it is blank."""
    darkest = float(ink.max(initial=0))
    if darkest <= 0:
        return None
    x, y, width, height = cv2.boundingRect((ink > FAINTEST * darkest).view(np.uint8))
    box = ink[y : y + height, x : x + width]
    cleared = np.asarray(cv2.threshold(box, FAINTEST * darkest, 0, cv2.THRESH_TOZERO)[1], np.float32)
    return _with_core_at_one(cleared)


def _with_core_at_one(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Contrast such that the mean over the darker half of the ink's range is 1."""
    darker = (ink > 0.5 * ink.max()).view(np.uint8)
    core = cv2.mean(ink, mask=darker)[0]
    return np.asarray(np.minimum(ink * np.float32(1 / core), 1), np.float32)


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
