"""Gates: is a candidate worse than the model in use on the same samples, by more than chance explains?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from processor.prediction import glyphs
from processor.prediction.strips import Strip
from processor.records import Glyphs
from training import metrics
from training.inks import NONE, Inks, Labels
from training.strip_sets import StripSet

LEVEL = 0.05
"""So often may chance alone fail a candidate that is as good, for all digits of a set together."""


class Reader(Protocol):
    """What is judged: anything that scores glyphs (N, 1, 28, 28) by class, the ten digits first."""

    def logits(self, glyphs: Glyphs, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Two models on the same `count` samples: `lost` only the model in use had right, `won` the candidate.

    `chance` is how often as good a candidate would lose so many of those that differ; below `level` the
    gate is shut.
    """

    name: str
    count: int
    right: int
    right_before: int
    lost: int
    won: int
    chance: float
    level: float

    @property
    def passed(self) -> bool:
        return self.chance >= self.level

    def row(self) -> dict[str, Any]:
        """As it stands in the record."""
        fields = {
            key: getattr(self, key) for key in ("name", "count", "right", "right_before", "lost", "won")
        }
        return {
            **fields,
            "chance": round(self.chance, 6),
            "level": round(self.level, 6),
            "passed": self.passed,
        }

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.right} of {self.count} right, {self.right_before} by the model in use; "
            f"{self.lost} lost, {self.won} won (p = {self.chance:.2g}, refused below {self.level:.2g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What the model in use has and the candidate has not: a gate that is shut without a test."""

    name: str
    passed: bool = False

    def row(self) -> dict[str, Any]:
        """As it stands in the record."""
        return {"name": self.name, "passed": self.passed}

    def __str__(self) -> str:
        return f"{self.name}: the model in use has it, this one has none"


class Read(Protocol):
    """A reading of a strip."""

    @property
    def digits(self) -> str: ...


class ReadsStrips(Protocol):
    """What reads whole numbers: a second reader, or three lines in a test."""

    def read(self, strips: Sequence[Strip], /) -> Sequence[Read]: ...


def judge_strips(
    candidate: ReadsStrips | None, current: ReadsStrips | None, sets: Iterable[StripSet]
) -> list[Gate | Lack]:
    """The gate of the whole numbers of every set that is not empty; none where there is no reader in use.

    A candidate without a second reader reads every number once: where the model in use reads it twice, that
    is a loss that no set need show.
    """
    if current is None:
        return []
    if candidate is None:
        return [Lack(name="second reader")]
    gates: list[Gate | Lack] = []
    for strips in sets:
        if len(strips):
            right, before = _are_right(candidate, strips), _are_right(current, strips)
            gates.append(_gate(f"{strips.name}, whole numbers", right, before, LEVEL))
    return gates


class Sure(Protocol):
    """What says how sure it is: calibrated probabilities (N, classes) of glyphs, the ten digits first."""

    def probabilities(self, glyphs: Glyphs, /) -> NDArray[np.float32]: ...


def calibration(candidate: Sure, current: Sure, sets: Mapping[str, Inks]) -> list[str]:
    """How true the confidences of both models are on the digits of each set, a line each; it is no gate.

    Right as often, a model that is surer of its mistakes still lets more of them pass its thresholds.
    """
    lines = []
    for name, inks in sets.items():
        digits = inks.take(np.flatnonzero(inks.labels != NONE))
        if len(digits):
            images = glyphs.batch(digits.images)
            (error, chance), (before, _) = (
                _calibration(model, images, digits.labels) for model in (candidate, current)
            )
            lines.append(
                f"{name}, calibration error: {error:.2%}, {before:.2%} of the model in use "
                f"(for information; below {chance:.2%} it cannot be told from none)"
            )
    return lines


def _calibration(model: Sure, images: Glyphs, labels: Labels) -> tuple[float, float]:
    """The calibration error of a model, and what one with true confidences exceeds one time in twenty."""
    probabilities = model.probabilities(images)[:, :NONE]
    confidence = probabilities.max(axis=1)
    error = metrics.calibration_error(confidence, probabilities.argmax(axis=1) == labels)
    return error, metrics.calibration_floor(confidence)[1]


def judge(candidate: Reader, current: Reader, sets: Mapping[str, Inks]) -> list[Gate]:
    """The gates of every set that is not empty: all digits, each digit, and what is no digit."""
    gates: list[Gate] = []
    for name, inks in sets.items():
        if len(inks):
            images = glyphs.batch(inks.images)
            gates += compare(
                name,
                inks.labels,
                _is_right(candidate, images, inks.labels),
                _is_right(current, images, inks.labels),
            )
    return gates


def compare(
    name: str, labels: Labels, right: NDArray[np.bool_], right_before: NDArray[np.bool_]
) -> list[Gate]:
    """The gates of one set from what each model had right, all (N,).

    The level of all digits together and of the non-digits is `LEVEL`; that of each digit is divided by the
    number of digits, because ten looks find something ten times as often (O. J. Dunn, 1961).
    """
    gates = []
    parts = [("all digits", labels != NONE, LEVEL)]
    digits = [int(digit) for digit in np.unique(labels[labels != NONE])]
    parts += [(f"digit {digit}", labels == digit, LEVEL / len(digits)) for digit in digits]
    parts += [("no digit", labels == NONE, LEVEL)]
    for part, chosen, level in parts:
        if not chosen.any():
            continue
        gates.append(_gate(f"{name}, {part}", right[chosen], right_before[chosen], level))
    return gates


def _gate(name: str, right: NDArray[np.bool_], right_before: NDArray[np.bool_], level: float) -> Gate:
    lost, won = int((right_before & ~right).sum()), int((right & ~right_before).sum())
    return Gate(
        name=name,
        count=len(right),
        right=int(right.sum()),
        right_before=int(right_before.sum()),
        lost=lost,
        won=won,
        chance=chance_of(lost, won),
        level=level,
    )


def chance_of(lost: int, won: int) -> float:
    """How often at least `lost` of `lost` + `won` fair coins show heads: McNemar's exact test, one-sided.

    Samples that both models read alike say nothing about which is better; so the test is far sharper than
    two separate confidence intervals. Q. McNemar, "Note on the sampling error of the difference between
    correlated proportions or percentages" (1947); T. G. Dietterich, "Approximate statistical tests for
    comparing supervised classification learning algorithms" (1998). It cannot see a loss on fewer than five
    samples, and a row of small losses, each within chance, adds up unseen.
    """
    total = lost + won
    heads = sum(comb(total, k) for k in range(lost, total + 1))
    return float(heads / 2**total)


def _are_right(reader: ReadsStrips, strips: StripSet) -> NDArray[np.bool_]:
    found = reader.read(strips.strips)
    return np.array([r.digits == digits for r, digits in zip(found, strips.digits, strict=True)], np.bool_)


def _is_right(reader: Reader, images: Glyphs, labels: Labels) -> NDArray[np.bool_]:
    # A model may tell several kinds of non-digits: every class after the ten digits is "no digit".
    found = np.minimum(reader.logits(images).argmax(axis=1), NONE)
    return np.asarray(found == labels)
