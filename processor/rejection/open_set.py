"""Rejection by the network: what looks like no digit, and which digits are too uncertain to be accepted.

The network has an eleventh class, "none", trained on letters, strokes, touching pairs and halves of digits;
the softmax takes its share from the digits', so that an unlikely shape can never be a confident digit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.records import Cause, Rejection, Status

JUNK_COST = 3.0
"""Nats for leaving out a mark as high as its line, beside what the network says of it."""

LOW_SIZE = 0.5
"""Marks lower than this share of their line may be points and dashes, whatever they look like enlarged."""

LOW_COST = 96.0
"""Nats for a digit of no height, in squares of the line heights that it lacks of `LOW_SIZE`."""

MOST_DIGITS = 4.0
"""Wide marks cost as much to leave out as so many digits, at most."""

LEAST_PROBABILITY = 1e-4
"""Probabilities are not believed below this: one wrong glyph must not decide a whole line."""

SURE_NUMBER = 0.8
"""A number that by its own account is wrong one time in five is looked at, however sure each digit is."""

SEVERAL = 3
"""So many digits are no stray mark: of 1,380 letters unlike digits none was accepted in such a number."""

SPREAD_OF_SEVERAL = 7.0
"""Of such numbers above a confidence, the greatest doubt is so many times the mean: most are far surer.

On the cheque strips that a model is calibrated on. More would be accepted with 10, at a mean doubt above the
one that was asked for.
"""

SPREAD = 3.0
"""... and this is asked of fewer digits, for the marks that are none.

With 5, letters that resemble no digit would be accepted 3.4 times in 100, instead of 2.8.
"""

SPREAD_OF_CONTESTED = 1.5
"""... and this where one reading objects: such numbers are wrong more often than is foretold."""

SPREAD_OF_TOUCHING = 2.0
"""... and this of what the second reading alone gives a digit that runs along the lines of its box.

Of 831 numbers in cramped boxes that were accepted, 48 wrong, it holds back 126, 24 of them wrong.
"""

SPREAD_OF_SMALL = 2.0
FEW_PIXELS = 13
"""... and this of numbers whose digits are at most so many pixels high, which are read with more confidence
than is due: of 120 on pages of figures of all sizes 4 are wrong, all among the 13 that it holds back."""

LEAST_SURE = 0.5
"""However many errors are allowed, what is rather wrong than right is looked at."""

LEAST_CONFIDENCE = 0.2
"""A digit below this confidence is not even worth a question: it is rejected."""


def digit_costs(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Nats (10,) for reading a mark as each digit; `probabilities` is (11,), the last one "none"."""
    return -np.log(np.maximum(probabilities[:-1], LEAST_PROBABILITY).astype(np.float64))


def junk_cost(probabilities: NDArray[np.float32] | None, size: float) -> float:
    """Nats for leaving out a mark of `size` line heights; None where it was rejected unseen."""
    none = 1.0 if probabilities is None else float(probabilities[-1])
    weight = size**1.5 if size < 1 else min(size, MOST_DIGITS)
    return -math.log(max(none, 1 - size / LOW_SIZE, LEAST_PROBABILITY)) + JUNK_COST * weight


def size_cost(size: float) -> float:
    """Nats for a digit of `size` line heights: none from `LOW_SIZE` on.

    People write the digits of a number alike, so a mark half as high as its line is seldom one, and a comma,
    of a quarter, never is, however much it looks like a 1 when it is enlarged.
    """
    return LOW_COST * max(0.0, LOW_SIZE - size) ** 2


def size_weight(size: float) -> float:
    """What is left of a digit's confidence for a mark of `size` line heights, from 0 to 1."""
    return math.exp(-size_cost(size))


def judge_digit(confidence: float, threshold: float) -> tuple[Status, Rejection | None]:
    """Whether a digit of this confidence is accepted, goes to review, or is no digit."""
    if confidence >= threshold:
        return Status.ACCEPTED, None
    if confidence >= LEAST_CONFIDENCE:
        return Status.REVIEW, Rejection(Cause.UNCERTAIN, "confidence", confidence, threshold)
    return Status.REJECTED, Rejection(Cause.UNLIKE_DIGIT, "confidence", confidence, LEAST_CONFIDENCE)


@dataclass(frozen=True, slots=True)
class LeastSure:
    """The confidence from which a number that was read twice is accepted, by its count of digits.

    `contested` is for several digits to which a reading objects that doubts itself, `touching` for what the
    second reading gives each digit that touches its box, `small` for numbers in digits of few pixels.
    """

    few: float = SURE_NUMBER
    several: float = SURE_NUMBER
    contested: float = 1.0
    touching: float = 0.0
    small: float = SURE_NUMBER

    def of(self, count: int, height: float = math.inf) -> float:
        """For so many digits, `height` px high."""
        own = self.several if count >= SEVERAL else self.few
        return max(own, self.small) if height <= FEW_PIXELS else own


READ_ONCE = LeastSure()
"""Without a second reading a number of any length is as sure as its digits."""


def is_sure(confidences: Sequence[float], least: float = SURE_NUMBER) -> bool:
    """Whether digits of these confidences, each accepted by itself, make a number that is."""
    return math.prod(confidences) >= least


def least_sure(max_error_rate: float) -> LeastSure:
    """From which confidence numbers that were read twice are accepted, for a share of wrong ones.

    Such confidences are true of handwriting that was not trained on: the mean doubt is the share of errors.
    """
    return LeastSure(
        few=max(LEAST_SURE, 1 - SPREAD * max_error_rate),
        several=max(LEAST_SURE, 1 - SPREAD_OF_SEVERAL * max_error_rate),
        contested=max(LEAST_SURE, 1 - SPREAD_OF_CONTESTED * max_error_rate),
        touching=max(LEAST_SURE, 1 - SPREAD_OF_TOUCHING * max_error_rate),
        small=max(LEAST_SURE, 1 - SPREAD_OF_SMALL * max_error_rate),
    )


def unlike_any_digit(probabilities: NDArray[np.float32]) -> Rejection:
    """The reason for leaving out a mark that the network saw."""
    return Rejection(Cause.UNLIKE_DIGIT, "likeness to a digit", 1 - float(probabilities[-1]), 0.5)
