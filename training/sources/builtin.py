"""The sources that have a name: the published data sets, what is cut out of them, and what is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from processor.records import Box, Page
from training import crowding, cutting, datasets, drawn, negatives
from training.inks import NONE, Inks, per_digit, split_by_group
from training.recipe import VALIDATION, Recipe
from training.sources.found import Found, Parts
from training.sources.originals import jc_progjava
from training.sources.strips import cut_strips

TRAINED_ALPHABETS = ("Greek", "Japanese_(katakana)", "Sanskrit", "Tagalog")
"""Omniglot's Latin letters are kept out: they measure how well unknown letters are refused."""

FROM_MNIST = ("mnist", "mnist-proposals")
FROM_STRIPS = ("cheque-digits", "cheque-boxes", "cheque-proposals")
"""Sources that are validated on the same writers, or strips: none of them may train on what another keeps."""


@dataclass
class Shelf:
    """The data folder; what several sources are made from is read and split once."""

    data: Path
    recipe: Recipe
    samples: int = -1

    def generator(self, salt: int) -> np.random.Generator:
        return np.random.default_rng((self.recipe.schedule.seed, salt))

    def share(self, family: tuple[str, ...]) -> float:
        """The largest share that a source of the family keeps out; it holds for all that is made of it."""
        asked = [source.kept_share for source in self.recipe.source if source.name in family]
        return max(asked, default=VALIDATION)

    @cached_property
    def mnist(self) -> tuple[Inks, Inks]:
        digits = datasets.mnist(self.data / "mnist", "train")
        trained, kept = split_by_group(digits, self.share(FROM_MNIST), self.generator(1))
        return per_digit(trained, self.samples, self.generator(2)), kept

    @cached_property
    def strips(self) -> tuple[list[str], list[str]]:
        names = datasets.strip_names(self.data / "orand-car-a")
        shuffled = [names[i] for i in self.generator(3).permutation(len(names))]
        kept = round(self.share(FROM_STRIPS) * len(names))
        return shuffled[kept:], shuffled[:kept]

    def cheques(self, source: str, cut: Callable[..., list[cutting.Labelled]]) -> Parts:
        folder = self.data / "orand-car-a"
        trained, kept = (cut_strips(source, folder, names, cut) for names in self.strips)
        return Parts(trained, kept)


def _mnist(shelf: Shelf) -> Parts:
    return Parts(*shelf.mnist)


def _mnist_proposals(shelf: Shelf) -> Parts:
    trained, kept = shelf.mnist
    return Parts(
        negatives.proposals(trained, 3000, shelf.generator(4)),
        negatives.proposals(kept, 150, shelf.generator(5)),
    )


def _cheque_digits(shelf: Shelf) -> Parts:
    found = shelf.cheques("cheque-digits", cutting.cut_boxes)
    return Parts(per_digit(found.trained, shelf.samples, shelf.generator(6)), found.kept)


def _cheque_boxes(shelf: Shelf) -> Inks:
    """The same digits by boxes drawn differently, again and again; validated by `cheque-digits`."""
    folder, rng = shelf.data / "orand-car-a", shelf.generator(11)

    def cut(page: Page, boxes: Sequence[tuple[int, Box]]) -> list[cutting.Labelled]:
        return cutting.cut_boxes(page, [box for _ in range(5) for box in cutting.shaken(boxes, rng)])

    return cut_strips("cheque-boxes", folder, shelf.strips[0], cut)


def _cheque_proposals(shelf: Shelf) -> Parts:
    return shelf.cheques("cheque-proposals", cutting.cut_candidates)


def _jc_progjava(shelf: Shelf) -> Found:
    return jc_progjava(shelf.data / "jc-progjava" / "digits.npz")


def _printed_digits(_shelf: Shelf) -> Inks:
    return drawn.printed("0123456789", range(10), "printed-digits")


def _printed_letters(_shelf: Shelf) -> Inks:
    letters = negatives.LETTERS
    return drawn.printed(letters, [NONE] * len(letters), "printed-letters", scripts=True)


def _european_forms(shelf: Shelf) -> Inks:
    return drawn.european(150, shelf.generator(7))


def _crowded(shelf: Shelf) -> Inks:
    return crowding.crowded(shelf.mnist[0], 30_000, shelf.generator(12))


def _drawn_letters(shelf: Shelf) -> Inks:
    return drawn.letters(40, shelf.generator(13))


def _pieces(shelf: Shelf) -> Inks:
    return negatives.pieces(shelf.mnist[0], 12_000, shelf.generator(8))


def _runs(shelf: Shelf) -> Inks:
    return negatives.runs(shelf.mnist[0], 12_000, shelf.generator(9))


def _marks(shelf: Shelf) -> Inks:
    return negatives.marks(12_000, shelf.generator(10))


def _omniglot(shelf: Shelf) -> Inks:
    return datasets.omniglot(shelf.data / "non-digits" / "omniglot.zip", TRAINED_ALPHABETS)


SOURCES: dict[str, Callable[[Shelf], Parts | Found | Inks]] = {
    "mnist": _mnist,
    "mnist-proposals": _mnist_proposals,
    "cheque-digits": _cheque_digits,
    "cheque-boxes": _cheque_boxes,
    "cheque-proposals": _cheque_proposals,
    "crowded": _crowded,
    "jc-progjava": _jc_progjava,
    "printed-digits": _printed_digits,
    "printed-letters": _printed_letters,
    "drawn-letters": _drawn_letters,
    "european-forms": _european_forms,
    "pieces": _pieces,
    "runs": _runs,
    "marks": _marks,
    "omniglot": _omniglot,
}
"""A source's name in a recipe, and what reads it.

`Parts` were split by writers or strips, `Found` is to be split, and `Inks` are trained on as a whole: what
was drawn, or serves only to tell non-digits, is never validated on.
"""
