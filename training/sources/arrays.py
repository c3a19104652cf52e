"""Sources of arrays: NumPy's npz, and MNIST's idx pair."""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from processor.errors import BadCommand
from processor.records import Gray
from training.datasets import MAX_BYTES, PARTS, read_idx, writers_of
from training.inks import NONE, Inks, Labels
from training.sources.found import Found

WRITERS = ("groups", "writers")
"""Arrays that say who wrote a sample. The seed's `number` does not: it counts the files of one digit."""

# What zipfile and NumPy raise on archives that are none, cut short, encrypted, pickled, or lie about a shape.
# NumPy parses a header as Python, and lets through what its tokens and its nesting raise.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    tokenize.TokenError,
    SyntaxError,
    TypeError,
    MemoryError,
)


def npz(source: str, file: Path) -> Found:
    """`images` (N, h, w) uint8 and `labels` (N,), 10 being no digit; who wrote them in `groups` or `writers`.

    Raises BadCommand where an array is missing, of another kind, or made of pickled objects.
    """
    arrays = read_npz(file, ("images", "labels", *WRITERS))
    for name in ("images", "labels"):
        if name not in arrays:
            held = ", ".join(sorted(arrays)) or "none of the arrays images, labels"
            raise BadCommand(f"{file} holds {held}; there is no array {name!r}.", _REMEDY)
    images, labels = _checked(file, arrays["images"], arrays["labels"])
    named = next((arrays[name] for name in WRITERS if name in arrays), None)
    if named is None:
        return Found(Inks(source, images, labels, np.arange(len(labels))), grouped=False)
    if named.shape != labels.shape:
        raise BadCommand(f"{file}: {len(labels)} labels, but groups of shape {named.shape}.", _REMEDY)
    groups = np.unique(named, return_inverse=True)[1].astype(np.int64)
    return Found(Inks(source, images, labels, groups))


def idx(source: str, folder: Path, part: str) -> Found:
    """The `train` or `test` pair of MNIST's layout in `folder`, gzipped or not.

    Writers are taken from QMNIST's label file where it lies in `writers/`. Raises BadCommand.
    """
    # torchvision could read these too, but its compiled operators do not load beside every build of torch,
    # and it knows neither a folder of one's own, nor writers, nor a file that claims to be larger than it is.
    stem = PARTS[part]
    images = read_idx(_idx_file(folder, stem, "images", 3))
    labels = read_idx(_idx_file(folder, stem, "labels", 1))
    inks, numbers = _checked(folder, images, labels)
    writers = writers_of(folder, part, len(numbers))
    groups = np.arange(len(numbers)) if writers is None else writers
    return Found(Inks(source, inks, numbers, groups), grouped=writers is not None)


def _idx_file(folder: Path, stem: str, what: str, rank: int) -> Path:
    names = [f"{stem}-{what}{dot}idx{rank}-ubyte{zipped}" for dot in "-." for zipped in (".gz", "")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise BadCommand(f"{folder} has no {names[0]}, zipped or not.", _REMEDY)


def read_npz(file: Path, names: tuple[str, ...], *, max_bytes: int = MAX_BYTES) -> Mapping[str, NDArray[Any]]:
    """Those of the arrays `names` that are there; no array is larger than it says, or than fits."""
    try:
        with zipfile.ZipFile(file) as archive:
            there = [name for name in names if f"{name}.npy" in archive.namelist()]
            return {name: _read_array(archive, f"{name}.npy", max_bytes) for name in there}
    except FileNotFoundError:
        raise BadCommand(f"{file} does not exist.", _REMEDY) from None
    except _DAMAGE as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise BadCommand(f"{file} cannot be read as npz: {reason}.", _REMEDY) from None


def _read_array(archive: zipfile.ZipFile, name: str, max_bytes: int) -> NDArray[Any]:
    """One array, after its header was found to be of a size that the archive can hold."""
    stated = archive.getinfo(name).file_size
    with archive.open(name) as stream:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = header(stream)
    if kind.hasobject:
        raise ValueError(f"{name} holds pickled objects, which could run code")
    if stated > max_bytes or math.prod(shape) * kind.itemsize > stated:
        size = "×".join(map(str, shape))
        raise ValueError(f"{name} is said to be {size} {kind}; at most {max_bytes >> 20} MB are read")
    with archive.open(name) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array


def _checked(where: Path, images: NDArray[Any], labels: NDArray[Any]) -> tuple[list[Gray], Labels]:
    """Images with high ink, and labels 0 to 10. Raises BadCommand where they are not such."""
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape:
        shape = "×".join(map(str, images.shape))
        raise BadCommand(f"{where}: images are {shape} {images.dtype}; expected N×h×w uint8.", _REMEDY)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise BadCommand(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; "
            f"expected {len(images)} whole numbers.",
            _REMEDY,
        )
    odd = labels[(labels < 0) | (labels > NONE)]
    if len(odd):
        raise BadCommand(
            f"{where}: {len(odd)} labels are no digit, as {odd[0]}; expected 0 to 9, or {NONE} for no digit.",
            _REMEDY,
        )
    # One archive has one polarity, which the borders of all its images tell more surely than each its own.
    border = np.concatenate([images[:, [0, -1]].reshape(-1), images[:, :, [0, -1]].reshape(-1)])
    pixels = 255 - images if np.median(border) > np.iinfo(np.uint8).max // 2 else images
    return list(pixels), labels.astype(np.int64)


_REMEDY = "Correct the path in the recipe, or write the file anew."
