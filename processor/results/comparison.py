"""Two readings of one scan side by side: which number stands where the other did, and what differs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from processor.errors import BadScan
from processor.records import Box, NumberReading, PageReading, Status

SAME_PLACE = 0.5
"""Two boxes that share this much of their union (the Jaccard index) hold the same number."""

TOUCHED = 0.2
"""A box with this share of itself inside another is, in part, the same writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A number as it was read before and as it is read now; `None` on the side where there is none."""

    page: int
    before: NumberReading | None
    after: NumberReading | None

    @property
    def change(self) -> str | None:
        """What differs: `appeared`, `vanished`, `text` or `status`; `None` where nothing does.

        A number that a person corrected has no status that a reading could share: its text alone counts.
        """
        if self.before is None or self.after is None:
            return "appeared" if self.before is None else "vanished"
        if self.before.text != self.after.text:
            return "text"
        by_a_person = self.before.status is Status.CORRECTED
        return None if by_a_person or self.before.status is self.after.status else "status"


def compare(before: Sequence[PageReading], after: Sequence[PageReading]) -> list[Pair]:
    """All numbers of two readings of the same scan, matched by their place, from top to bottom."""
    numbers_before = {page.page: page.numbers for page in before}
    numbers_after = {page.page: page.numbers for page in after}
    pairs: list[Pair] = []
    for page in sorted(numbers_before | numbers_after):
        found = list(_pairs(page, numbers_before.get(page, ()), numbers_after.get(page, ())))
        pairs += sorted(found, key=_place)
    return pairs


def tally(pairs: Sequence[Pair]) -> dict[str, int]:
    """The counts of a comparison; `numbers` are those that both readings have."""
    counts = Counter(pair.change for pair in pairs)
    moves = Counter((pair.before.status, pair.after.status) for pair in pairs if pair.before and pair.after)
    corrected = [pair for pair in pairs if pair.before and pair.before.status is Status.CORRECTED]
    return {
        "numbers": sum(moves.values()),
        "changed": counts["text"],
        "accepted_to_review": moves[Status.ACCEPTED, Status.REVIEW],
        "review_to_accepted": moves[Status.REVIEW, Status.ACCEPTED],
        "appeared": counts["appeared"],
        "vanished": counts["vanished"],
        "corrected": len(corrected),
        "corrected_read_otherwise": sum(pair.change is not None for pair in corrected),
    }


def keep_corrected(file: str, page: PageReading, corrected: Sequence[NumberReading]) -> PageReading:
    """`page` with the numbers `corrected` in the place of what was read there now.

    Raises BadScan where another number, or none, or several now stand where a person corrected one.
    """
    numbers = list(page.numbers)
    for kept in corrected:
        there = [i for i, number in enumerate(numbers) if _share(number.box, kept.box) >= TOUCHED]
        if len(there) != 1 or overlap(numbers[there[0]].box, kept.box) < SAME_PLACE:
            raise BadScan(
                f"{file}, page {page.page}: the number {kept.text}, which a person corrected, would not "
                "stand at its place in the new reading.",
                "The scan keeps the records it has.",
            )
        numbers[there[0]] = kept
    own = [digit.box for number in corrected for digit in number.digits]
    rejected = (blob for blob in page.rejected if all(overlap(blob.box, box) < SAME_PLACE for box in own))
    return replace(page, numbers=tuple(numbers), rejected=tuple(rejected))


def overlap(one: Box, other: Box) -> float:
    """The Jaccard index of two boxes: what they share over what they cover together, 0 to 1."""
    shared = _shared(one, other)
    union = one.width * one.height + other.width * other.height - shared
    return shared / union if union > 0 else 0.0


def _shared(one: Box, other: Box) -> int:
    width = min(one.right, other.right) - max(one.x, other.x)
    height = min(one.bottom, other.bottom) - max(one.y, other.y)
    return max(0, width) * max(0, height)


def _share(one: Box, other: Box) -> float:
    """How much of the smaller of two boxes lies inside the other, 0 to 1."""
    least = min(one.width * one.height, other.width * other.height)
    return _shared(one, other) / least if least > 0 else 0.0


def _pairs(page: int, before: Sequence[NumberReading], after: Sequence[NumberReading]) -> Iterator[Pair]:
    """Greedily, the best overlap first; numbers are few and boxes of one reading rarely overlap."""
    overlaps = (
        (overlap(old.box, new.box), i, j) for i, old in enumerate(before) for j, new in enumerate(after)
    )
    left, right = set(range(len(before))), set(range(len(after)))
    for share, i, j in sorted(overlaps, key=lambda entry: (-entry[0], *entry[1:])):
        if share >= SAME_PLACE and i in left and j in right:
            left.remove(i)
            right.remove(j)
            yield Pair(page=page, before=before[i], after=after[j])
    yield from (Pair(page=page, before=before[i], after=None) for i in sorted(left))
    yield from (Pair(page=page, before=None, after=after[j]) for j in sorted(right))


def _place(pair: Pair) -> tuple[int, int]:
    number = pair.before or pair.after
    return (number.box.y, number.box.x) if number else (0, 0)
