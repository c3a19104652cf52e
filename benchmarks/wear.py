"""What happens to a sheet on its way to a file: paper, pen, light, lens, scanner."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.handwriting import Coverage
from benchmarks.sheet import Sheet

Colour = tuple[int, int, int]
Homography = NDArray[np.float64]
"""(3, 3), from sheet to image, pixel centres at whole numbers."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Every strength is 0 for none; colours are RGB; blur is the standard deviation in millimetres."""

    paper: Colour = (252, 251, 247)
    pen: Colour = (28, 30, 60)
    rules: Colour = (70, 70, 70)
    skew_degrees: float = 0.0
    perspective: float = 0.0
    texture: float = 0.0
    shadow: float = 0.0
    noise: float = 0.0
    blur_mm: float = 0.0
    bleed_through: float = 0.0
    pressure: float = 0.1
    """By how much of its ink a stroke varies along its way: a pencil's by more than a pen's."""
    one_bit: bool = False
    jpeg_quality: int | None = None


def photographed(sheet: Sheet, look: Look, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Homography]:
    """The sheet as an RGB image, (H, W, 3) uint8 (1-bit: (H, W) of 0 and 255), and where its points went."""
    image = _on_paper(sheet, look, rng)
    image, homography = _seen(image, look, rng)
    if look.shadow:
        image *= _light(image.shape[:2], look.shadow, rng)[:, :, None]
    if look.blur_mm:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.2, sheet.px(look.blur_mm))), np.float32)
    if look.noise:
        image += rng.normal(0, look.noise, image.shape[:2]).astype(np.float32)[:, :, None]
        image += rng.normal(0, look.noise / 2, image.shape).astype(np.float32)
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if look.one_bit:
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        return np.where(gray > 150, 255, 0).astype(np.uint8), homography
    return pixels, homography


def _on_paper(sheet: Sheet, look: Look, rng: np.random.Generator) -> NDArray[np.float32]:
    shape = sheet.pen_layer.shape
    image = np.empty((*shape, 3), np.float32)
    image[:] = look.paper
    if look.texture:
        image *= (1 + look.texture * _fibres(shape, sheet.px(1), rng))[:, :, None]
    if look.bleed_through:
        back = cv2.GaussianBlur(sheet.pen_layer[:, ::-1], (0, 0), max(0.5, sheet.px(0.15)))
        back = np.roll(back, round(sheet.px(4)), axis=0)
        _lay(image, look.bleed_through * np.asarray(back, np.float32), look.pen)
    _lay(image, sheet.rule_layer, look.rules)
    _lay(image, 0.92 * sheet.print_layer, (25, 25, 25))
    pressed = 1 + look.pressure * (_fibres(shape, sheet.px(0.8), rng) - 1)
    _lay(image, sheet.pen_layer * np.clip(pressed, 0.6 - 2 * (look.pressure - 0.1), 1), look.pen)
    return image


def _lay(image: NDArray[np.float32], ink: Coverage, colour: Colour) -> None:
    """Covers the image with ink, in place."""
    for channel in range(3):
        image[:, :, channel] += ink * (colour[channel] - image[:, :, channel])


def _fibres(shape: tuple[int, ...], grain: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of unit variance: fibres of about `grain` pixels over clouds ten times as large."""
    total = np.zeros(shape, np.float32)
    for size, weight in ((max(1.0, grain), 0.6), (10 * max(1.0, grain), 0.8)):
        small = max(2, round(shape[0] / size)), max(2, round(shape[1] / size))
        cloud = rng.normal(0, 1, small).astype(np.float32)
        total += weight * cv2.resize(cloud, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return total


def _seen(
    image: NDArray[np.float32], look: Look, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Homography]:
    """Turns the sheet in the scanner, or looks at it lying on a desk; nothing of the sheet is cut off."""
    height, width = image.shape[:2]
    if not look.skew_degrees and not look.perspective:
        return image, np.eye(3)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle = np.radians(look.skew_degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    seen = (corners - corners.mean(axis=0)) @ turn
    if look.perspective:
        seen += rng.uniform(-1, 1, (4, 2)) * look.perspective * 0.12 * min(width, height)
        seen += [[0.05 * look.perspective * width, 0], [-0.05 * look.perspective * width, 0], [0, 0], [0, 0]]
    margin = 0.04 * min(width, height) if look.perspective else 0.0
    seen += margin - seen.min(axis=0)
    size = tuple(int(v) for v in np.ceil(seen.max(axis=0) + margin))
    homography = cv2.getPerspectiveTransform(corners - 0.5, (seen - 0.5).astype(np.float32))
    desk = (92, 74, 60) if look.perspective else look.paper
    warped = cv2.warpPerspective(
        image, homography, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=desk
    )
    return np.asarray(warped, np.float32), np.asarray(homography, np.float64)


def _light(shape: tuple[int, ...], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A lamp to one side, and the soft shadow of whoever holds the camera: factors up to 1."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    slope = np.cos(direction) * (x / width - 0.5) + np.sin(direction) * (y / height - 0.5)
    shade = np.zeros(shape, np.float32)
    corner = np.array([[-0.2, 1.2], [-0.2, 0.55], [0.35, 0.62], [0.75, 0.8], [0.9, 1.2]])
    corner += rng.uniform(-0.05, 0.05, corner.shape)
    if rng.random() < 0.5:
        corner[:, 0] = 1 - corner[:, 0]
    cv2.fillPoly(shade, [np.rint(corner * [width, height]).astype(np.int32)], 1.0)
    shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), 0.02 * min(shape)), np.float32)
    return np.asarray(1 - strength * (0.25 + 0.5 * slope) - 0.7 * strength * shade, np.float32)


def moved(points: NDArray[np.float32], homography: Homography) -> NDArray[np.float64]:
    """Pixel-edge coordinates (K, 2) of the sheet, as they lie on the image."""
    centred = (points.astype(np.float64) - 0.5)[:, None]
    return np.asarray(cv2.perspectiveTransform(centred, homography)[:, 0] + 0.5, np.float64)
