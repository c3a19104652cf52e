"""Cut-outs in one block of memory, which the processes that make batches share instead of copying."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
import torch

from processor.records import Gray
from training.inks import Inks


class Packed(Sequence[Gray]):
    """Images (h, w) uint8 of any sizes, one after the other in a shared tensor.

    Pickled for another process it is a handle on the same memory: a list of 300,000 arrays would be written
    out, sent and built again, and held twice or three times meanwhile.
    """

    def __init__(self, images: Sequence[Gray]) -> None:
        self._shapes = torch.tensor([image.shape for image in images], dtype=torch.int64).reshape(-1, 2)
        sizes = self._shapes.prod(dim=1)
        self._starts = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])
        self._pixels = torch.empty(int(self._starts[-1]), dtype=torch.uint8)
        block = self._pixels.numpy()
        for start, image in zip(self._starts.tolist(), images, strict=False):
            block[start : start + image.size] = image.reshape(-1)
        for tensor in (self._shapes, self._starts, self._pixels):
            tensor.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, index: int) -> Gray: ...
    @overload
    def __getitem__(self, index: slice) -> list[Gray]: ...
    def __getitem__(self, index: int | slice) -> Gray | list[Gray]:
        if isinstance(index, slice):
            return [self._image(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._image(index % len(self))

    def __iter__(self) -> Iterator[Gray]:
        return (self._image(i) for i in range(len(self)))

    def _image(self, index: int) -> Gray:
        start, stop = int(self._starts[index]), int(self._starts[index + 1])
        height, width = (int(side) for side in self._shapes[index])
        return np.asarray(self._pixels.numpy()[start:stop].reshape(height, width), np.uint8)


def packed(inks: Inks) -> Inks:
    """The same samples, their images in one block."""
    return replace(inks, images=Packed(inks.images))
