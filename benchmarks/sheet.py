"""A sheet of paper, printed and written on in millimetres, with the exact truth of what was written."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.handwriting import Coverage, Hands, comma, pen_strokes, point

MM_PER_INCH = 25.4

_FINE = 4
"""Dots are drawn so many times larger, and reduced."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How people write: lengths in millimetres, distances between digits in digit heights."""

    digit_mm: float = 5.0
    stroke_mm: float = 0.45
    gap: float = 0.18
    jitter: float = 0.05
    slant_degrees: float = 4.0
    crossing: float = 0.0
    """The share of numbers that slip onto the line below them."""


@dataclass(frozen=True, kw_only=True)
class WrittenNumber:
    """One number's truth; `outlines` are its digits' hulls, each (K, 2) float x, y in pixels of the sheet."""

    text: str
    field: str | None
    writer: int
    outlines: tuple[NDArray[np.float32], ...]

    @property
    def digits(self) -> str:
        return digits_of(self.text)


@dataclass
class Sheet:
    """Layers of one sheet at `dpi`: what was printed, ruled and written (H, W) in [0, 1], and the truth."""

    width_mm: float
    height_mm: float
    dpi: float
    hands: Hands
    style: Style
    rng: np.random.Generator
    numbers: list[WrittenNumber] = field(default_factory=list)

    def __post_init__(self) -> None:
        shape = round(self.px(self.height_mm)), round(self.px(self.width_mm))
        self.print_layer: Coverage = np.zeros(shape, np.float32)
        self.rule_layer: Coverage = np.zeros(shape, np.float32)
        self.pen_layer: Coverage = np.zeros(shape, np.float32)

    def px(self, mm: float) -> float:
        return mm / MM_PER_INCH * self.dpi

    def rule(self, x: float, y: float, right: float, bottom: float, width_mm: float = 0.25) -> None:
        """A straight horizontal or vertical line between two points."""
        half = max(width_mm, MM_PER_INCH / self.dpi) / 2
        left, top = max(0, round(self.px(x - half))), max(0, round(self.px(y - half)))
        right_px = max(left + 1, round(self.px(right + half)))
        bottom_px = max(top + 1, round(self.px(bottom + half)))
        self.rule_layer[top:bottom_px, left:right_px] = 1.0

    def dot(self, x: float, y: float, size_mm: float) -> None:
        """A round printed dot, or a speck of dirt, about a point; at least a pixel wide."""
        size = max(size_mm, MM_PER_INCH / self.dpi)
        side = round(self.px(size)) + 3
        canvas = np.zeros((_FINE * side, _FINE * side), np.uint8)
        cv2.circle(canvas, (_FINE * side // 2,) * 2, max(1, round(_FINE * self.px(size) / 2)), 255, -1)
        ink = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(
            255
        )
        _stamp(self.rule_layer, ink, round(self.px(x) - side / 2), round(self.px(y) - side / 2))

    def frame(self, x: float, y: float, width: float, height: float, width_mm: float = 0.25) -> None:
        for top in (y, y + height):
            self.rule(x, top, x + width, top, width_mm)
        for left in (x, x + width):
            self.rule(left, y, left, y + height, width_mm)

    def print_text(self, x: float, y: float, text: str, size_mm: float = 3.0) -> None:
        """Prints text with its baseline at `y`; capitals are about 0.7 of `size_mm` high."""
        font = ImageFont.load_default(max(6.0, self.px(size_mm)))
        left, top, right, bottom = (int(v) for v in font.getbbox(text, anchor="ls"))
        tile = Image.new("L", (right - left + 4, bottom - top + 4))
        ImageDraw.Draw(tile).text((2 - left, 2 - top), text, fill=255, font=font, anchor="ls")
        ink = np.asarray(tile, np.float32) / np.float32(255)
        _stamp(self.print_layer, ink, round(self.px(x)) + left - 2, round(self.px(y)) + top - 2)

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        name: str | None = None,
        pitch: float | None = None,
        writer: int | None = None,
    ) -> float:
        """Writes a number by one hand, its baseline at `y`; returns the x where it ends.

        With a `pitch` (millimetres) every digit is centred in its own box, of which the first begins at `x`.
        """
        style, rng = self.style, self.rng
        writer = int(rng.choice(self.hands.able(digits_of(text)))) if writer is None else writer
        if rng.random() < style.crossing:
            y += rng.uniform(0.1, 0.3) * style.digit_mm
        slant = rng.uniform(-1, 1) * style.slant_degrees
        stroke = self.px(style.stroke_mm) * rng.uniform(0.9, 1.1)
        size = self.px(style.digit_mm) * rng.uniform(1 - style.jitter, 1 + style.jitter)
        at, outlines = self.px(x), []
        for position, char in enumerate(text):
            height = size * rng.uniform(1 - style.jitter, 1 + style.jitter)
            ink = self._ink(char, writer, height, stroke, slant)
            if pitch is not None:
                at = self.px(x + (position + 0.5) * pitch) - ink.shape[1] / 2
            top = self._top(char, self.px(y), height, ink.shape[0])
            outline = _stamp(self.pen_layer, ink, round(at), round(top))
            if char.isdecimal():
                outlines.append(outline)
            at += ink.shape[1] + max(-0.2, rng.normal(style.gap, abs(style.gap) / 4)) * size
        self.numbers.append(WrittenNumber(text=text, field=name, writer=writer, outlines=tuple(outlines)))
        return at * MM_PER_INCH / self.dpi

    def _ink(self, char: str, writer: int, height: float, stroke: float, slant: float) -> Coverage:
        if char == ",":
            return comma(height, stroke, self.rng)
        if char == ".":
            return point(height, stroke, self.rng)
        if char == "-":
            return np.ones((max(1, round(stroke)), max(2, round(0.4 * height))), np.float32)
        glyphs = self.hands.samples(writer, char)
        return pen_strokes(glyphs[self.rng.integers(len(glyphs))], height, stroke, slant)

    def _top(self, char: str, baseline: float, height: float, ink_height: int) -> float:
        if char == ",":
            return baseline - 0.08 * height
        if char == ".":
            return baseline - ink_height + self.rng.normal(0, 0.02) * height
        if char == "-":
            return baseline - 0.45 * height
        return baseline - ink_height + self.rng.normal(0, 0.03) * height


def digits_of(text: str) -> str:
    return "".join(char for char in text if char.isdecimal())


def _stamp(layer: Coverage, ink: Coverage, x: int, y: int) -> NDArray[np.float32]:
    """Lays ink onto a layer, cut at its edges; returns the hull of what is inked, pixel edges included."""
    height, width = layer.shape
    left, top = max(0, x), max(0, y)
    right, bottom = min(width, x + ink.shape[1]), min(height, y + ink.shape[0])
    if right <= left or bottom <= top:
        raise ValueError(f"Ink at pixel ({x}, {y}) lies outside the sheet of {width}×{height} pixels.")
    part = ink[top - y : bottom - y, left - x : right - x]
    target = layer[top:bottom, left:right]
    np.maximum(target, part, out=target)
    # Of a stroke finer than a pixel, none is inked by half.
    rows, columns = np.nonzero(part > 0.5 * min(1.0, float(part.max())))
    corners = [np.column_stack([columns + left + dx, rows + top + dy]) for dx in (0, 1) for dy in (0, 1)]
    return np.asarray(cv2.convexHull(np.concatenate(corners).astype(np.float32))[:, 0], np.float32)
