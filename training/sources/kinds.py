"""The kinds of data of one's own that a recipe can name, and what reads each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processor.errors import BadCommand
from processor.settings import LoadedSettings
from training.recipe import Source
from training.sources import arrays, folders, strips
from training.sources.found import Found

DRAWN = 6000
"""So many letters or ruled lines are made where the recipe does not say how many."""


@dataclass(frozen=True, slots=True)
class Order:
    """One source of a recipe, and what reading it may need besides its path.

    `data` is the folder of the published data sets; `settings` are the project's, for sources that come out
    of its own work; `rng` draws what is to be drawn.
    """

    source: Source
    data: Path
    settings: LoadedSettings | None
    rng: np.random.Generator

    @property
    def path(self) -> Path:
        if self.source.path is None:
            raise BadCommand(f"The source {self.source.name} has no path.", "Add `path` to the recipe.")
        return self.source.path

    @property
    def project(self) -> LoadedSettings:
        if self.settings is None:
            raise BadCommand(
                f"The source {self.source.name} is read with the settings of a project.", "Name them."
            )
        return self.settings


def _digit_folders(order: Order) -> Found:
    return folders.digit_folders(order.source.name, order.path)


def _image_list(order: Order) -> Found:
    return folders.image_list(order.source.name, order.path)


def _npz(order: Order) -> Found:
    return arrays.npz(order.source.name, order.path)


def _idx(order: Order) -> Found:
    return arrays.idx(order.source.name, order.path, order.source.part)


def _coco_strips(order: Order) -> Found:
    return strips.coco_strips(order.source.name, order.path, order.data / "orand-car-a")


def _non_digits(order: Order) -> Found:
    return folders.non_digits(order.source.name, order.path)


KINDS: dict[str, Callable[[Order], Found]] = {
    "digit-folders": _digit_folders,
    "image-list": _image_list,
    "npz": _npz,
    "idx": _idx,
    "coco-strips": _coco_strips,
    "non-digits": _non_digits,
}
"""A source's `kind` in a recipe, and what reads it."""
