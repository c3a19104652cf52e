"""Handwritten digits by writer, and their redrawing as pen strokes of any size."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Coverage = NDArray[np.float32]
"""(H, W) float32 in [0, 1]: how much of each pixel is ink."""

OUTLINE_LEVEL = 0.4
GLYPH_DIGIT_PIXELS = 20
"""MNIST fits every digit into 20×20 pixels of its 28×28."""


@dataclass(frozen=True)
class Hands:
    """Digits and who wrote them: `images` (N, 28, 28) uint8, 255 = ink; `labels` and `writers` (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    writers: NDArray[np.int64]

    def able(self, digits: str) -> list[int]:
        """The writers who left at least one sample of every digit in `digits`."""
        wanted = {int(char) for char in digits}
        return [
            int(w) for w in np.unique(self.writers) if wanted <= set(self.labels[self.writers == w].tolist())
        ]

    def samples(self, writer: int, digit: str) -> NDArray[np.uint8]:
        samples: NDArray[np.uint8] = self.images[(self.writers == writer) & (self.labels == int(digit))]
        return samples

    def of(self, writers: Sequence[int]) -> "Hands":
        kept = np.isin(self.writers, writers)
        return Hands(self.images[kept], self.labels[kept], self.writers[kept])


def load(source: Path) -> Hands:
    """Test-set digits from a folder with MNIST's idx files and QMNIST's writers, or from a sample (.npz)."""
    if source.suffix == ".npz":
        with np.load(source, allow_pickle=False) as sample:
            images = np.asarray(sample["images"], np.uint8)
            return Hands(images, sample["labels"].astype(int), sample["writers"].astype(int))
    images = _idx(source / "t10k-images-idx3-ubyte.gz").reshape(-1, 28, 28)
    labels = _idx(source / "t10k-labels-idx1-ubyte.gz").astype(int)
    # QMNIST's labels are big-endian int32, eight a digit: class, NIST partition, writer, …; the first 10,000
    # of its 60,000 test digits are MNIST's, in the same order.
    qmnist = _idx(source / "writers" / "qmnist-test-labels-idx2-int.gz").view(">i4").reshape(-1, 8)
    qmnist = qmnist[: len(labels)]
    if not np.array_equal(qmnist[:, 0], labels):
        raise ValueError(f"{source}: the writers are not those of these digits; fetch both files again.")
    return Hands(images, labels, qmnist[:, 2].astype(int))


def _idx(file: Path) -> NDArray[np.uint8]:
    """The content of an idx file, flat; the header is 4 bytes and 4 for each dimension."""
    content = gzip.decompress(file.read_bytes())
    flat: NDArray[np.uint8] = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    return flat


def sample(hands: Hands, writers: int, seed: int) -> Hands:
    """A small set: one digit of each class from each of `writers` writers."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(hands.able("0123456789"), writers, replace=False)
    picks = [
        rng.choice(np.nonzero((hands.writers == writer) & (hands.labels == label))[0])
        for writer in sorted(chosen)
        for label in range(10)
    ]
    return Hands(hands.images[picks], hands.labels[picks], hands.writers[picks])


def save(hands: Hands, target: Path) -> None:
    labels, writers = hands.labels.astype(np.uint8), hands.writers.astype(np.int32)
    np.savez_compressed(target, images=hands.images, labels=labels, writers=writers)


def pen_strokes(glyph: NDArray[np.uint8], height: float, stroke: float, slant_degrees: float = 0) -> Coverage:
    """A 28×28 glyph as pen strokes: 20 of its pixels become `height` pixels, strokes `stroke` pixels wide.

    The outline is the contour of the smoothly enlarged glyph, moved in or out by its distance map: its edges
    are as sharp as those of a scan, not the blur of an enlarged thumbnail. A stroke is never thinned by more
    than 40 %, where thin connections would break. Returns the glyph cut to its ink.
    """
    oversampling = max(2, int(np.ceil(100 / height)))
    scale = oversampling * height / GLYPH_DIGIT_PIXELS
    large = _enlarged(glyph, scale, slant_degrees)
    mask = (large > OUTLINE_LEVEL).astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if not mask.any():
        return np.zeros((1, 1), np.float32)
    width = 4 * float(inside[mask > 0].mean())  # depths are spread evenly over [0, width / 2]
    growth = max(oversampling * stroke - width, -0.4 * width) / 2
    solid = np.clip(0.5 + inside - outside + growth, 0, 1)
    size = max(1, round(large.shape[1] / oversampling)), max(1, round(large.shape[0] / oversampling))
    return _cut(np.asarray(cv2.resize(solid, size, interpolation=cv2.INTER_AREA), np.float32))


def _enlarged(glyph: NDArray[np.uint8], scale: float, slant_degrees: float) -> NDArray[np.float32]:
    """The glyph with margins, enlarged smoothly and sheared."""
    padded = np.pad(np.asarray(glyph, np.float32) / np.float32(255), 6)
    large = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    large = cv2.GaussianBlur(large, (0, 0), 0.45 * scale)
    shear = np.tan(np.radians(slant_degrees))
    lean = np.array([[1, shear, -shear * large.shape[0] / 2], [0, 1, 0]])
    return np.asarray(cv2.warpAffine(large, lean, large.shape[::-1]), np.float32)


def comma(height: float, stroke: float, rng: np.random.Generator) -> Coverage:
    """A decimal comma: a short slanting dab of the pen, for digits `height` pixels high."""
    length, lean = rng.uniform(0.18, 0.28) * height, rng.uniform(0.02, 0.1) * height
    side = int(np.ceil(length + 2 * stroke)) + 4
    canvas = np.zeros((4 * side, 4 * side), np.uint8)
    start = (round(4 * (stroke + lean + 2)), round(4 * (stroke + 1)))
    end = (round(4 * (stroke + 2)), round(4 * (stroke + 1 + length)))
    cv2.line(canvas, start, end, 255, max(2, round(4 * stroke)), cv2.LINE_AA)
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return _cut(np.asarray(small, np.float32) / np.float32(255))


def point(height: float, stroke: float, rng: np.random.Generator) -> Coverage:
    """A point: the pen set down, now and then drawn on a little, for digits `height` pixels high."""
    thickness = stroke * rng.uniform(1.0, 1.7)
    length = rng.uniform(0.02, 0.08) * height if rng.random() < 0.4 else 0.0
    rise = rng.uniform(-0.5, 0.5) * length
    side = int(np.ceil(length + 2 * thickness)) + 4
    canvas = np.zeros((4 * side, 4 * side), np.uint8)
    start = (round(4 * (thickness + 1)), 2 * side)
    end = (round(4 * (thickness + 1 + length)), round(2 * side - 4 * rise))
    cv2.line(canvas, start, end, 255, max(2, round(4 * thickness)), cv2.LINE_AA)
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return _cut(np.asarray(small, np.float32) / np.float32(255))


def _cut(ink: Coverage) -> Coverage:
    rows, columns = np.nonzero(ink.max(axis=1) > 0.05)[0], np.nonzero(ink.max(axis=0) > 0.05)[0]
    if not len(rows):
        return ink[:1, :1]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
