"""Digits that nobody's data set holds: printed ones in many fonts, and European ways of writing."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from processor.records import Gray
from training.inks import NONE, Inks, collect

SIDE = 72
"""Height in pixels of drawn characters' canvas."""

HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
)
SCRIPTS = (cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)

_FONT_FILES = (
    "DejaVuSans*.ttf",
    "DejaVuSerif*.ttf",
    "STIXGeneral*.ttf",
    "cmr10.ttf",
    "cmb10.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
)

# Pen paths in hundredths of a square, y downwards: points "x,y", strokes parted by " | ".
EUROPEAN: dict[int, tuple[str, ...]] = {
    0: (
        "50,0 12,30 20,85 50,100 85,70 80,20 50,0 | 90,5 10,95",
        "62,2 30,10 15,60 40,100 80,75 85,25 55,0 95,8",
    ),
    1: (
        "15,45 35,30 60,0 | 60,0 60,100",
        "0,60 30,35 62,0 | 62,0 55,100",
        "20,35 40,20 55,0 | 55,0 55,100 | 20,100 90,100",
        "10,50 30,40 62,0 | 62,0 58,100 | 30,100 90,98",
        "30,20 50,0 | 50,0 50,100 | 10,100 90,100",
        "5,75 35,40 65,0 | 65,0 50,100",
        "30,45 62,0 | 62,0 48,100 | 20,98 80,98",
    ),
    2: (
        "10,25 35,0 80,10 75,45 30,90 12,95 25,78 60,95 95,90",
        "15,30 30,5 65,0 75,30 45,75 10,100 5,85 35,85 70,100 98,80",
        "20,35 35,5 65,0 75,25 50,60 15,95 5,85 25,75 50,92 70,100 98,80",
        "15,40 30,10 60,0 70,22 45,60 12,98 2,90 20,80 45,95 75,95 95,70",
        "25,25 50,0 72,12 60,45 30,80 8,97 20,72 40,85 55,100 95,85",
    ),
    4: (
        "30,0 5,60 | 5,60 90,60 | 65,25 65,100",
        "55,0 2,68 | 2,68 95,60 | 60,40 50,100",
        "12,0 10,50 50,55 80,45 | 80,0 75,100",
        "65,0 5,62 | 5,62 95,62 | 65,0 65,100",
    ),
    7: (
        "5,5 85,3 | 85,3 30,100 | 25,50 85,50",
        "10,15 15,2 40,8 90,0 | 90,0 55,50 40,100 | 25,55 85,45",
        "8,20 10,2 | 10,2 88,4 | 88,4 45,100 | 35,52 80,52",
        "5,20 8,2 | 8,2 88,4 | 88,4 60,40 45,100",
        "30,10 62,2 | 62,2 40,100 | 10,48 92,44",
        "55,0 45,100 | 5,45 95,42",
    ),
    9: (
        "80,15 40,0 10,30 40,55 80,20 | 80,15 75,100",
        "85,15 45,0 10,28 40,50 82,20 70,75 20,100",
    ),
}

LETTERS: dict[str, tuple[str, ...]] = {
    "a": (
        "75,20 45,5 12,40 25,85 55,80 75,25 | 75,10 72,70 85,98 98,85",
        "70,25 40,8 10,45 25,92 60,75 72,20 70,95",
        "15,25 45,5 70,20 70,95 | 70,45 25,50 15,80 40,98 70,80",
    ),
    "c": ("85,20 55,2 15,35 20,80 55,98 90,80", "80,12 40,8 10,50 35,95 85,88"),
    "d": (
        "70,50 40,42 12,65 25,95 60,90 72,60 | 75,0 72,98",
        "75,0 70,60 40,45 12,70 30,98 62,88 75,60 78,98",
    ),
    "e": ("12,55 80,50 70,12 35,5 10,45 25,90 60,98 90,80", "15,60 55,45 70,15 40,2 15,40 25,88 60,98 85,85"),
    "f": (
        "85,12 60,0 42,25 42,100 | 15,45 75,45",
        "80,15 60,2 45,40 45,80 30,100 15,90 | 15,48 80,44",
    ),
    "h": ("20,0 18,100 | 18,60 45,42 70,55 72,100", "25,2 20,98 25,60 55,45 70,65 68,98 80,98"),
    "k": ("20,0 18,100 | 75,35 22,68 78,100", "22,2 20,98 | 70,42 22,70 45,75 75,98"),
    "m": ("8,15 8,100 | 8,45 25,15 45,25 46,98 | 46,45 65,15 88,30 90,100",),
    "n": ("15,10 15,98 | 15,45 45,10 75,25 76,98", "5,20 18,15 18,95 | 18,45 55,10 75,40 75,90 92,92"),
    "p": ("20,10 20,100 | 20,20 55,5 80,25 55,55 22,50", "15,5 22,98 | 18,25 60,5 75,30 50,52 22,45"),
    "r": ("20,12 20,98 | 20,50 45,18 80,20", "12,20 25,15 25,95 | 25,45 50,15 75,18 82,30"),
    "t": (
        "45,0 45,80 65,98 85,85 | 12,28 82,28",
        "50,0 48,98 | 15,32 85,30",
        "48,2 44,75 60,97 78,88 | 18,40 80,34",
    ),
    "u": ("12,8 12,70 40,98 72,75 | 75,8 75,98", "10,10 18,80 50,90 75,50 78,8 | 78,8 80,80 95,95"),
    "v": ("8,8 42,98 82,5", "5,15 15,8 45,95 80,20 95,10"),
    "w": ("5,8 25,95 48,30 70,95 95,5", "5,10 15,80 40,85 50,30 | 50,30 58,85 85,80 92,8"),
    "x": ("10,8 85,95 | 85,5 12,98", "8,15 30,10 70,92 92,88 | 88,8 15,96"),
}
"""Small letters that resemble no digit, as they are written by hand; points as in `EUROPEAN`."""


def printed(characters: str, labels: Sequence[int], source: str, *, scripts: bool = False) -> Inks:
    """Each of `characters` in every font at hand, labelled by `labels`; groups are the fonts."""
    images: list[Gray] = []
    found: list[int] = []
    groups: list[int] = []
    fonts = [*font_files(), *HERSHEY, *(SCRIPTS if scripts else ())]
    for group, font in enumerate(fonts):
        for character, label in zip(characters, labels, strict=True):
            image = _hershey(character, font) if isinstance(font, int) else _typeset(character, font)
            if image.any():
                images.append(image)
                found.append(label)
                groups.append(group)
    return collect(source, images, found, groups)


def european(each: int, rng: np.random.Generator) -> Inks:
    """`each` pen-drawn samples of every form: 1 with a long flag or a foot, crossed 7, open 4, looped 2 …"""
    images: list[Gray] = []
    labels: list[int] = []
    for digit, forms in EUROPEAN.items():
        for form in forms:
            images += [_pen(form, rng) for _ in range(each)]
            labels += [digit] * each
    return collect("european-forms", images, labels, labels)


def letters(each: int, rng: np.random.Generator) -> Inks:
    """`each` pen-drawn samples of every form of `LETTERS`, labelled as no digit; groups are the letters."""
    forms = [(group, form) for group, letter in enumerate(LETTERS.values()) for form in letter]
    images = [_pen(form, rng) for _, form in forms for _ in range(each)]
    groups = [group for group, _ in forms for _ in range(each)]
    return collect("drawn-letters", images, [NONE] * len(images), groups)


@cache
def font_files() -> tuple[Path, ...]:
    """The fonts that come with matplotlib: DejaVu, STIX and Computer Modern."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = {file for pattern in _FONT_FILES for file in folder.glob(pattern)}
    return tuple(sorted(file for file in files if "Display" not in file.name))


def _typeset(character: str, file: Path) -> Gray:
    image = Image.new("L", (2 * SIDE, 2 * SIDE))
    font = ImageFont.truetype(file, SIDE)
    ImageDraw.Draw(image).text((SIDE // 2, SIDE // 3), character, fill=255, font=font)
    return np.asarray(image)


def _hershey(character: str, font: int) -> Gray:
    image = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    size = cv2.getFontScaleFromHeight(font, SIDE // 2)
    cv2.putText(image, character, (SIDE // 2, int(1.4 * SIDE)), font, size, 255, 3, cv2.LINE_AA)
    return image


def _pen(form: str, rng: np.random.Generator) -> Gray:
    """The strokes of `form` with shaken control points and one pen width."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    slender = rng.uniform(0.45, 0.9)
    thickness = int(rng.integers(2, 8))
    for stroke in form.split(" | "):
        path = np.array([point.split(",") for point in stroke.split()], np.float64) / 100
        points = path + rng.normal(0, 0.03, path.shape)
        points = _smooth(points) * (slender * 54, 54) + 9
        cv2.polylines(image, [np.round(points * 8).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 3)
    return image


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve through `points` (N, 2): Catmull-Rom, eight places a segment; a line where N is 2."""
    if len(points) < 3:
        return points
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, 8)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack(pieces)
