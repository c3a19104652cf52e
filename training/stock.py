"""Samples in one file that every process maps into its memory, instead of a copy in each.

Handing the samples of the default recipe to a worker through its pipe took 3.3 GB: they stood in the parent,
pickled in the parent, and in the worker. Mapped, their pages are shared, and the system may drop them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from processor.errors import Transient
from processor.records import CutOut
from training.sources import Pool

Shapes = NDArray[np.int64]
"""Planes, height and width of each image, (N, 3); 0 planes: it stands alone, without the first axis."""


class Mapped(Sequence[CutOut]):
    """Images, (h, w) or (2, h, w) uint8, that stand one after the other in `file`, from byte `start` on.

    Pickled, it is the file's name and the shapes. The images may be written to; the file never changes.
    """

    def __init__(self, file: Path, start: int, shapes: Shapes) -> None:
        self._file, self._shapes = file, shapes
        self._sizes = np.maximum(shapes[:, 0], 1) * shapes[:, 1] * shapes[:, 2]
        self._ends = start + np.cumsum(self._sizes)
        self._start = start
        # A mapping of no bytes is an error. "c": what is written to an image stays in this process.
        some = file.stat().st_size > 0
        self._bytes = np.asarray(np.memmap(file, np.uint8, "c")) if some else np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, place: int) -> CutOut: ...
    @overload
    def __getitem__(self, place: slice) -> list[CutOut]: ...
    def __getitem__(self, place: int | slice) -> CutOut | list[CutOut]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        planes, height, width = self._shapes[place]
        end = self._ends[place]
        shape = (planes, height, width) if planes else (height, width)
        return self._bytes[end - self._sizes[place] : end].reshape(shape)

    def __reduce__(self) -> tuple[type["Mapped"], tuple[Path, int, Shapes]]:
        return Mapped, (self._file, self._start, self._shapes)


class Stock:
    """The file that samples are moved into, source by source: what was moved need not be held any longer."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._begun = False

    def take(self, pool: Pool) -> Pool:
        """The same source, its samples in the file. Raises Transient where the disk refuses."""
        try:
            with self._file.open("ab" if self._begun else "wb") as stream:
                self._begun = True
                start, shapes = _write(pool, stream)
        except OSError as error:
            raise Transient(
                f"{self._file} cannot be written: {error.strerror}.",
                "Make room, some 1,300 MB for the default recipe, or name another folder with --out.",
            ) from None
        return _moved(pool, self._file, start, shapes)


def _write(pool: Pool, stream: BinaryIO) -> tuple[int, Shapes]:
    """Where the images of `pool` begin in the stream, and their shapes."""
    start = stream.tell()
    for image in pool.inks.images:
        stream.write(np.ascontiguousarray(image, np.uint8).tobytes())
    shapes = [image.shape if image.ndim == 3 else (0, *image.shape) for image in pool.inks.images]
    return start, np.array(shapes, np.int64).reshape(-1, 3)


def _moved(pool: Pool, file: Path, start: int, shapes: Shapes) -> Pool:
    return replace(pool, inks=replace(pool.inks, images=Mapped(file, start, shapes)))
