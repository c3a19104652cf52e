"""The kinds of data of one's own that a recipe can name, and what reads each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processor.errors import BadCommand
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.settings import LoadedSettings
from training.inks import Inks, collect
from training.pruning import database_is_there
from training.recipe import Source
from training.sources import arrays, folders, strips
from training.sources.found import Found
from training.sources.measured import contents_held_out

DRAWN = 6000
"""So many letters or ruled lines are made where the recipe does not say how many."""


PAGES = 40
"""Ruled lines are cut out of so many pages at most, which stand in memory together."""

TABLE = "truth.csv"
"""Where the numbers on strips are written down, in the folder of the strips, unless the recipe says."""


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
    def count(self) -> int:
        """So many samples of what is made on demand."""
        return self.source.samples if self.source.samples >= 0 else DRAWN

    def named(self, inks: Inks) -> Inks:
        """`inks` under the name that the recipe gives their source."""
        return replace(inks, source=self.source.name)

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


# What follows reads its tables and pages through this package: imported here, it would import itself.


def _digit_strips(order: Order) -> Found:
    from training.alignment import aligned_digits

    settings, skipped = order.project, list[str]()
    model = Classifier.load(find_model(settings.models_archive, settings.values.recognition.model).path)
    table = order.source.table or order.path / TABLE
    measured = contents_held_out(order.data / "orand-car-a")
    inks = aligned_digits(order.path, table, model, notice=skipped.append, held_out=measured)
    return Found(order.named(inks), tuple(skipped))


def _corrections(order: Order) -> Found:
    from training.corrections import corrected_digits

    if not database_is_there(order.project):
        return Found(collect(order.source.name, [], [], []))
    skipped: list[str] = []
    inks = corrected_digits(order.project, notice=skipped.append)
    return Found(order.named(inks), tuple(skipped))


def _letters(order: Order) -> Found:
    from training.lettering import installed_letters

    if order.source.path:
        folders.subfolders(order.source.path)
    skipped: list[str] = []
    fonts = [order.source.path] if order.source.path else None
    inks = installed_letters(order.count, order.rng, fonts, notice=skipped.append)
    return Found(order.named(inks), tuple(skipped))


def _rulings(order: Order) -> Found:
    from training.furniture import ruling_cutouts

    found = folders.pages(order.path, PAGES) if order.source.path else folders.Pages((), ())
    inks = ruling_cutouts(order.count, order.rng, found.pages or None)
    return Found(order.named(inks), found.skipped)


def _non_digits(order: Order) -> Found:
    return folders.non_digits(order.source.name, order.path)


KINDS: dict[str, Callable[[Order], Found]] = {
    "digit-folders": _digit_folders,
    "image-list": _image_list,
    "npz": _npz,
    "idx": _idx,
    "coco-strips": _coco_strips,
    "digit-strips": _digit_strips,
    "corrections": _corrections,
    "non-digits": _non_digits,
    "letters": _letters,
    "rulings": _rulings,
}
"""A source's `kind` in a recipe, and what reads it."""
