"""Lines: blobs of one line of writing, cut and joined in every plausible way; the best reading wins."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from processor.records import Box, Cause, Gray, Rejection
from processor.rejection import geometry, open_set, strokes
from processor.segmentation.blobs import Blob, union
from processor.segmentation.hypotheses import Candidate, Part, cuts, propose
from processor.segmentation.lattice import Hypothesis, best_path
from processor.segmentation.separators import NARROW, SMALL, hangs
from processor.segmentation.sizes import SMALL_PRINT, characters
from processor.segmentation.spelling import Step
from processor.segmentation.splitting import split, stroke_width
from processor.segmentation.stacks import line_stacks
from processor.stages import stage
from processor.words import Mark, Seen, without_words

Classify = Callable[[Sequence[Gray]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Cut-outs to glyphs (N, 28, 28) and probabilities (N, 11)."""

SURE = 0.9
"""A blob that is a digit with this probability is not cut."""

WIDE = 1.25
"""... unless it is so many times wider than high."""

CUT_COST = 1.5
"""Nats for every cut through ink: of two equal readings, the one with fewer cuts is right."""

PART_COST = 1.0
"""... and for parting pieces that stand over each other as those of one broken digit do."""

TORN = 0.6
"""Leaving out a part torn from a blob costs as much as leaving out a mark of so many line heights."""

JOIN_COST = 0.1
"""Nats for every stroke joined to a digit."""

HANGING_COST = 2.0
"""... and for a comma or a dash joined to a digit beside it: what hangs or lies so is seldom a piece of one.

A 5 with the comma before it is still a 5 to the network, and the comma would be lost; so is a 2 with a minus.
"""

CHARACTERS = 3
"""So many blobs of like height measure their line by themselves, unless they are `SMALL_PRINT` or grain."""

HIGH = 0.6
BESIDE = 0.8
"""Whether a mark hangs is told by what is so high and so near it, in line heights."""

BESIDE_SHARE = 0.5
"""A dash of which less than this share stands over or under a digit lies beside it, unlike the bar of a 5."""

PEN_SAMPLES = 100
"""The pen is measured on about so many blobs."""

PROSE = 6
PROSE_SHARE = 0.4
"""Lines of at least so many blobs, of which less than this share look like digits, are not worth cutting."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Blobs from left to right, what shape and place say of each, and the line's height in pixels.

    `stacks` numbers the stack of each, which is its own where it is no piece of a broken character.
    `specks` take no part in reading: joined to a digit they change nothing but the count of hypotheses.
    """

    blobs: tuple[Blob, ...]
    judged: tuple[Rejection | None, ...]
    stacks: tuple[int, ...]
    specks: tuple[Mark, ...]
    height: float
    digit_height: float


def make_line(
    blobs: Sequence[Blob], page_shape: tuple[int, int], digit_height: float, pen_width: float
) -> Line:
    """The line of `blobs` (left to right) on a page of (height, width) pixels, written with a `pen_width`.

    A line is measured by its own characters, so small figures beside large ones are no specks; one or two
    marks alone are measured by the digits about them, `digit_height` px high. The pieces of a broken digit
    are one character.
    """
    stacks = line_stacks([b.box for b in blobs], digit_height)
    heights = np.array([Box.around(blobs[i].box for i in stack).height for stack in stacks], np.float64)
    of = [number for number, stack in enumerate(stacks) for _ in stack]
    blobs = [blobs[i] for stack in stacks for i in stack]
    high = characters(heights)
    height = float(np.median(high))
    measured = len(high) >= CHARACTERS and height >= SMALL_PRINT * digit_height
    scale = height if measured else max(height, digit_height)
    boxes = [b.box for b in blobs]
    highest = min(float(heights.max()), max(height, digit_height))
    judged = [
        geometry.judge_blob(b.box, scale, page_shape)
        or _judge_hanging(b.box, boxes, height, highest)
        or strokes.judge_crossed(b.mask, height)
        for b in blobs
    ]
    thin = [geometry.judge_stroke(b.box, b.area, pen_width) for b in blobs]
    if all(t or j for t, j in zip(thin, judged, strict=True)):
        judged = [t or j for t, j in zip(thin, judged, strict=True)]
    is_speck = [j is not None and j.cause in (Cause.SPECK, Cause.RULED_LINE) for j in judged]
    return Line(
        blobs=tuple(b for b, speck in zip(blobs, is_speck, strict=True) if not speck),
        judged=tuple(j for j, speck in zip(judged, is_speck, strict=True) if not speck),
        stacks=tuple(number for number, speck in zip(of, is_speck, strict=True) if not speck),
        specks=tuple(Mark(b, None, 1.0, j) for b, j, s in zip(blobs, judged, is_speck, strict=True) if s),
        height=height,
        digit_height=digit_height,
    )


def _judge_hanging(box: Box, line: Sequence[Box], height: float, highest: float) -> Rejection | None:
    """Why a low mark beside characters of a line `height` px high is a comma or a point, no small digit.

    The line's `highest` digit measures a comma between flat ones.
    """
    if box.height > SMALL * max(height, highest) or box.width > NARROW * height:
        return None
    near = [b for b in line if b.height >= HIGH * height and _gap(b, box) <= BESIDE * height]
    if not near:
        return None
    top, bottom = (float(np.mean(edge)) for edge in zip(*((b.y, b.bottom) for b in near), strict=True))
    if not hangs(box, top, bottom, highest):
        return None
    return Rejection(Cause.SEPARATOR, "{} digit heights high", box.height / max(bottom - top, highest), SMALL)


def _gap(one: Box, other: Box) -> int:
    return max(one.x, other.x) - min(one.right, other.right)


def pen_width(blobs: Sequence[Blob], digit_height: float) -> float:
    """Width in pixels of the pen that wrote a page: the median over what is as high as its digits."""
    like_digits = [b for b in blobs if 0.5 * digit_height <= b.box.height <= 2 * digit_height]
    step = max(1, len(like_digits) // PEN_SAMPLES)
    return float(np.median([stroke_width(b.mask) for b in like_digits[::step]])) if like_digits else 0.0


@dataclass(frozen=True, eq=False)
class Proposals:
    """A line, cut into parts, the candidates that join them, and what the network makes of each."""

    line: Line
    parts: tuple[Part, ...]
    candidates: tuple[Candidate, ...]
    seen: Mapping[Blob, Seen]

    @cached_property
    def steps(self) -> list[Step]:
        """What each candidate costs as every digit, or left out."""
        return [_weigh(candidate, self) for candidate in self.candidates]

    @cached_property
    def cuts(self) -> list[float]:
        """Nats for ending a candidate before each part, where that cuts ink or parts pieces of a stack."""
        stacks = [self.line.stacks[part.parent] for part in self.parts]
        parted = [i > 0 and stacks[i - 1] == stack for i, stack in enumerate(stacks)]
        return [
            CUT_COST if cut else PART_COST if part else 0.0
            for cut, part in zip(cuts(self.parts), parted, strict=True)
        ]

    @cached_property
    def judged(self) -> dict[Blob, Rejection | None]:
        return dict(zip(self.line.blobs, self.line.judged, strict=True))


@stage("cuts")
def propose_lines(lines: Sequence[Line], ink: Gray, classify: Classify) -> list[Proposals]:
    """All that the lines may hold; `ink` is the page's (H, W) ink.

    Two passes through the network for the whole page: every blob alone, then the parts and joins of those
    that are no sure digits.
    """
    alone = look_at([b for line in lines for b in line.blobs], ink, classify)
    parts = [_parts(line, alone) for line in lines]
    candidates = [_candidates(line, p) for line, p in zip(lines, parts, strict=True)]
    new = [c.blob for line in candidates for c in line if c.blob not in alone]
    seen = alone | look_at(new, ink, classify)
    return [
        Proposals(line, tuple(p), tuple(c), seen) for line, p, c in zip(lines, parts, candidates, strict=True)
    ]


@stage("paths")
def read_lines(proposed: Sequence[Proposals]) -> list[list[Mark]]:
    """The digits and the marks left out on the best path of each line, left to right."""
    best = [_best(proposals) for proposals in proposed]
    read = without_words(best, [proposals.line.height for proposals in proposed])
    return [marks + list(p.line.specks) for p, marks in zip(proposed, read, strict=True)]


def look_at(blobs: Sequence[Blob], ink: Gray, classify: Classify) -> dict[Blob, Seen]:
    glyphs, probabilities = classify([b.cut_out(ink) for b in blobs])
    return {b: Seen(g, p) for b, g, p in zip(blobs, glyphs, probabilities, strict=True)}


def _parts(line: Line, alone: dict[Blob, Seen]) -> list[Part]:
    """The line's blobs, those that are no sure digits cut into parts; numbered by the blob they come from."""
    sure = [float(alone[b].probabilities[:-1].max()) for b in line.blobs]
    prose = len(sure) >= PROSE and sum(p > 0.5 for p in sure) < PROSE_SHARE * len(sure)
    parts = []
    for parent, (blob, judged, digit) in enumerate(zip(line.blobs, line.judged, sure, strict=True)):
        wide = blob.box.width > WIDE * blob.box.height
        whole = prose or judged is not None or blob.box.height < 0.5 * line.height
        pieces = [blob] if whole or (digit >= SURE and not wide) else split(blob, line.height)
        parts += [Part(piece, parent) for piece in pieces]
    return parts


def _candidates(line: Line, parts: Sequence[Part]) -> list[Candidate]:
    """The runs of parts that may be a digit, every blob whole, as it came, and every broken digit whole."""
    spans: list[tuple[int, int]] = []
    for _, run in groupby(range(len(parts)), key=lambda i: parts[i].parent):
        indices = list(run)
        spans.append((indices[0], indices[-1] + 1))
    whole: dict[tuple[int, int], Candidate] = {}
    for _, stack in groupby(range(len(line.blobs)), key=lambda i: line.stacks[i]):
        pieces = list(stack)
        span = spans[pieces[0]][0], spans[pieces[-1]][1]
        whole[span] = Candidate(*span, union([line.blobs[i] for i in pieces]), joins=len(pieces) - 1)
    whole |= {span: Candidate(*span, blob) for span, blob in zip(spans, line.blobs, strict=True)}
    runs = propose(parts, line.height)
    return [c for c in runs if (c.start, c.stop) not in whole] + list(whole.values())


def _best(proposals: Proposals) -> list[Mark]:
    """The line's best path, as marks."""
    line, parts, seen = proposals.line, proposals.parts, proposals.seen
    sources = {
        hypothesis: candidate.blob
        for candidate, step in zip(proposals.candidates, proposals.steps, strict=True)
        for hypothesis in _hypotheses(step)
    }
    hypotheses = list(sources)
    paths = best_path(len(parts), hypotheses, proposals.cuts)
    labels = [_label(h, seen[sources[h]]) for h in hypotheses]
    marks = []
    for taken in paths.best:
        blob = sources[taken]
        core = max(range(taken.start, taken.stop), key=lambda i: parts[i].blob.area)
        agreeing = (
            share
            for h, label, share in zip(hypotheses, labels, paths.shares, strict=True)
            if h.start <= core < h.stop and label == _label(taken, seen[blob])
        )
        mark = Mark(blob, seen[blob], min(1.0, sum(agreeing)), None)
        marks.append(replace(mark, rejection=_reject(mark, proposals.judged.get(blob), taken.junk, line)))
    return marks


def _hypotheses(step: Step) -> list[Hypothesis]:
    """A candidate as its best digit, and as something to leave out, as far as either can be."""
    found = []
    if step.digits is not None:
        found.append(Hypothesis(step.start, step.stop, float(step.digits.min())))
    if step.junk is not None:
        found.append(Hypothesis(step.start, step.stop, step.junk, junk=True))
    return found


def _reject(mark: Mark, judged: Rejection | None, junk: bool, line: Line) -> Rejection | None:
    """Why a mark of the best path is no digit: left out on it, a printed circle, or an unsure cross."""
    blob, seen = mark.blob, mark.seen
    if seen is None:
        return None
    if not junk and seen.digit == 0 and (circle := strokes.judge_circle(blob.mask)) is not None:
        return circle
    if not junk and mark.confidence >= SURE:
        return None
    cross = strokes.judge_cross(blob.mask) if blob.box.height >= HIGH * line.height else None
    if not junk:
        return cross
    return (
        judged
        or cross
        or geometry.judge_size(blob.box, line.height, line.digit_height)
        or open_set.unlike_any_digit(seen.probabilities)
    )


def _unless_seen(judged: Rejection | None, seen: Seen) -> Rejection | None:
    """`judged`, but for what hangs like a comma and is a digit to the network: a comma looks like a 1."""
    hangs_only = judged is not None and judged.cause is Cause.SEPARATOR
    digit = seen.digit != 1 and float(seen.probabilities[seen.digit]) >= SURE
    return None if hangs_only and digit else judged


def _label(hypothesis: Hypothesis, seen: Seen) -> int:
    return -1 if hypothesis.junk else seen.digit


def _joining(candidate: Candidate, parts: Sequence[Part], line: Line) -> float:
    """Nats for taking the parts of a candidate together."""
    if not candidate.joins:
        return 0.0
    parents = {part.parent for part in parts[candidate.start : candidate.stop]}
    hanging = sum(_is_separate(parent, parents, line) for parent in parents)
    return JOIN_COST * candidate.joins + HANGING_COST * hanging


def _is_separate(number: int, joined: Collection[int], line: Line) -> bool:
    """Whether a blob that is `joined` to others hangs like a comma, or lies beside them like a dash."""
    judged, box = line.judged[number], line.blobs[number].box
    if judged is None or judged.cause is not Cause.MARK:
        return judged is not None and judged.cause is Cause.SEPARATOR
    others = Box.around(line.blobs[other].box for other in joined if other != number)
    return min(box.right, others.right) - max(box.x, others.x) < BESIDE_SHARE * box.width


def _weigh(candidate: Candidate, proposals: Proposals) -> Step:
    """A candidate as each digit and, where it is a whole blob or a single part, as something to leave out."""
    start, stop, blob = candidate.start, candidate.stop, candidate.blob
    height, whole = proposals.line.height, blob in proposals.judged
    seen = proposals.seen[blob]
    judged = _unless_seen(proposals.judged.get(blob), seen)
    digits, junk = None, None
    if judged is None:
        size_cost = open_set.size_cost(blob.box.height / height)
        digits = open_set.digit_costs(seen.probabilities) + size_cost
        digits += _joining(candidate, proposals.parts, proposals.line)
    if whole or stop - start == 1:
        size = max(blob.box.height, 0.6 * blob.box.width) / height
        junk = open_set.junk_cost(None if judged else seen.probabilities, size if whole else max(size, TORN))
    return Step(start, stop, digits, junk)
