"""Letters in the fonts of this machine, as non-digits: printed words stand beside every number of a form."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from processor.records import Gray
from training.alignment import ignore
from training.inks import NONE, Inks, collect
from training.negatives import LETTERS

SUFFIXES = frozenset((".ttf", ".otf", ".ttc"))

HEIGHTS = 20, 64
"""Letters are set in sizes between these, in pixels an em: as large as they come off a scan."""

SYLLABLE = 0.3
"""The share of samples that are two letters set together, as scans run them into one blob."""

MOST_FONTS = 300
"""So many fonts are tried at most: some machines have thousands."""

# Fonts of formulas have signs of their own in the places of letters: an @ is a ∂, which is half a 6.
_FORMULAS = ("cmmi", "cmsy", "cmex", "stixsiz", "stixnonuni")

_PROBE = "AEHMWadehmnw"


def font_folders() -> list[Path]:
    """Where fonts lie on this platform, and those that come with matplotlib."""
    home = Path.home()
    windows = [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    mac = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    unix = [
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".local/share/fonts",
        home / ".fonts",
    ]
    own = {"win32": windows, "darwin": mac}.get(sys.platform, unix)
    return [*own, Path(matplotlib.get_data_path()) / "fonts" / "ttf"]


def installed_letters(
    count: int,
    rng: np.random.Generator,
    folders: Sequence[Path] | None = None,
    *,
    notice: Callable[[str], object] = ignore,
) -> Inks:
    """`count` letters and pairs of letters, labelled NONE, in the fonts below `folders`; groups are fonts.

    Without `folders`, those of the platform and of matplotlib. Only letters that nobody takes for a digit;
    fonts that cannot be read are named to `notice`, those of symbols, which lack letters, are passed over.
    The same fonts and generator give the same letters. Without a single font there are no samples.
    """
    files = font_files(font_folders() if folders is None else folders)
    if len(files) > MOST_FONTS:
        files = [files[i] for i in sorted(rng.permutation(len(files))[:MOST_FONTS])]
    fonts = [file for file in files if _is_text_font(file, notice)]
    images: list[Gray] = []
    groups: list[int] = []
    while fonts and len(images) < count:
        group = int(rng.integers(len(fonts)))
        length = 2 if rng.random() < SYLLABLE else 1
        text = "".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=length))
        images.append(_set(text, fonts[group], int(rng.integers(*HEIGHTS))))
        groups.append(group)
        if not images[-1].any():  # the font has no such character, and nothing in its place
            images.pop()
            groups.pop()
    return collect("installed-letters", images, [NONE] * len(images), groups)


def font_files(folders: Sequence[Path]) -> list[Path]:
    """All font files below `folders` (or named by it), sorted, each name once."""
    found: dict[str, Path] = {}
    for folder in folders:
        files = [folder] if folder.is_file() else sorted(folder.rglob("*")) if folder.is_dir() else []
        for file in files:
            formulas = file.name.lower().startswith(_FORMULAS)
            if file.suffix.lower() in SUFFIXES and not formulas and file.is_file():
                found.setdefault(file.name, file)
    return [found[name] for name in sorted(found)]


def _is_text_font(file: Path, notice: Callable[[str], object]) -> bool:
    """Whether the font sets letters: each another shape, and none the box for what is missing."""
    try:
        shapes = {_set(letter, file, 24).tobytes() for letter in _PROBE}
        missing = _set("\U0010fffd", file, 24).tobytes()
    except (OSError, ValueError) as error:
        notice(f"{file.name} cannot be read as a font ({error})")
        return False
    return len(shapes) == len(_PROBE) and missing not in shapes and _is_latin(file)


def _is_latin(file: Path) -> bool:
    """Whether an H is two upright strokes and a bar: fonts of symbols have pictures there."""
    ink = _set("H", file, 48) > 127
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return False
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    high, wide = box.shape
    quarters = [box[int(high * at), :] for at in (0.25, 0.75)]
    runs = [int((np.diff(np.pad(row.astype(int), 1)) == 1).sum()) for row in quarters]
    bar = bool(box[int(0.35 * high) : int(0.65 * high), wide // 2].any())
    return runs == [2, 2] and bar


def _set(text: str, file: Path, size: int) -> Gray:
    """(h, w) uint8, high = ink: `text` in `size` px an em, with a margin. Raises OSError, ValueError."""
    font = ImageFont.truetype(file, size)
    left, top, right, bottom = font.getbbox(text)
    width, height = max(1, int(np.ceil(right - left))) + 8, max(1, int(np.ceil(bottom - top))) + 8
    image = Image.new("L", (min(width, 8 * size), min(height, 8 * size)))
    ImageDraw.Draw(image).text((4 - left, 4 - top), text, fill=255, font=font)
    return np.asarray(image)
