"""Whether numbers are read as they are written: with their commas and points, and the minus, or without.

What most people would call a wrong number, though all of its digits are right.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import handwriting
from benchmarks.handwriting import Hands
from benchmarks.pages import LOOKS, RenderedPage, TrueNumber, render_sheet, save
from benchmarks.product import Bench, Row, read
from benchmarks.separated import LAYOUTS, SIZE
from benchmarks.sheet import Style
from processor.punctuation import value
from processor.records import Box, Status
from processor.results.database import open_read_only
from processor.results.queries import run_select

SEEDS = 9000, 9500
"""One for each look that pages are given."""

RESOLUTIONS = 150, 200, 250, 300

OVERLAP = 0.2
"""A number is that one which it shares so much of their common area with."""

_NUMBERS = """
SELECT file, numbers.x, numbers.y, numbers.width, numbers.height, text, digits, numbers.status
FROM numbers JOIN pages ON pages.id = numbers.page_id JOIN scans ON scans.id = pages.scan_id
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A number as it was read, and the one that is written there."""

    text: str
    digits: str
    accepted: bool
    true: TrueNumber

    @property
    def right(self) -> bool:
        return self.digits == self.true.digits

    @property
    def as_written(self) -> bool:
        return self.right and self.text == self.true.text

    @property
    def of_another_value(self) -> bool:
        """Its digits are right, and it is another number; a point that only parts thousands makes none."""
        return self.right and value(self.text) != value(self.true.text)


def written_numbers(bench: Bench) -> Iterable[Row]:
    """Pages of numbers with separators on dotted lines, combs, grids, ruled and dirty paper."""
    hands = handwriting.load(bench.data / "mnist")
    with tempfile.TemporaryDirectory() as folder:
        pages = {}
        for name, page in drawn(hands):
            save(page, Path(folder, name))
            pages[name] = page
        with read(Path(folder)) as database:
            found = list(matched(database, pages))
    for kind in LAYOUTS:
        yield from rows(f"separators, {kind}", [one for name, one in found if name.startswith(kind)])
    yield from rows("separators, all of these", [one for _, one in found])


def drawn(hands: Hands) -> Iterator[tuple[str, RenderedPage]]:
    """A page of each layout as scanned and as photographed, in hands, pens and resolutions by chance."""
    for seed, look in zip(SEEDS, ("scan", "photo"), strict=True):
        for number, (kind, fill) in enumerate(LAYOUTS.items()):
            rng = np.random.default_rng([seed + number, 9])
            style = Style(
                digit_mm=float(rng.uniform(4, 5.5)),
                stroke_mm=float(rng.uniform(0.35, 0.65)),
                gap=float(rng.uniform(0.08, 0.22)),
            )
            dpi = int(rng.choice(RESOLUTIONS))
            page = render_sheet(SIZE, fill, hands, seed + number, dpi=dpi, style=style, look=LOOKS[look])
            yield f"{kind}-{look}-{dpi}.png", page


def matched(database: Path, pages: dict[str, RenderedPage]) -> Iterator[tuple[str, Found]]:
    """The numbers of a database that are written on `pages`, by their files' names, with the file's name."""
    engine = open_read_only(f"sqlite:///{database}")
    for file, x, y, width, height, text, digits, status in run_select(engine, _NUMBERS)[1]:
        true = written_at(Box(x, y, width, height), pages[file].numbers)
        if true is not None:
            yield file, Found(text, digits, status == Status.ACCEPTED, true)
    engine.dispose()


def written_at(box: Box, numbers: Sequence[TrueNumber]) -> TrueNumber | None:
    best = max(numbers, key=lambda number: _overlap(box, number.box), default=None)
    return best if best is not None and _overlap(box, best.box) > OVERLAP else None


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.right, other.right) - max(one.x, other.x)
    height = min(one.bottom, other.bottom) - max(one.y, other.y)
    common = max(width, 0) * max(height, 0)
    return common / (one.width * one.height + other.width * other.height - common)


def rows(name: str, found: Sequence[Found]) -> Iterator[Row]:
    accepted = [one for one in found if one.accepted]
    right = [one for one in found if one.right]
    sure = [one for one in accepted if one.right]
    written, others = [one.as_written for one in right], [one.of_another_value for one in sure]
    yield Row(name, "as written, of those whose digits are right", _share(written))
    yield Row(name, "accepted, of those whose digits are right", _share([one.accepted for one in right]))
    yield Row(name, "as written, of those accepted", _share([one.as_written for one in sure]))
    yield Row(name, "of another value, of those accepted", _share(others), "<= 0.01")


def _share(true: Sequence[bool]) -> float:
    return sum(true) / max(1, len(true))
