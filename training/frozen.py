"""The frozen sets: digits, non-digits and strips that never change, so that all models are judged alike."""

from pathlib import Path

import numpy as np

from processor.errors import BadCommand
from processor.prediction import glyphs
from processor.prediction.glyphs import SIZE
from processor.prediction.strips import HEIGHT, PLANES, Strip
from processor.settings import shipped_archive
from training import datasets, negatives
from training.inks import NONE, Inks, per_digit
from training.sources.arrays import read_npz
from training.strings import Hands, Source, number, write
from training.strip_fit import WIDEST
from training.strip_looks import Looks
from training.strip_sets import StripSet

FROZEN = "frozen.npz"
"""The shipped set; `frozen-….npz` beside it are a person's own, and gates as well."""

FROZEN_STRIPS = "strips.npz"
"""The shipped set of strips, for second readers; `strips-….npz` beside it are a person's own."""

STRIPS = 300
"""How many drawn numbers it holds."""

DIGITS, NON_DIGITS = 100, 200
"""How many of each digit the shipped set holds, and how many drawn marks."""

_MAX_BYTES = 100 << 20
_REMEDY = "Mend the file, or take it out of the archive."


def frozen_sets(models: Path) -> dict[str, Inks]:
    """The frozen sets of the archive `models` by name; an archive without one is judged by the shipped one.

    Raises BadCommand where a file is not what it should be.
    """
    return {file.stem: read_frozen(file) for file in _files(models, FROZEN)}


def frozen_strips(models: Path) -> dict[str, StripSet]:
    """The frozen sets of strips of the archive `models` by name, as `frozen_sets`.

    Raises BadCommand where a file is not what it should be.
    """
    return {f"frozen {file.stem}": read_strips(file) for file in _files(models, FROZEN_STRIPS)}


def _files(models: Path, name: str) -> list[Path]:
    """The file `name` of the archive, or the shipped one, and a person's own: `NAME-….npz`."""
    own = sorted(models.glob(f"{Path(name).stem}-*.npz"))
    for archive in (models, shipped_archive()):
        if archive is not None and (archive / name).is_file():
            return [archive / name, *own]
    return own


def read_frozen(file: Path) -> Inks:
    """The samples of a frozen set: `images` (N, h, w) uint8, high = ink, and `labels` (N,), 10 = no digit.

    Raises BadCommand with what was found and what was expected.
    """
    arrays = read_npz(file, ("images", "labels"), max_bytes=_MAX_BYTES)
    for name in ("images", "labels"):
        if name not in arrays:
            raise BadCommand(f"{file} is no frozen set: there is no array {name!r}.", _REMEDY)
    images, labels = arrays["images"], arrays["labels"]
    right = images.ndim == 3 and images.dtype == np.uint8 and 0 not in images.shape
    right = right and labels.shape == images.shape[:1]
    if not right or labels.dtype.kind not in "iu" or not np.isin(labels, range(NONE + 1)).all():
        raise BadCommand(
            f"{file}: images {images.dtype} {images.shape}, labels {labels.dtype} {labels.shape}; expected "
            "images uint8 (N, height, width) and labels (N,) from 0 to 10.",
            _REMEDY,
        )
    return Inks(file.stem, list(images), labels.astype(np.int64), np.arange(len(labels)))


def read_strips(file: Path) -> StripSet:
    """The strips of a frozen set: `strips` (N, 2, 32, W) uint8, high = ink, with paper behind their `widths`
    (N,), and their numbers `digits` (N,), text.

    Raises BadCommand with what was found and what was expected.
    """
    names = ("strips", "widths", "digits")
    arrays = read_npz(file, names, max_bytes=_MAX_BYTES)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise BadCommand(f"{file} holds no frozen strips: there is no array {missing[0]!r}.", _REMEDY)
    strips, widths, digits = (arrays[name] for name in names)
    right = strips.ndim == 4 and strips.dtype == np.uint8 and strips.shape[1:3] == (PLANES, HEIGHT)
    right = right and widths.dtype.kind in "iu" and digits.dtype.kind == "U"
    right = right and widths.shape == digits.shape == strips.shape[:1] and 0 not in strips.shape
    if not right or widths.min() < 1 or widths.max() > strips.shape[3] or not _are_numbers(digits.tolist()):
        raise BadCommand(
            f"{file}: strips {strips.dtype} {strips.shape}, widths {widths.dtype} {widths.shape}, digits "
            f"{digits.dtype} {digits.shape}; expected strips uint8 (N, {PLANES}, {HEIGHT}, W), widths (N,) "
            "up to W, and digits (N,) of the ten digits.",
            _REMEDY,
        )
    cut = [Strip(np.ascontiguousarray(s[:, :, :w]), 0.0, 1.0) for s, w in zip(strips, widths, strict=True)]
    files = tuple(f"{number}" for number in range(1, len(cut) + 1))
    return StripSet(f"frozen {file.stem}", files, tuple(map(str, digits)), tuple(cut))


def _are_numbers(digits: list[str]) -> bool:
    return all(number.isascii() and number.isdigit() for number in digits)


def draw_strips(mnist: Path) -> StripSet:
    """The shipped strips: numbers drawn from a fixed seed with the digits of MNIST's test writers."""
    rng, looks = np.random.default_rng(2), Looks()
    hands = Hands([Source(datasets.mnist(mnist, "test"), 1.0)])
    digits, strips = list[str](), list[Strip]()
    while len(strips) < STRIPS:
        written = write(number(rng), hands.pick(rng), rng)
        pixels, _ = looks.drawn(written, hands, rng)
        if pixels.shape[2] <= WIDEST:
            digits.append("".join(c for c in written.text if c.isdigit()))
            strips.append(Strip(pixels, 0.0, 1.0))
    return StripSet(FROZEN_STRIPS, tuple(digits), tuple(digits), tuple(strips))


def write_strips(file: Path, strips: StripSet) -> None:
    """Writes strips as a frozen set."""
    widths = np.array([strip.width for strip in strips.strips], np.int32)
    padded = np.zeros((len(strips), PLANES, HEIGHT, int(widths.max())), np.uint8)
    for place, strip in zip(padded, strips.strips, strict=True):
        place[:, :, : strip.width] = strip.pixels
    np.savez_compressed(file, strips=padded, widths=widths, digits=np.array(strips.digits))


def draw_frozen(mnist: Path) -> Inks:
    """The shipped set: MNIST's test digits drawn from a fixed seed, and marks drawn by this project."""
    rng = np.random.default_rng(1)
    digits = per_digit(datasets.mnist(mnist, "test"), DIGITS, rng)
    marks = negatives.marks(NON_DIGITS, rng)
    images = [*digits.images, *(_as_bytes(mark) for mark in glyphs.batch(marks.images)[:, 0])]
    labels = np.concatenate([digits.labels, marks.labels])
    return Inks("frozen", images, labels, np.arange(len(labels)))


def write_frozen(file: Path, inks: Inks) -> None:
    """Writes samples of 28×28 pixels as a frozen set."""
    images = np.stack([np.asarray(image, np.uint8).reshape(SIZE, SIZE) for image in inks.images])
    np.savez_compressed(file, images=images, labels=inks.labels.astype(np.uint8))


def _as_bytes(
    glyph: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.round(glyph * 255).astype(np.uint8)
