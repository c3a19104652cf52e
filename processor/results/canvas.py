"""Where labels are pasted: a page at the scale it is looked at, and the room that is left beside its ink."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Box, Page
from processor.results.lettering import Colour, Rgb

DASH_PIXELS = 4
INK_CONTRAST = 30
FREE_INK_SHARE = 0.03
MARGIN_GRAY = 225
NARROWEST_PIXELS = 360

Corner = tuple[int, int]
"""(x, y) of a label's top left pixel."""


class Canvas:
    """The page at the scale it is looked at, with margins, and which of its pixels a label must leave alone.

    `scale` is the canvas' pixels per pixel of the page's file, `margins` are pixels above and below the page.
    """

    def __init__(self, page: Page, scale: float, margins: tuple[int, int]) -> None:
        seen = _resized(page.pixels, scale * page.reduced)
        sides = margins, (0, max(0, NARROWEST_PIXELS - seen.shape[1]))
        self.pixels = np.pad(seen, (*sides, (0, 0)), constant_values=MARGIN_GRAY)
        self.height, self.width = self.pixels.shape[:2]
        self._scale, self._top = scale, margins[0]
        self._taken = np.zeros((self.height, self.width), np.bool_)
        self._ink = np.pad(_ink(seen), sides)

    def scaled(self, box: Box, pad: int = 0) -> Box:
        """A page's box on the canvas, cut to it, at least one pixel large."""
        x = min(max(0, round(box.x * self._scale) - pad), self.width - 1)
        y = min(max(0, round(box.y * self._scale) + self._top - pad), self.height - 1)
        right = max(x + 1, min(self.width, round(box.right * self._scale) + pad))
        bottom = max(y + 1, min(self.height, round(box.bottom * self._scale) + self._top + pad))
        return Box(x, y, right - x, bottom - y)

    def outline(self, box: Box, colour: Colour, thick: int, *, dashed: bool = False) -> None:
        """Draws a box's border inside it."""
        across, down = _dash(box.width, dashed), _dash(box.height, dashed)
        for step in range(min(thick, (min(box.width, box.height) + 1) // 2)):
            self.pixels[box.y + step, box.x : box.right][across] = colour
            self.pixels[box.bottom - 1 - step, box.x : box.right][across] = colour
            self.pixels[box.y : box.bottom, box.x + step][down] = colour
            self.pixels[box.y : box.bottom, box.right - 1 - step][down] = colour

    def occupy(self, box: Box) -> None:
        self._taken[box.y : box.bottom, box.x : box.right] = True

    def fits(self, label: Rgb, corner: Corner) -> bool:
        """Whether the label covers nothing there: no box, no other label, hardly any ink."""
        return self._cost(label, corner) == 0

    def put(self, label: Rgb, corner: Corner) -> None:
        """Pastes the label, shifted so that all of it is on the canvas."""
        height, width = min(label.shape[0], self.height), min(label.shape[1], self.width)
        x, y = self._inside(label, corner)
        self.pixels[y : y + height, x : x + width] = label[:height, :width]
        self.occupy(Box(x, y, width, height))

    def put_best(self, label: Rgb, corners: Sequence[Corner]) -> None:
        """Pastes the label at the first corner where it covers nothing, else where it covers least."""
        self.put(label, min(corners, key=lambda corner: self._cost(label, self._inside(label, corner))))

    def first_free(self, label: Rgb, corners: Iterable[Corner]) -> Corner | None:
        return next((corner for corner in corners if self.fits(label, corner)), None)

    def _inside(self, label: Rgb, corner: Corner) -> Corner:
        x = max(0, min(corner[0], self.width - label.shape[1]))
        return x, max(0, min(corner[1], self.height - label.shape[0]))

    def _cost(self, label: Rgb, corner: Corner) -> float:
        """Pixels of boxes and labels (fourfold) and of ink that the label would cover."""
        height, width = label.shape[:2]
        x, y = corner
        if x < 0 or y < 0 or x + width > self.width or y + height > self.height:
            return float("inf")
        part = slice(y, y + height), slice(x, x + width)
        taken = np.count_nonzero(self._taken[part])
        ink = np.count_nonzero(self._ink[part])
        return 4.0 * taken + (ink if ink > FREE_INK_SHARE * height * width else 0)


def _resized(pixels: NDArray[np.uint8], scale: float) -> Rgb:
    """An RGB copy at that scale; gray pages are resized before they get three channels, which is faster.

    OpenCV averages areas fast by whole factors alone (50 ms an A4 page at 300 dpi otherwise), so a page is
    halved as often as it can be, and the rest, which skips no pixel, is interpolated.
    """
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    while min(pixels.shape[:2]) > 1 and pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]:
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC)
    rgb = cv2.cvtColor(resized, cv2.COLOR_GRAY2RGB) if resized.ndim == 2 else resized
    return np.array(rgb, np.uint8)


def _ink(pixels: Rgb) -> NDArray[np.bool_]:
    """Pixels clearly darker than their surroundings, whatever shadow they lie in."""
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    small = cv2.resize(gray, (-(-width // 4), -(-height // 4)), interpolation=cv2.INTER_AREA)
    paper = cv2.resize(cv2.blur(small, (15, 15)), (width, height))
    return np.asarray(cv2.subtract(paper, gray) > INK_CONTRAST, np.bool_)


def _dash(length: int, dashed: bool) -> NDArray[np.bool_] | slice:
    return (np.arange(length) // DASH_PIXELS % 2 == 0) if dashed else slice(None)
