"""Pages of every kind that people put under a scanner or before a phone, one trait at a time.

Each trial is a form and a tally sheet, filled in by writers whom no model has seen; all of them are read in
one run, with default settings.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import handwriting
from benchmarks.handwriting import Hands
from benchmarks.layouts import KINDS
from benchmarks.pages import LOOKS, Document, RenderedPage, render, save, write_truth
from benchmarks.product import Bench, Row, read
from benchmarks.sheet import MM_PER_INCH, Style
from benchmarks.wear import Look

SCAN, PHOTO = LOOKS["scan"], LOOKS["photo"]
PENCIL = replace(SCAN, pen=(135, 135, 138), pressure=0.25)
FIRST_SEED = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trait of pages: how a sheet looks, at which resolution, or as a photo of so many megapixels."""

    name: str
    look: Look = SCAN
    dpi: float = 200
    megapixels: float | None = None
    quarter_turns: int = 0
    kinds: tuple[str, ...] = ("form", "tally")

    def page(self, kind: str, hands: Hands, seed: int) -> RenderedPage:
        """One page, the same for the same arguments."""
        style = replace(Style(), gap=0.22) if kind == "sizes" else None
        page = render(kind, hands, seed, dpi=self.resolution(kind), style=style, look=self.look)
        turned = np.ascontiguousarray(np.rot90(page.pixels, -self.quarter_turns))
        return replace(page, pixels=turned)

    def resolution(self, kind: str) -> float:
        """Dots per inch; a photo of so many megapixels shows a little of the desk as well."""
        if self.megapixels is None:
            return self.dpi
        (width, height), _ = KINDS[kind]
        return float((self.megapixels * 1e6 / (1.35 * width * height)) ** 0.5 * MM_PER_INCH)


TRIALS = (
    Trial(name="75 dpi", dpi=75),
    Trial(name="150 dpi", dpi=150),
    Trial(name="300 dpi", dpi=300),
    Trial(name="600 dpi", dpi=600, kinds=("tally",)),
    Trial(name="1200 dpi", dpi=1200, kinds=("tally",)),
    Trial(name="photo, 1 megapixel", look=PHOTO, megapixels=1),
    Trial(name="photo, 12 megapixels", look=PHOTO, megapixels=12),
    Trial(name="photo, 50 megapixels", look=PHOTO, megapixels=50, kinds=("form",)),
    *(Trial(name=f"turned by {90 * turns}°", quarter_turns=turns) for turns in (1, 2, 3)),
    *(Trial(name=f"skewed by {skew}°", look=replace(SCAN, skew_degrees=skew)) for skew in (-15, 15)),
    Trial(name="in perspective", look=replace(PHOTO, perspective=1.2, shadow=0.0)),
    Trial(name="in shadow", look=replace(PHOTO, perspective=0.0, shadow=0.8)),
    Trial(name="in perspective and shadow", look=replace(PHOTO, perspective=1.2, shadow=0.7)),
    Trial(name="bleed-through", look=replace(SCAN, bleed_through=0.35)),
    Trial(name="blue on yellow", look=replace(SCAN, paper=(247, 225, 120), pen=(40, 70, 170))),
    Trial(name="red on green", look=replace(SCAN, paper=(200, 228, 200), pen=(190, 40, 50))),
    Trial(name="pencil", look=PENCIL),
    Trial(name="pencil, photographed", look=replace(PHOTO, pen=PENCIL.pen, pressure=PENCIL.pressure)),
    Trial(name="digits of 12 to 400 pixels", dpi=300, kinds=("sizes", "sizes")),
)


def any_page(bench: Bench) -> Iterable[Row]:
    """Of each trial the numbers read right, those that are not there, and the wrong ones accepted."""
    hands = handwriting.load(bench.data / "mnist")
    with tempfile.TemporaryDirectory() as scans, tempfile.TemporaryDirectory() as truths:
        for number, trial in enumerate(TRIALS):
            save_trial(trial, hands, f"{number:02d}", Path(scans), Path(truths, trial.name))
        with read(Path(scans)) as database:
            for trial in TRIALS:
                scored = bench.scored("numbers", database, Path(truths, trial.name, "truth.csv"))
                accepted = scored["accepted_share"] * scored["numbers"]
                yield Row(trial.name, "numbers read", scored["numbers_read"])
                yield Row(trial.name, "extra numbers a page", scored["extra_numbers"] / scored["files"])
                yield Row(trial.name, "accepted wrong", accepted * (1 - scored["accepted_right"]))


def save_trial(trial: Trial, hands: Hands, prefix: str, scans: Path, truth: Path) -> None:
    """The trial's pages go to `scans`, their names and numbers to `truth`."""
    truth.mkdir()
    documents: list[Document] = []
    for at, kind in enumerate(trial.kinds):
        page = trial.page(kind, hands, FIRST_SEED + at)
        # Photographs are JPEG; a scan of 139 megapixels as PNG would take longer to pack than to read.
        name = f"{prefix}-{at}-{kind}.{'jpg' if page.jpeg_quality or trial.dpi > 300 else 'png'}"
        save(page, scans / name)
        documents.append((name, [replace(page, pixels=page.pixels[:1, :1])]))
    write_truth(truth, documents)
