"""The sources a recipe can name, each split into what is trained on and what is only validated on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from processor.errors import BadSettings
from training import cutting, datasets, drawn, negatives
from training.inks import NONE, Inks, collect, per_digit, split_by_group
from training.recipe import Recipe

TRAINED_ALPHABETS = ("Greek", "Japanese_(katakana)", "Sanskrit", "Tagalog")
"""Omniglot's Latin letters are kept out: they measure how well unknown letters are refused."""

VALIDATION_SHARE = 0.1
"""Share of the writers, or of the strips, that is never trained on."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One source's training samples and its part of each batch."""

    inks: Inks
    share: float
    untouched: float
    ambiguous: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All that a recipe names: what is trained on, and what is only validated on."""

    pools: tuple[Pool, ...]
    validation: tuple[Inks, ...]


@dataclass
class Shelf:
    """The data folder; what several sources are made from is read and split once."""

    data: Path
    seed: int
    samples: int = -1
    _empty: Inks = field(default_factory=lambda: collect("none", [], [], []))

    def generator(self, salt: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, salt))

    @cached_property
    def mnist(self) -> tuple[Inks, Inks]:
        trained, kept = split_by_group(
            datasets.mnist(self.data / "mnist", "train"), VALIDATION_SHARE, self.generator(1)
        )
        return per_digit(trained, self.samples, self.generator(2)), kept

    @cached_property
    def strips(self) -> tuple[list[str], list[str]]:
        names = datasets.strip_names(self.data / "orand-car-a")
        shuffled = [names[i] for i in self.generator(3).permutation(len(names))]
        kept = round(VALIDATION_SHARE * len(names))
        return shuffled[kept:], shuffled[:kept]

    def strip_inks(self, source: str, names: list[str], cut: Callable[..., list[cutting.Labelled]]) -> Inks:
        folder = self.data / "orand-car-a"
        images, labels, groups = [], [], []
        for group, (name, boxes) in enumerate(datasets.strip_boxes(folder, names).items()):
            for image, label in cut(datasets.strip_page(folder, name), boxes):
                images.append(image)
                labels.append(label)
                groups.append(group)
        return collect(source, images, labels, groups)

    def only_trained(self, inks: Inks) -> tuple[Inks, Inks]:
        return inks, self._empty


def _mnist(shelf: Shelf) -> tuple[Inks, Inks]:
    return shelf.mnist


def _mnist_proposals(shelf: Shelf) -> tuple[Inks, Inks]:
    trained, kept = shelf.mnist
    return (
        negatives.proposals(trained, 4000, shelf.generator(4)),
        negatives.proposals(kept, 150, shelf.generator(5)),
    )


def _cheque_digits(shelf: Shelf) -> tuple[Inks, Inks]:
    trained, kept = shelf.strips
    name = "cheque-digits"
    return (
        per_digit(shelf.strip_inks(name, trained, cutting.cut_boxes), shelf.samples, shelf.generator(6)),
        shelf.strip_inks(name, kept, cutting.cut_boxes),
    )


def _cheque_proposals(shelf: Shelf) -> tuple[Inks, Inks]:
    trained, kept = shelf.strips
    name = "cheque-proposals"
    return (
        shelf.strip_inks(name, trained, cutting.cut_candidates),
        shelf.strip_inks(name, kept, cutting.cut_candidates),
    )


def _jc_progjava(shelf: Shelf) -> tuple[Inks, Inks]:
    count = 2000 if shelf.samples < 0 else min(shelf.samples, 2000)
    return shelf.only_trained(datasets.jc_progjava(shelf.data / "jc-progjava" / "digits.npz", count))


def _printed_digits(shelf: Shelf) -> tuple[Inks, Inks]:
    return shelf.only_trained(drawn.printed("0123456789", range(10), "printed-digits"))


def _printed_letters(shelf: Shelf) -> tuple[Inks, Inks]:
    letters = negatives.LETTERS
    return shelf.only_trained(drawn.printed(letters, [NONE] * len(letters), "printed-letters", scripts=True))


def _european_forms(shelf: Shelf) -> tuple[Inks, Inks]:
    return shelf.only_trained(drawn.european(150, shelf.generator(7)))


def _pieces(shelf: Shelf) -> tuple[Inks, Inks]:
    return shelf.only_trained(negatives.pieces(shelf.mnist[0], 12_000, shelf.generator(8)))


def _runs(shelf: Shelf) -> tuple[Inks, Inks]:
    return shelf.only_trained(negatives.runs(shelf.mnist[0], 12_000, shelf.generator(9)))


def _marks(shelf: Shelf) -> tuple[Inks, Inks]:
    return shelf.only_trained(negatives.marks(12_000, shelf.generator(10)))


def _omniglot(shelf: Shelf) -> tuple[Inks, Inks]:
    file = shelf.data / "non-digits" / "omniglot.zip"
    return shelf.only_trained(datasets.omniglot(file, TRAINED_ALPHABETS))


SOURCES: dict[str, Callable[[Shelf], tuple[Inks, Inks]]] = {
    "mnist": _mnist,
    "mnist-proposals": _mnist_proposals,
    "cheque-digits": _cheque_digits,
    "cheque-proposals": _cheque_proposals,
    "jc-progjava": _jc_progjava,
    "printed-digits": _printed_digits,
    "printed-letters": _printed_letters,
    "european-forms": _european_forms,
    "pieces": _pieces,
    "runs": _runs,
    "marks": _marks,
    "omniglot": _omniglot,
}
"""A source's name in a recipe, and what gives its samples for training and for validation."""


def gather(recipe: Recipe, data: Path, samples: int = -1) -> Corpus:
    """Everything that `recipe` names, from the folder `data`; at most `samples` of each digit (-1: all).

    Raises BadSettings for an unknown source, BadCommand for data that are not there.
    """
    unknown = [source.name for source in recipe.source if source.name not in SOURCES]
    if unknown:
        raise BadSettings(
            f"The recipe {recipe.name} names the source {unknown[0]!r}.", f"There are: {', '.join(SOURCES)}."
        )
    shelf = Shelf(data, recipe.schedule.seed, samples)
    pools, validation = [], []
    for source in recipe.source:
        trained, kept = SOURCES[source.name](shelf)
        pools.append(Pool(trained, source.share, source.untouched, source.ambiguous))
        if len(kept):
            validation.append(kept)
    return Corpus(tuple(pools), tuple(validation))
