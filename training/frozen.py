"""The frozen sets: digits and non-digits that never change, so that all models are judged by the same."""

from pathlib import Path

import numpy as np

from processor.errors import BadCommand
from processor.prediction import glyphs
from processor.prediction.glyphs import SIZE
from processor.settings import shipped_archive
from training import datasets, negatives
from training.inks import NONE, Inks, per_digit
from training.sources.arrays import read_npz

FROZEN = "frozen.npz"
"""The shipped set; `frozen-….npz` beside it are a person's own, and gates as well."""

DIGITS, NON_DIGITS = 100, 200
"""How many of each digit the shipped set holds, and how many drawn marks."""

_MAX_BYTES = 100 << 20
_REMEDY = "Mend the file, or take it out of the archive."


def frozen_sets(models: Path) -> dict[str, Inks]:
    """The frozen sets of the archive `models` by name; an archive without one is judged by the shipped one.

    Raises BadCommand where a file is not what it should be.
    """
    files = {file.stem: file for file in sorted(models.glob("frozen-*.npz"))}
    shipped = shipped_archive()
    for archive in (models, shipped):
        if archive is not None and (archive / FROZEN).is_file():
            files = {"frozen": archive / FROZEN, **files}
            break
    return {name: read_frozen(file) for name, file in files.items()}


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
