"""What the two readings of a number say together: of the strings that either finds likely, the likeliest."""

import math
from dataclasses import dataclass

from processor.prediction.strip_reader import StripReading
from processor.regions import Region
from processor.segmentation.spelling import Spelling, all_ways, spell

WEIGHT = 0.3
"""How much the first reading's log-probability counts beside the second's.

It multiplies what the network says of each digit as if these were independent, and so is far too sure.
"""

CHOICE = 0.5
"""... and how much where strings are compared: it sees the 1 at an end of a number that the second loses.

What is chosen against the belief of both together has less than half of it, and goes to review.
"""

WORST = -8.0
"""The first reading's log-probability counts for no less: one bad cut makes any string unlikely."""

STRINGS = 5
"""So many of the second reading's likeliest strings are weighed."""

LEAST_DOUBT = 1e-6
"""Nothing is surer than this leaves room for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The digits that both readings together find likeliest, how likely they are, and how they are cut.

    `first` is the probability of the first reading's string by its own account; None where it spells none.
    """

    digits: str
    probability: float
    spelling: Spelling | None
    first: float | None = None


def weigh(region: Region, reading: StripReading) -> Verdict:
    """Of the strings that either reading finds likely, the one that both together do.

    That there is no digit at all is no verdict where either sees one, but makes it less likely.
    """
    first = "".join(str(mark.seen.digit) for mark in region.digits if mark.seen)
    strings = dict([(reading.digits, reading.log_probability), *reading.others[: STRINGS - 1]])
    if first not in strings:
        strings[first] = reading.score(first)
    steps, cuts = region.steps, region.proposals.cuts[region.first : region.stop]
    count = region.stop - region.first
    total = all_ways(count, steps, cuts)
    spellings = {digits: spell(count, steps, cuts, digits) for digits in strings}
    seen = {
        digits: max(WORST, -found.cost - total if (found := spellings[digits]) else WORST)
        for digits in strings
    }
    written = [digits for digits in strings if digits]
    if not written:
        return Verdict("", 0.0, None)
    best = max(written, key=lambda digits: strings[digits] + max(CHOICE * seen[digits], WEIGHT * WORST))
    believed = {digits: math.exp(strings[digits] + WEIGHT * seen[digits]) for digits in strings}
    # What no string here accounts for is as unlikely to the first reading as anything can be.
    rest = max(LEAST_DOUBT, 1 - sum(math.exp(p) for p in strings.values())) * math.exp(WEIGHT * WORST)
    own = spellings[first]
    alone = math.exp(min(0.0, -own.cost - total)) if own else None
    return Verdict(best, believed[best] / (sum(believed.values()) + rest), spellings[best], alone)
