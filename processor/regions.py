"""Regions: neighbouring marks of a line that may be one number, as they are read a second time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from processor.lines import Proposals
from processor.prediction.strips import Frame, frame
from processor.records import Box, Cause, Mask
from processor.segmentation.blobs import Blob
from processor.segmentation.combs import cells_of, is_comb
from processor.segmentation.spelling import Step
from processor.words import Mark

APART = 1.0
"""Marks farther apart than so many line heights belong to two numbers."""

LOW = 0.35
"""Lower marks, in line heights, are points and specks: they begin no number and end none."""

LEVEL = 0.4
"""Neighbours share at least this part of the lower one's rows: scattered figures are numbers of their own."""

WALL = 0.6
"""An upright ruled line over this share of a line's height parts numbers."""

READABLE = (Cause.UNLIKE_DIGIT, Cause.SEVERAL_CHARACTERS, Cause.UNCERTAIN, Cause.OVERSIZED)
"""What the first reading may have left out of a number for not seeing how to cut it."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Neighbouring marks that may be one number, and the parts (from `first` to `stop`) they are made of."""

    proposals: Proposals
    marks: tuple[Mark, ...]
    first: int
    stop: int
    core: tuple[Box, ...] = ()

    @property
    def place(self) -> Frame:
        """Where the strip is cut, from the first mark to the last; the `core`, where known, measures it."""
        boxes = [mark.blob.box for mark in self.marks]
        measured = frame(self.core or boxes)
        high = [box for box in boxes if box.height > LOW * measured.height] or boxes
        left, right = min(box.x for box in high), max(box.right for box in high)
        middle = measured.centre_at((left + right) / 2)
        return Frame(measured.height, middle, float(left), float(right), measured.climb)

    @property
    def box(self) -> Box:
        return Box.around(mark.blob.box for mark in self.marks)

    @property
    def digits(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.rejection is None]

    @property
    def steps(self) -> list[Step]:
        return [
            Step(step.start - self.first, step.stop - self.first, step.digits, step.junk)
            for step in self.proposals.steps
            if step.start >= self.first and step.stop <= self.stop
        ]

    @property
    def blobs(self) -> list[Blob]:
        """The candidates' blobs, in the order of `steps`."""
        found = self.proposals.candidates
        return [c.blob for c in found if c.start >= self.first and c.stop <= self.stop]


def find_regions(
    marks: Sequence[Mark], proposals: Proposals, dividers: Mask, core: Sequence[Box] | None
) -> list[Region]:
    """Runs of marks near each other with no wall between, where there is a digit among them."""
    height, whole = proposals.line.height, core is not None
    readable = [*READABLE, Cause.TEXT] if whole else READABLE
    eligible = [
        mark
        for mark in marks
        if mark.seen is not None
        and (
            mark.rejection is None
            or (mark.rejection.cause in readable and (whole or mark.blob.box.height >= LOW * height))
        )
    ]
    runs = [eligible] if whole and eligible else _runs(eligible, height, dividers)
    found = [_region(run, proposals, core) for run in runs if whole or any(m.rejection is None for m in run)]
    return [region for region in found if region is not None]


def _runs(marks: Sequence[Mark], height: float, dividers: Mask) -> list[list[Mark]]:
    """Marks near each other on a line `height` px high, parted at walls unless they fill a comb one by one.

    Alone in its cell a digit would be read with what reaches into the strip from the cells beside it.
    """
    found: list[list[Mark]] = []
    for run in _parted(marks, lambda run, mark: _near(run, mark, height)):
        boxes = [mark.blob.box for mark in run]
        if is_comb(boxes, cells_of(boxes, dividers)):
            found.append(run)
        else:
            found += _parted(run, lambda run, mark: not _walled(run[-1], mark, dividers))
    return found


def _parted(marks: Sequence[Mark], together: Callable[[list[Mark], Mark], bool]) -> list[list[Mark]]:
    """`marks` in runs: each goes `together` with the run before it, or begins another."""
    runs: list[list[Mark]] = []
    for mark in marks:
        runs[-1].append(mark) if runs and together(runs[-1], mark) else runs.append([mark])
    return runs


def _near(run: Sequence[Mark], mark: Mark, height: float) -> bool:
    right = max(m.blob.box.right for m in run)
    box, last = mark.blob.box, run[-1].blob.box
    shared = min(box.bottom, last.bottom) - max(box.y, last.y)
    return box.x - right <= APART * height and shared >= LEVEL * min(box.height, last.height)


def _walled(left: Mark, right: Mark, dividers: Mask) -> bool:
    """Whether an upright ruled line stands between the middles of two neighbours."""
    box, last = right.blob.box, left.blob.box
    top, bottom = min(box.y, last.y), max(box.bottom, last.bottom)
    between = dividers[top:bottom, int(last.centre[0]) : int(box.centre[0])]
    return bool(between.size and float(between.any(axis=1).mean()) > WALL)


def _region(run: Sequence[Mark], proposals: Proposals, core: Sequence[Box] | None) -> Region | None:
    box = Box.around(mark.blob.box for mark in run)
    inside = [i for i, part in enumerate(proposals.parts) if box.x <= part.blob.box.centre[0] <= box.right]
    return Region(proposals, tuple(run), inside[0], inside[-1] + 1, tuple(core or ())) if inside else None
