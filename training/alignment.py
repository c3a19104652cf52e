"""Digits out of whole numbers: who knows what stands on a strip knows what each of its digits is.

The cheapest truth a user can give is the numbers of their own forms. The reader's own segmentation proposes
where digits may be; the path through those proposals that spells exactly the known number, and that the
model finds likeliest, says where they are (forced alignment, as for speech: Rabiner, 1989).
"""

import hashlib
import math
import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from processor.errors import BadCommand, BadScan
from processor.lines import CUT_COST, JOIN_COST
from processor.pages.cleaning import CleanPage, clean
from processor.pages.scans import decode
from processor.prediction import glyphs
from processor.records import Box, Glyphs, Gray, Mask, Page
from processor.rejection.open_set import LEAST_PROBABILITY, junk_cost
from processor.segmentation.blobs import Blob, find_blobs
from processor.segmentation.hypotheses import Candidate, Part, cuts, propose
from processor.segmentation.layout import group_lines
from processor.segmentation.splitting import split
from processor.settings import Limits
from training.cutting import Labelled, compact, label_candidates
from training.inks import NONE, Inks, collect
from training.sources.folders import read_table

LEAST_LIKELY = -1.2
"""Strips whose digits have a lower mean log-probability are left out: the digits stand elsewhere."""

MOST_LEFT_OUT = 0.12
"""... and those with more of their ink, in marks as high as digits, that is no part of the number."""

HIGH = 0.6
"""Of the line's height; lower marks are points, commas and remains of lines, which no truth spells."""

GRAIN = 0.12
"""Marks smaller than this share of a digit's height are not looked at."""

LIMITS = Limits(max_megapixels=40, max_megabytes=50, max_pages=1)
"""A strip holds one number: what is larger is a scan that strayed into the folder."""

_FAR = 1 << 20

_DIGITS = re.compile(r"[0-9]{1,40}")
_SEPARATORS = re.compile(r"[\s.,'’·-]")


class Classifies(Protocol):
    """What tells digits apart: the `Classifier`, or three lines in a test."""

    def probabilities(self, glyphs: Glyphs) -> NDArray[np.float32]:
        """Probabilities (N, 11), the last of no digit, of glyphs (N, 1, 28, 28)."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Where the digits of a known number stand on the working grid, left to right.

    `likelihood` is the mean log-probability of the digits, `left_out` the share of the line's high ink that
    belongs to none of them.
    """

    digits: tuple[Blob, ...]
    likelihood: float
    left_out: float

    @property
    def fault(self) -> str | None:
        """Why the alignment cannot be trusted; None where it can."""
        if self.likelihood < LEAST_LIKELY:
            return f"its digits look like others (mean log-probability {self.likelihood:.2f})"
        if self.left_out > MOST_LEFT_OUT:
            return f"{self.left_out:.0%} of its ink is no part of the number"
        return None


def ignore(notice: str) -> None:
    """Hears what was skipped, and does nothing."""


def aligned_digits(
    folder: Path,
    table: Path,
    classifier: Classifies,
    *,
    with_pieces: bool = True,
    notice: Callable[[str], object] = ignore,
    held_out: Container[str] = (),
) -> Inks:
    """The digits on the strips of `folder` whose numbers stand in `table` (columns `file`, `digits`).

    Groups are the strips, numbered by their rows. With `with_pieces`, what the reader would propose beside
    the digits (pieces and pairs of them) comes along as no digit. A strip that is missing, no image, or not
    plausibly the number is named to `notice` and left out. Digits that the model takes for others come along
    where the rest of their number holds them in place; where it knows a hand not at all, strips are lost.
    A strip whose file has a sha256 of `held_out` is one that models are judged by, and is left out as well.
    Raises BadCommand where the table has no such columns, or no strip can be used.
    """
    images: list[Gray] = []
    labels: list[int] = []
    groups: list[int] = []
    rows = 0
    for group, (name, digits) in enumerate(_rows(table, notice)):
        rows += 1
        try:
            paper = clean(_strip(folder, table, name, held_out))
        except BadScan as error:
            notice(str(error.message))
            continue
        aligned = align(paper, digits, classifier)
        fault = aligned.fault if aligned else "no way to cut it gives so many digits"
        if aligned is None or fault:
            notice(f"{name}: {digits} is not found on it: {fault}.")
            continue
        for image, label in cut_aligned(paper, aligned, digits, with_pieces=with_pieces):
            images.append(compact(image))
            labels.append(label)
            groups.append(group)
    if not images:
        raise BadCommand(
            f"{table}: none of its {rows} numbers is found on the images in {folder}.",
            "Check the folder, and that each image holds the one number of its row.",
        )
    return collect("digit-strips", images, labels, groups)


def known_pages(
    folder: Path, table: Path, *, notice: Callable[[str], object] = ignore, held_out: Container[str] = ()
) -> Iterator[tuple[str, str, Page]]:
    """Name, digits and page of each strip of `folder` whose number stands in `table`; see `aligned_digits`.

    Those that are missing, no image, or among `held_out` are named to `notice`. Raises BadCommand.
    """
    for name, digits in _rows(table, notice):
        try:
            yield name, digits, _strip(folder, table, name, held_out)
        except BadScan as error:
            notice(str(error.message))


def cut_aligned(paper: CleanPage, aligned: Alignment, digits: str, *, with_pieces: bool) -> list[Labelled]:
    """The aligned digits as cut-outs, and with `with_pieces` the other proposals that are surely none."""
    cut = [(blob.cut_out(paper.ink), int(digit)) for blob, digit in zip(aligned.digits, digits, strict=True)]
    if with_pieces:
        owners = [
            (label, _owner(blob, paper.mask)) for blob, (_, label) in zip(aligned.digits, cut, strict=True)
        ]
        cut += [
            (image, label)
            for image, label in label_candidates(paper.ink, paper.mask, owners)
            if label == NONE
        ]
    return cut


def align(
    paper: CleanPage, digits: str, classifier: Classifies, within: Box | None = None
) -> Alignment | None:
    """Where the known `digits` stand on `paper`; None where no way of cutting its ink gives so many.

    The likeliest over the lines of writing, each for itself and all ink together. Only ink that is for the
    most part inside `within`, a box of the original page, counts where that is given.
    """
    blobs = blobs_within(paper, within)
    lines = [[blobs[i] for i in group] for group in group_lines([blob.box for blob in blobs])]
    if len(lines) > 1:
        lines.append(sorted(blobs, key=lambda blob: blob.box.centre[0]))
    found = [aligned for line in lines if (aligned := _align_line(line, paper.ink, digits, classifier))]
    return min(found, key=lambda a: (a.fault is not None, -a.likelihood), default=None)


def blobs_within(paper: CleanPage, within: Box | None) -> list[Blob]:
    """The marks of `paper` that lie for the most part in `within`, a box of the original page, or all."""
    blobs = find_blobs(paper.mask, max(3, round(GRAIN * paper.digit_height)))
    if within is None:
        return blobs
    # Not clipped to the page's right and lower edge, which cannot make ink belong to the number.
    places = [paper.original_box(blob.box, blob.mask, _FAR, _FAR) for blob in blobs]
    return [blob for blob, place in zip(blobs, places, strict=True) if _share_inside(place, within) > 0.5]


def _align_line(line: Sequence[Blob], ink: Gray, digits: str, classifier: Classifies) -> Alignment | None:
    height = _height(line)
    parts = [
        Part(piece, number)
        for number, blob in enumerate(line)
        for piece in (split(blob, height) if blob.box.height >= 0.5 * height else [blob])
    ]
    candidates = [*propose(parts, height), *_whole(line, parts)]
    if len(parts) < 1 or not digits:
        return None
    seen = classifier.probabilities(glyphs.batch([c.blob.cut_out(ink) for c in candidates]))
    steps = [_Step(c, p, _junk(c, p, height)) for c, p in zip(candidates, seen, strict=True)]
    path = _cheapest(len(parts), steps, [CUT_COST if cut else 0.0 for cut in cuts(parts)], digits)
    if path is None:
        return None
    taken = [step for step, used in path if used]
    sure = [max(float(s.seen[int(d)]), LEAST_PROBABILITY) for s, d in zip(taken, digits, strict=True)]
    high = [(s.candidate.blob.area, used) for s, used in path if s.candidate.blob.box.height >= HIGH * height]
    lost = sum(area for area, used in high if not used)
    return Alignment(
        digits=tuple(step.candidate.blob for step in taken),
        likelihood=float(np.mean(np.log(sure))),
        left_out=lost / max(1, sum(area for area, _ in high)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A candidate, its (11,) probabilities, and the nats for leaving it out."""

    candidate: Candidate
    seen: NDArray[np.float32]
    junk: float

    def cost(self, digit: str) -> float:
        return (
            -math.log(max(float(self.seen[int(digit)]), LEAST_PROBABILITY)) + JOIN_COST * self.candidate.joins
        )


def _junk(candidate: Candidate, seen: NDArray[np.float32], height: float) -> float:
    size = max(candidate.blob.box.height, 0.6 * candidate.blob.box.width) / height
    return junk_cost(seen, size) if candidate.stop - candidate.start == 1 else math.inf


def _cheapest(
    count: int, steps: Sequence[_Step], cut_costs: Sequence[float], digits: str
) -> list[tuple[_Step, bool]] | None:
    """The cheapest way over parts 0 … `count` - 1 that spells `digits`: each step, and whether as a digit."""
    nats = np.full((count + 1, len(digits) + 1), np.inf)
    nats[0, 0] = 0
    came: dict[tuple[int, int], tuple[_Step, bool]] = {}
    for step in sorted(steps, key=lambda s: (s.candidate.start, s.candidate.stop)):
        start, stop = step.candidate.start, step.candidate.stop
        for spelt in np.flatnonzero(np.isfinite(nats[start])).tolist():
            so_far = nats[start, spelt] + cut_costs[start]
            options = [(so_far + step.junk, spelt, False)]
            if spelt < len(digits):
                options.append((so_far + step.cost(digits[spelt]), spelt + 1, True))
            for total, after, used in options:
                if total < nats[stop, after]:
                    nats[stop, after] = total
                    came[stop, after] = step, used
    if not np.isfinite(nats[count, len(digits)]):
        return None
    path: list[tuple[_Step, bool]] = []
    place, spelt = count, len(digits)
    while place:
        step, used = came[place, spelt]
        path.append((step, used))
        place, spelt = step.candidate.start, spelt - used
    return path[::-1]


def _height(line: Sequence[Blob]) -> float:
    heights = np.array([blob.box.height for blob in line], np.float64)
    return float(np.median(heights[heights >= 0.5 * heights.max()]))


def _whole(line: Sequence[Blob], parts: Sequence[Part]) -> list[Candidate]:
    """The blobs that were cut, as they came: too wide for a join of their parts, or too many parts."""
    spans = []
    for number, blob in enumerate(line):
        own = [i for i, part in enumerate(parts) if part.parent == number]
        if len(own) > 1:
            spans.append(Candidate(own[0], own[-1] + 1, blob))
    return spans


def _owner(blob: Blob, mask: Mask) -> Mask:
    own = np.zeros(mask.shape, np.bool_)
    own[blob.box.y : blob.box.bottom, blob.box.x : blob.box.right] = blob.mask
    return own


def _share_inside(box: Box, within: Box) -> float:
    width = min(box.right, within.right) - max(box.x, within.x)
    height = min(box.bottom, within.bottom) - max(box.y, within.y)
    return max(0, width) * max(0, height) / (box.width * box.height)


def _strip(folder: Path, table: Path, name: str, held_out: Container[str]) -> Page:
    """The strip `name`, in `folder`, its `images`, or beside the table. Raises BadScan."""
    place = Path(name.replace("\\", "/"))
    for root in (folder, folder / "images", table.parent):
        try:
            data = (root / place).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise BadScan(f"{name} cannot be read: {error}.") from None
        if hashlib.sha256(data).hexdigest() in held_out:
            raise BadScan(f"{name} is one of the strips by which every model is judged.")
        (page,) = decode(data, name, LIMITS, pdf_dpi=300)
        return page
    raise BadScan(f"{name} is not in {folder}.")


def _rows(table: Path, notice: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    """File and digits of each row; rows that say no number are named. Raises BadCommand."""
    rows = read_table(table)
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "file" not in head or "digits" not in head:
        found = ", ".join(head)[:80] or "nothing"
        raise BadCommand(
            f"{table} begins with {found}; expected the columns file,digits.", "Add that header."
        )
    file, digits = head.index("file"), head.index("digits")
    seen: set[str] = set()
    for number, row in enumerate(rows[1:], 2):
        where = f"{table.name}, row {number}"
        if len(row) != len(head):
            # An unquoted decimal comma gives a column more; taking the first would teach the wrong number.
            notice(
                f"{where}: {len(row)} columns, the header has {len(head)}; put numbers with commas in quotes"
            )
            continue
        name, text = row[file].strip(), row[digits].strip()
        plain = _SEPARATORS.sub("", text)
        if not name:
            notice(f"{where}: no file is named")
        elif not _DIGITS.fullmatch(plain):
            notice(f"{where}: {name} is said to hold {text[:40]!r}, which is no number")
        elif name in seen:
            notice(f"{where}: {name} is listed twice")
        else:
            seen.add(name)
            yield name, plain
