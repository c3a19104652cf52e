"""The sets of strips that second readers are judged and calibrated on: none that they were trained on."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from processor.errors import BadCommand
from processor.prediction.strip_reader import StripReader
from processor.prediction.strips import Strip
from training import datasets
from training.alignment import ignore, known_pages
from training.judgement import Numbers
from training.strip_corpus import OWN_STRIPS, own_strips
from training.strip_sources import KnownStrip, known_strips

MEASURED = "cheque-strips-held-out"
"""The cheque strips that nothing is trained on; their figures stand under this name in a manifest."""

SECOND_READER = "second_reader"
"""What a manifest calls the account of its second reader."""

Notice = Callable[[str], object]


@dataclass(frozen=True, slots=True, eq=False)
class StripSet:
    """Strips by the name under which they are told: the `files` (N), their `digits` (N) and `strips` (N).

    `part` says which part of its source this is, where it is not all.
    """

    name: str
    files: tuple[str, ...]
    digits: tuple[str, ...]
    strips: tuple[Strip, ...]
    part: str = ""

    def __len__(self) -> int:
        return len(self.strips)


def strip_set(name: str, known: Sequence[KnownStrip], part: str = "") -> StripSet:
    files, digits = tuple(k.name for k in known), tuple(k.digits for k in known)
    return StripSet(name, files, digits, tuple(k.strip for k in known), part)


def held_out_set(data: Path, notice: Notice = ignore) -> StripSet | None:
    """The strips below `data` that are kept out of every training; None where they are not at hand."""
    folder = data / "orand-car-a"
    if not (folder / "truth.csv").is_file():
        return None
    held = datasets.held_out_strips(folder)
    pages = known_pages(folder, folder / "truth.csv", notice=notice)
    return strip_set(MEASURED, known_strips((page for page in pages if page[0] in held), notice))


def own_set(
    folder: Path, table: Path | None, learned: Container[str] = (), notice: Notice = ignore
) -> StripSet:
    """The strips in `folder` with their numbers in `table` (`truth.csv` in it), but for those `learned` from.

    Raises BadCommand where none is left, or none can be used.
    """
    known = untrained(own_strips(folder, table_of(folder, table), notice=notice), learned, folder)
    return strip_set(OWN_STRIPS, known[0], known[1])


def table_of(folder: Path, table: Path | None) -> Path:
    return table or folder / "truth.csv"


def untrained(
    known: Sequence[KnownStrip], learned: Container[str], folder: Path
) -> tuple[list[KnownStrip], str]:
    """The strips of `folder` whose marks are none of `learned`, and which part of it that is.

    Raises BadCommand where none is left.
    """
    left = [strip for strip in known if strip.mark not in learned]
    if not left:
        raise BadCommand(
            f"The second reader was trained on all {len(known)} strips in {folder}.",
            "Name others: on what it knows by heart it says nothing of itself.",
        )
    return left, "" if len(left) == len(known) else f"the {len(left)} of {len(known)} not trained on"


def learned_by(*manifests: Mapping[str, Any]) -> frozenset[str]:
    """The marks of the real strips that the second readers of these manifests were trained on.

    A manifest that does not tell, as those of older versions, gives none.
    """
    accounts = [manifest.get(SECOND_READER) for manifest in manifests]
    told = [account.get("learned") for account in accounts if isinstance(account, dict)]
    return frozenset(mark for marks in told if isinstance(marks, str) for mark in marks.split())


def read_set(reader: StripReader, strips: StripSet) -> Numbers:
    """What a second reader makes of a set."""
    found = reader.read(strips.strips)
    return Numbers(
        strips.name,
        strips.files,
        strips.digits,
        tuple(reading.digits for reading in found),
        np.array([reading.confidence for reading in found], np.float64),
        strips.part,
    )
