"""What the second reader is trained on: hands that write numbers, and real strips with their truth."""

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from processor.errors import BadCommand
from training import cutting, datasets, drawn
from training.alignment import ignore, known_pages
from training.inks import Inks, collect
from training.publish import data_row
from training.strings import Hands, Source
from training.strip_sources import KnownStrip, digest_of, known_strips, trainable

SHARES = {"mnist-train": 0.42, "cheque-digits": 0.16, "european-forms": 0.32, "printed-digits": 0.10}
"""How many of the drawn numbers are written with which digits."""

CHEQUES = 0.35
"""So much of a batch are real cheque strips, where there are some."""

OWN = 0.35
OLD = 0.15
"""At a refresh, so much of a batch are the strips of one's own, and so much those learned before."""

KEPT = 10
"""Every tenth strip is kept out, to calibrate on."""

EACH = 60

OWN_STRIPS = "own-strips"
"""What strips of one's own are called in a manifest and among the sets of an evaluation."""


@dataclass(frozen=True, slots=True, eq=False)
class StripCorpus:
    """`hands` that write numbers, real strips with their shares of a batch, and those that are kept out.

    `data` are the rows that tell in a manifest what is trained on.
    """

    hands: Hands
    known: tuple[tuple[Sequence[KnownStrip], float], ...]
    validation: tuple[KnownStrip, ...]
    data: tuple[dict[str, Any], ...] = ()

    def marks(self) -> set[str]:
        """The marks of the real strips that are trained on."""
        return {strip.mark for strips, _ in self.known for strip in strips}


def shipped_corpus(
    data: Path,
    mnist: Inks,
    strips: tuple[Sequence[str], Sequence[str]],
    rng: np.random.Generator,
    notice: Callable[[str], object] = ignore,
) -> StripCorpus:
    """The corpus of `data`: digits of `mnist`, drawn and printed ones, and the cheque strips named.

    `strips` are those to train on and those kept out; neither may hold one of `datasets.held_out_strips`.
    Raises BadCommand where one does, or a file is missing.
    """
    folder = data / "orand-car-a"
    sources = [
        mnist,
        drawn.european(EACH, rng),
        drawn.printed("0123456789", list(range(10)), "printed-digits"),
    ]
    trained: list[KnownStrip] = []
    kept: list[KnownStrip] = []
    if strips[0]:
        _refuse_measured(folder, [*strips[0], *strips[1]])
        truth = {n: (n, d, p) for n, d, p in known_pages(folder, folder / "truth.csv", notice=notice)}
        trained, kept = (
            trainable(known_strips((truth[n] for n in part if n in truth), notice)) for part in strips
        )
        sources.append(_cheque_digits(folder, strips[0]))
    hands = Hands([Source(inks, SHARES.get(inks.source, 0.1)) for inks in sources])
    rows = [data_row(inks.source, len(inks), inks.digest()) for inks in sources]
    if not trained:
        return StripCorpus(hands, (), tuple(kept), tuple(rows))
    rows.append(data_row("cheque-strips", len(trained), digest_of(trained)))
    return StripCorpus(hands, ((trained, CHEQUES),), tuple(kept), tuple(rows))


def kept_cheques(
    data: Path, names: Sequence[str], notice: Callable[[str], object] = ignore
) -> list[KnownStrip]:
    """The cheque strips `names` of `data`, those kept out, as far as there is something to read."""
    folder = data / "orand-car-a"
    pages = known_pages(folder, folder / "truth.csv", notice=notice)
    return trainable(known_strips((page for page in pages if page[0] in names), notice))


def with_own(
    corpus: StripCorpus,
    folder: Path,
    table: Path,
    *,
    notice: Callable[[str], object] = ignore,
    held_out: Container[str] = (),
) -> StripCorpus:
    """`corpus` for a refresh on the strips in `folder` whose numbers stand in `table` (`file,digits`).

    Every tenth of them, by the hash of its name, is kept out to calibrate on. Raises BadCommand where none
    can be used.
    """
    found = own_strips(folder, table, notice=notice, held_out=held_out)
    own = [strip for place, strip in enumerate(found) if place % KEPT or len(found) < KEPT]
    kept = [strip for strip in found if strip not in own] or own
    old = [(strips, share * OLD / CHEQUES) for strips, share in corpus.known]
    row = data_row(OWN_STRIPS, len(own), digest_of(own), "not stated")
    return replace(corpus, known=(*old, (own, OWN)), validation=(*kept,), data=(*corpus.data, row))


def own_strips(
    folder: Path,
    table: Path,
    *,
    notice: Callable[[str], object] = ignore,
    held_out: Container[str] = (),
) -> list[KnownStrip]:
    """The strips in `folder` whose numbers stand in `table`, by the hash of their names; see `known_pages`.

    Raises BadCommand where none can be used.
    """
    pages = known_pages(folder, table, notice=notice, held_out=held_out)
    found = sorted(trainable(known_strips(pages, notice)), key=lambda strip: _hash(strip.name))
    if not found:
        raise BadCommand(
            f"{table}: no number of it is found on the images in {folder}.",
            "Check the folder, and that each image holds the one number of its row.",
        )
    return found


def _refuse_measured(folder: Path, names: Sequence[str]) -> None:
    measured = datasets.held_out_strips(folder) & set(names)
    if measured:
        raise BadCommand(
            f"{min(measured)} is one of the strips by which every model is judged.", "Train on the others."
        )


def _cheque_digits(folder: Path, names: Sequence[str]) -> Inks:
    """The digits of the strips by their boxes; each strip is a hand."""
    cut = [
        (image, label, group)
        for group, (name, boxes) in enumerate(datasets.strip_boxes(folder, names).items())
        for image, label in cutting.cut_boxes(datasets.strip_page(folder, name), boxes)
    ]
    return collect("cheque-digits", [c[0] for c in cut], [c[1] for c in cut], [c[2] for c in cut])


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
