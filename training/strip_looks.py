"""How a number's strip looks: lines and neighbours, the paper's print, the scanner, what cleaning leaves."""

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.prediction.strips import DIGIT, HEIGHT, with_core_at_full
from processor.records import Gray
from training.augment import Ink
from training.strings import BASE, ROWS, Hands, Written

STEEPEST = -0.45, 0.75
"""The slants of numbers, columns per row: writing leans to the right."""

REMOVED = 0.75
"""Cleaning finds and removes so many of the lines."""

LOST = 0.12
"""On so many strips, cleaning takes some of the writing away."""

_FIELDS = 40
_FIELD = (80, 500)
_FIXED = 8


class Looks:
    """Turns drawn numbers and real strips into what the reader may see; the same generator gives the same."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._fields = np.empty((_FIELDS, 2, *_FIELD), np.float32)
        for number, field in enumerate(self._fields):
            for plane in field:
                noise = rng.standard_normal(_FIELD).astype(np.float32)
                plane[:] = cv2.GaussianBlur(noise, (0, 0), 6 if number % 2 else 10)
                plane /= plane.std()

    def drawn(
        self, written: Written, hands: Hands, rng: np.random.Generator
    ) -> tuple[Gray, NDArray[np.float64]]:
        """A drawn number as a strip (2, HEIGHT, W) uint8: another pen, slanted, furnished, scanned, cleaned.

        With it come the columns on which its characters have their middles.
        """
        canvas = written.ink.copy()
        add_neighbours(canvas, written.height, hands, rng)
        pen = rng.random()
        if pen < 0.75:
            canvas = restroked(canvas, written.height, rng, bold=pen < 0.35)
        lines = ruled(canvas.shape, written.height, rng)
        scale = DIGIT / written.height * float(np.exp(rng.normal(-0.03, 0.12)))
        slant = float(np.clip(rng.normal(0.12, 0.25), *STEEPEST))
        centre = BASE - written.height / 2 + rng.normal(0, 0.06) * written.height
        width = int(canvas.shape[1] * scale + abs(slant) * HEIGHT + 4)
        right = rng.uniform(-8, 5)
        there = np.array(
            [[scale, -slant * scale, right + slant * scale * centre], [0, scale, HEIGHT / 2 - scale * centre]]
        )
        ink = self._moved(canvas, there, width, rng, bent=0.5)
        middles = written.middles @ there[0, :2] + there[0, 2]
        there[0, 1:] = 0, right
        return self._seen(ink, _straight(lines, there, width) if lines.any() else None, rng), middles

    def real(self, large: Gray, digit: float, margin: float, rng: np.random.Generator) -> Gray:
        """A real strip as another person might have written it: (2, rows, columns) to (2, HEIGHT, W) uint8.

        `large` shows digits `digit` px high with a `margin` (digit heights) of paper; see `cut_strip`.
        """
        _, rows, columns = large.shape
        scale, wide = DIGIT / digit * float(np.exp(rng.normal(0, 0.1))), float(np.exp(rng.normal(0, 0.1)))
        slant, climb = rng.normal(0, 0.12), rng.normal(0, 0.03)
        centre = rows / 2 + rng.normal(0, 0.05) * digit
        cut = (margin - rng.uniform(0.2, 0.6)) * digit * scale * wide
        width = max(8, int(columns * scale * wide - 2 * cut))
        there = np.array(
            [
                [scale * wide, -slant * scale, slant * scale * centre - cut],
                [climb * scale, scale, HEIGHT / 2 - scale * centre - climb * scale * columns / 2],
            ]
        )
        state = rng.bit_generator.state
        planes = []
        for plane in large:
            # Both planes are bent alike.
            rng.bit_generator.state = state
            planes.append(self._moved(plane.astype(np.float32) / 255, there, width, rng, bent=0.4))
        written, paper = _other_pen(planes[0], planes[1], rng)
        return _as_bytes(_with_losses(written, digit * scale, rng), paper)

    def _moved(
        self, ink: Ink, there: NDArray[np.float64], width: int, rng: np.random.Generator, *, bent: float
    ) -> Ink:
        """`ink` under the affine map `there`, and with the chance `bent` a little wavy."""
        smooth = cv2.blur(ink, (2, 2)) if there[1, 1] < 0.7 else ink
        if rng.random() >= bent:
            return np.asarray(cv2.warpAffine(smooth, there, (width, HEIGHT)), np.float32)
        back = cv2.invertAffineTransform(there).astype(np.float32)
        x, y = np.arange(width, dtype=np.float32)[None], np.arange(HEIGHT, dtype=np.float32)[:, None]
        field = self._field((HEIGHT, width), rng) * np.float32(rng.uniform(0, 1.3) / 2 / there[1, 1])
        across = back[0, 0] * x + back[0, 1] * y + back[0, 2] + field[0]
        down = back[1, 0] * x + back[1, 1] * y + back[1, 2] + field[1]
        return np.asarray(cv2.remap(smooth, across, down, cv2.INTER_LINEAR), np.float32)

    def _field(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """(2, height, width) of smooth noise for a `shape`, about 1 in size; wide ones are stretched."""
        height, width = shape
        number, y = int(rng.integers(_FIELDS)), int(rng.integers(_FIELD[0] - height))
        x = int(rng.integers(max(1, _FIELD[1] - width)))
        part = self._fields[number, :, y : y + height, x : x + width]
        if part.shape[2] == width:
            return part
        return np.stack([cv2.resize(plane, (width, height)) for plane in part])

    def _seen(self, ink: Ink, lines: Ink | None, rng: np.random.Generator) -> Gray:
        """The planes of `ink` and ruled `lines` (HEIGHT, W): scanned in gray or one bit, then cleaned."""
        if rng.random() < 0.3:
            fade = np.abs(self._field(ink.shape, rng)[0]) * np.float32(0.4 * rng.random())
            ink = ink * np.clip(1 - fade, 0.25, 1)
        ruling = np.zeros_like(ink) if lines is None else lines
        if rng.random() < 0.35:
            ink, ruling, paper = _in_one_bit(ink, ruling, rng)
        else:
            ink, ruling, paper = self._in_gray(ink, ruling, rng)
        written = np.where(paper > rng.uniform(0.3, 0.5), paper, np.float32(0))
        if lines is not None and rng.random() < REMOVED:
            written = _without_lines(written, ink, ruling, rng)
        if rng.random() < 0.05:
            paper = written
        return _as_bytes(_with_losses(written, DIGIT, rng), paper)

    def _in_gray(self, ink: Ink, ruling: Ink, rng: np.random.Generator) -> tuple[Ink, Ink, Ink]:
        if rng.random() < 0.3:
            ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, 0.8)), np.float32)
        ruling = ruling * np.float32(rng.uniform(0.5, 1))
        grain = rng.standard_normal(ink.shape, np.float32) * np.float32(rng.uniform(0, 0.07))
        ground = self._security_print(ink.shape, rng) + grain
        marks = np.maximum(ink, ruling)
        paper = marks + ground * (1 - np.float32(0.7) * marks)
        return ink, ruling, np.clip(paper * np.float32(rng.uniform(0.9, 1.3)), 0, 1)

    def _security_print(self, shape: tuple[int, ...], rng: np.random.Generator) -> Ink:
        """Waves of fine lines, as on cheques; none on every second paper."""
        found = np.zeros(shape, np.float32)
        if rng.random() < 0.5:
            return found
        x, y = np.arange(shape[1], dtype=np.float32)[None], np.arange(shape[0], dtype=np.float32)[:, None]
        darkness = rng.uniform(0.08, 0.4)
        field = self._field(shape, rng)[0]
        for _ in range(int(rng.integers(1, 3))):
            turn = rng.normal(0, 0.4) if rng.random() < 0.6 else rng.uniform(0, np.pi)
            along = y * np.float32(np.cos(turn)) + x * np.float32(np.sin(turn)) + field * rng.uniform(0, 10)
            wave = np.cos(along * (2 * np.pi / rng.uniform(4, 11)))
            found = np.maximum(found, np.clip(wave * 1.5 - 0.5, 0, 1) * darkness)
        return found.astype(np.float32)


def restroked(canvas: Ink, height: float, rng: np.random.Generator, *, bold: bool) -> Ink:
    """Strokes finer or bolder: the level at which the blurred edge is cut decides the width."""
    soft = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.015, 0.035) * height)
    if bold and rng.random() < 0.6:
        side = int(rng.integers(2, 5))
        soft = cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    # Against the strokes' own darkness after the blur: a fine pen would vanish.
    core = cv2.mean(soft, mask=(canvas > 0.5).view(np.uint8))[0] or 1.0
    level = (rng.uniform(0.12, 0.35) if bold else rng.uniform(0.3, 0.75)) * core
    return np.asarray(np.clip((soft - level) * rng.uniform(2, 6) + 0.5, 0, 1), np.float32)


def add_neighbours(canvas: Ink, height: float, hands: Hands, rng: np.random.Generator) -> None:
    """The lower ends of the row above and the upper ends of the row below, on every third number."""
    for above in (True, False):
        if rng.random() >= 0.3:
            continue
        gap = rng.uniform(0.05, 0.4) * height
        edge = BASE - height - gap if above else BASE + gap
        x, hand = rng.uniform(0, 0.6) * canvas.shape[1], hands.pick(rng)
        for digit in rng.integers(0, 10, int(rng.integers(1, 5))):
            images = hand.digits[int(digit)]
            image = images[int(rng.integers(len(images)))]
            factor = height / max(image.shape)
            size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
            glyph = cv2.resize(image, size).astype(np.float32) * np.float32(1 / 255)
            _paste(canvas, glyph, int(x), int(edge - size[1] if above else edge))
            x += height * rng.uniform(0.5, 1.2)


def _paste(canvas: Ink, glyph: NDArray[np.float32], x: int, y: int) -> None:
    top, left = max(0, y), max(0, x)
    place = canvas[top : max(top, y + glyph.shape[0]), left : max(left, x + glyph.shape[1])]
    if place.size:
        part = glyph[top - y :, left - x :][: place.shape[0], : place.shape[1]]
        np.maximum(place, part, out=place)


def ruled(shape: tuple[int, ...], height: float, rng: np.random.Generator) -> Ink:
    """Lines under, over and beside a number on its canvas, whole, dashed or dotted; seldom one through it."""
    lines = np.zeros(shape, np.float32)
    for chance, low, high in ((0.45, -0.1, 0.12), (0.2, 0.1, 0.5), (0.2, -1.4, -0.97), (0.04, -0.8, -0.2)):
        if rng.random() < chance:
            _rule(lines, BASE + rng.uniform(low, high) * height, rng)
    width = shape[1]
    for x, chance in ((rng.uniform(0, 24), 0.2), (width - rng.uniform(0, 24), 0.35)):
        if rng.random() < chance:
            whole = rng.random() < 0.7
            top, bottom = (-5.0, ROWS + 5.0) if whole else np.sort(rng.uniform(-5, ROWS + 5, 2))
            _line(
                lines, (x, top), (x + rng.normal(0, 2), bottom), rng.uniform(0.6, 1), int(rng.integers(1, 6))
            )
    return lines


def _rule(lines: Ink, y: float, rng: np.random.Generator) -> None:
    width = lines.shape[1]
    thickness, climb, darkness = int(rng.integers(1, 5)), rng.normal(0, 0.012), rng.uniform(0.5, 1)
    start = rng.uniform(-0.2, 0.3) * width if rng.random() < 0.3 else -5.0
    stop = rng.uniform(0.7, 1.2) * width if rng.random() < 0.3 else width + 5.0
    if rng.random() < 0.5:
        _line(lines, (start, y), (stop, y + climb * width), darkness, thickness)
        return
    dash, gap, kept = rng.uniform(1, 12), rng.uniform(3, 8), rng.uniform(0.5, 1)
    for x in np.arange(start, stop, dash + gap):
        if rng.random() < kept:
            at = y + climb * x + rng.normal(0, 0.5)
            _line(lines, (x, at), (x + dash, at), darkness, thickness)


def _line(
    lines: Ink, start: tuple[float, float], stop: tuple[float, float], darkness: float, thickness: int
) -> None:
    ends = [(round(x * _FIXED), round(y * _FIXED)) for x, y in (start, stop)]
    cv2.line(lines, ends[0], ends[1], darkness, thickness, cv2.LINE_AA, 3)


def _straight(lines: Ink, there: NDArray[np.float64], width: int) -> Ink:
    """Ruled lines under the map of the number, which slants: the form does not."""
    return np.asarray(cv2.warpAffine(cv2.blur(lines, (2, 2)), there, (width, HEIGHT)), np.float32)


def _in_one_bit(ink: Ink, ruling: Ink, rng: np.random.Generator) -> tuple[Ink, Ink, Ink]:
    """Black or white with ragged edges, now and then softened again by another resolution."""
    noise = rng.standard_normal(ink.shape, np.float32) * np.float32(rng.uniform(0, 0.22))
    if rng.random() < 0.5:
        noise = np.asarray(cv2.blur(noise, (2, 2)), np.float32) * np.float32(1.6)
    level = rng.uniform(0.3, 0.6)
    ink, ruling = ((p + noise * (p > 0.05) > level).astype(np.float32) for p in (ink, ruling))
    if rng.random() < 0.6:
        blur = rng.uniform(0.3, 0.6)
        ink, ruling = (np.asarray(cv2.GaussianBlur(p, (0, 0), blur), np.float32) for p in (ink, ruling))
    paper = np.maximum(ink, ruling)
    if rng.random() < 0.3:
        paper[rng.random(paper.shape) < 0.004] = 1
    return ink, ruling, paper


def _without_lines(written: Ink, ink: Ink, ruling: Ink, rng: np.random.Generator) -> Ink:
    """As cleaning leaves it: lines gone but for some pieces, and now and then a stroke bitten by them."""
    gone = (ruling > 0.25) & (ink < 0.3)
    kept = rng.uniform(0, 0.35)
    if kept > 0.05:
        pieces = (rng.random((1, max(2, written.shape[1] // 4))) < kept).astype(np.float32)
        gone &= cv2.resize(pieces, (written.shape[1], 1), interpolation=cv2.INTER_NEAREST) == 0
    if rng.random() < 0.2:
        gone |= (ruling > 0.5) & (rng.random(written.shape) < 0.3)
    return np.where(gone, np.float32(0), written)


def _with_losses(
    written: NDArray[np.floating], digit: float, rng: np.random.Generator
) -> NDArray[np.floating]:
    """Without the upper or lower part of some digits, now and then.

    Where a dark line runs near faint writing, cleaning takes the writing for paper; it is still there in the
    other plane.
    """
    if rng.random() >= LOST:
        return written
    rows, columns = written.shape
    edge = round(rows / 2 + digit * rng.uniform(-0.3, 0.45))
    start = int(rng.integers(max(1, columns - 10)))
    wide = int(digit * rng.uniform(0.5, 4))
    lost = slice(edge, rows) if rng.random() < 0.7 else slice(0, rows - edge)
    written = written.copy()
    written[lost, start : start + wide] = 0
    return written


def _other_pen(written: Ink, paper: Ink, rng: np.random.Generator) -> tuple[Ink, Ink]:
    """Both planes with another stroke width, binarised, grainy or with another contrast."""
    pen = rng.random()
    if pen < 0.3:
        blur, level, gain = rng.uniform(0.4, 0.8), rng.uniform(0.2, 0.5), rng.uniform(2, 5)
        written, paper = (
            np.clip((cv2.GaussianBlur(p, (0, 0), blur) - level) * gain + 0.5, 0, 1) for p in (written, paper)
        )
    elif pen < 0.45:
        level = rng.uniform(0.3, 0.6)
        written, paper = ((p > level).astype(np.float32) for p in (written, paper))
    elif pen < 0.6:
        change = cv2.dilate if rng.random() < 0.7 else cv2.erode
        written, paper = (
            np.asarray(change(p, np.ones((2, 2), np.uint8)), np.float32) for p in (written, paper)
        )
    if rng.random() < 0.3:
        paper = paper + rng.standard_normal(paper.shape, np.float32) * np.float32(rng.uniform(0, 0.08))
    if rng.random() < 0.3:
        paper = np.clip(paper, 0, 1) ** rng.uniform(0.7, 1.5)
    return written, paper


def _as_bytes(written: NDArray[np.floating], paper: NDArray[np.floating]) -> Gray:
    return with_core_at_full((np.clip(np.stack([written, paper]), 0, 1) * 255).astype(np.uint8))
