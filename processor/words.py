"""Words: the marks of a page's lines as runs of characters; those that are text are rejected as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processor.records import Cause, Rejection, Signs, TwoReadings
from processor.rejection import text
from processor.segmentation.blobs import Blob
from processor.segmentation.splitting import stroke_width

WORD_GAP = 0.5
"""Characters of one word are at most this share of their height apart."""

PEN_MARKS = 4
"""The stroke of a word is measured on about so many of its marks."""

LETTERS = (Cause.UNLIKE_DIGIT, Cause.SEVERAL_CHARACTERS, Cause.FILLER)
"""What is left out for its look alone: characters of a word, if it is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the network makes of a cut-out: its (28, 28) glyph and probabilities, (11,), the last "none"."""

    glyph: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    @property
    def digit(self) -> int:
        return int(self.probabilities[:-1].argmax())


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One digit (`rejection` is None) or one thing left out; `share` is that of all paths
    on which its largest part is read the same, with or without a speck more.

    `differs` is what another reading makes of its number, "" where that is the same; None where it was read
    once. `twice` is what each reading makes of the strip that it stands in, and `before` what
    the second saw between the digit and the one before it; None where that is not known. `second` is what
    the second reading alone gives the digit, 0 where it reads another.
    """

    blob: Blob
    seen: Seen | None
    share: float
    rejection: Rejection | None
    differs: str | None = None
    twice: TwoReadings | None = None
    before: Signs | None = None
    second: float = 0.0

    @property
    def confidence(self) -> float:
        """That the mark is the digit it looks like most, cut out rightly."""
        return float(self.seen.probabilities[:-1].max()) * self.share if self.seen else 0.0


def without_words(lines: Sequence[Sequence[Mark]], heights: Sequence[float]) -> list[list[Mark]]:
    """The marks of each line (left to right), words left out as text with the likes of digits in them.

    `heights` are the lines' heights in pixels.
    """
    cut = [(at, word) for at, marks in enumerate(lines) for word in split_words(marks, heights[at])]
    judged = text.judge_words([_weighed(word, at, heights[at]) for at, word in cut])
    found: list[list[Mark]] = [[] for _ in lines]
    for (at, word), rejection in zip(cut, judged, strict=True):
        reason = None if _is_filler(word) else rejection
        found[at] += [_as_text(mark, reason) for mark in word] if reason else word
    return found


def split_words(marks: Sequence[Mark], height: float) -> list[list[Mark]]:
    """`marks` (left to right) cut where the gap is wider than between letters of a line `height` px high."""
    words: list[list[Mark]] = []
    right = -np.inf
    for mark in marks:
        box = mark.blob.box
        if box.x - right > WORD_GAP * height:
            words.append([])
        words[-1].append(mark)
        right = max(right, box.right)
    return words


def _weighed(word: Sequence[Mark], line: int, height: float) -> text.Word:
    return text.Word(
        evidence=0.0 if _is_filler(word) else sum(_evidence(mark, height) for mark in word),
        line=line,
        height=float(np.percentile([mark.blob.box.height for mark in word], 75)),
        stroke=float(np.median([stroke_width(m.blob.mask) for m in word[:: -(-len(word) // PEN_MARKS)]])),
    )


def _is_filler(word: Sequence[Mark]) -> bool:
    """Whether a cross stands alone: it is a letter only among letters."""
    return len(word) == 1 and word[0].rejection is not None and word[0].rejection.cause is Cause.FILLER


def _evidence(mark: Mark, height: float) -> float:
    """Nats for text from one mark of a line `height` px high."""
    if mark.rejection is None and mark.seen is not None:
        return text.digit_evidence(mark.seen.digit, mark.confidence)
    cause = mark.rejection.cause if mark.rejection else None
    if cause in (Cause.UNLIKE_DIGIT, Cause.FILLER):
        return text.letter_evidence(max(mark.blob.box.height, 0.6 * mark.blob.box.width) / height)
    return text.SEVERAL_LETTERS if cause is Cause.SEVERAL_CHARACTERS else 0.0


def _as_text(mark: Mark, rejection: Rejection) -> Mark:
    is_character = mark.rejection is None or mark.rejection.cause in LETTERS
    return replace(mark, rejection=rejection) if is_character else mark
