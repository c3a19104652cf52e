"""Spelling: dynamic programming against the enumeration of every way to join, read and leave out."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.segmentation.spelling import Step, all_ways, spell

Cut = list[float]
Lattice = tuple[int, list[Step], Cut]
Way = tuple[float, str, tuple[int, ...]]
"""What a way to read costs, what it spells, and the steps that are its digits."""

COSTS = st.floats(0.0, 12.0)


@st.composite
def lattices(draw: st.DrawFn, most: int = 4) -> Lattice:
    """Up to four parts and steps over them, in any order; nothing says that they can be read at all."""
    count = draw(st.integers(1, most))
    spans = [(start, stop) for start in range(count) for stop in range(start + 1, count + 1)]
    rows = st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).uniform(0, 12, 10))
    steps = [
        Step(start, stop, draw(st.none() | rows), draw(st.none() | COSTS))
        for start, stop in draw(st.permutations(spans))
        if draw(st.booleans())
    ]
    return count, steps, [0.0, *(draw(st.sampled_from([0.0, 1.5])) for _ in range(count - 1))]


def routes(count: int, steps: Sequence[Step], start: int = 0) -> Iterator[tuple[int, ...]]:
    """The numbers of the steps of every way from one end to the other."""
    if start == count:
        yield ()
    for number, step in enumerate(steps):
        if step.start == start:
            yield from ((number, *rest) for rest in routes(count, steps, step.stop))


def ways(lattice: Lattice, digits: str | None = None) -> Iterator[Way]:
    """Every way to read the lattice; with `digits`, those that spell them."""
    count, steps, cuts = lattice
    for route in routes(count, steps):
        options = []
        for number in route:
            step, cut = steps[number], cuts[steps[number].start]
            junk: list[Way] = [] if step.junk is None else [(cut + step.junk, "", ())]
            costs = [] if step.digits is None else step.digits.tolist()
            options.append(junk + [(cut + cost, str(digit), (number,)) for digit, cost in enumerate(costs)])
        if digits is None:
            yield from (_joined(way) for way in product(*options))
            continue
        begun: list[Way] = [(0.0, "", ())]
        for choices in options:
            begun = [_joined(pair) for pair in product(begun, choices)]
            begun = [way for way in begun if digits.startswith(way[1])]
        yield from (way for way in begun if way[1] == digits)


def _joined(parts: Sequence[Way]) -> Way:
    costs, texts, taken = zip(*parts, strict=True)
    return sum(costs), "".join(texts), tuple(number for some in taken for number in some)


@settings(max_examples=60)
@given(lattices(), st.text("012", max_size=4))
def test_the_cost_is_that_of_the_cheapest_way(lattice: Lattice, digits: str) -> None:
    found, brute = spell(*lattice, digits), list(ways(lattice, digits))
    assert (found is None) == (not brute)
    if found is not None:
        assert found.cost == pytest.approx(min(cost for cost, _, _ in brute), abs=1e-9)
        assert any(
            taken == found.taken and cost == pytest.approx(found.cost, abs=1e-9) for cost, _, taken in brute
        )


@settings(max_examples=50)
@given(lattices(), st.text("0123456789", max_size=4))
def test_each_digit_is_a_step_of_its_own_from_left_to_right(lattice: Lattice, digits: str) -> None:
    count, steps, cuts = lattice
    found = spell(count, steps, cuts, digits)
    if found is not None:
        taken = [steps[number] for number in found.taken]
        assert len(taken) == len(digits)
        assert all(step.digits is not None for step in taken)
        assert all(before.stop <= after.start for before, after in pairwise(taken))


@settings(max_examples=40)
@given(lattices(most=3))
def test_all_ways_are_the_sum_of_every_way(lattice: Lattice) -> None:
    brute = [-cost for cost, _, _ in ways(lattice)]
    expected = float(np.logaddexp.reduce(brute)) if brute else -math.inf
    assert all_ways(*lattice) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50)
@given(lattices(most=3), st.text("0123456789", max_size=3))
def test_no_string_is_likelier_than_all_ways_together(lattice: Lattice, digits: str) -> None:
    found = spell(*lattice, digits)
    assert found is None or -found.cost <= all_ways(*lattice) + 1e-9


@settings(max_examples=50)
@given(lattices(), st.text("0123456789", max_size=4))
def test_the_order_of_the_steps_does_not_matter(lattice: Lattice, digits: str) -> None:
    count, steps, cuts = lattice
    one, other = spell(count, steps, cuts, digits), spell(count, steps[::-1], cuts, digits)
    assert (one and one.cost) == pytest.approx(other and other.cost, abs=1e-9)
    assert all_ways(count, steps, cuts) == pytest.approx(all_ways(count, steps[::-1], cuts), abs=1e-9)


def row(digit: int, cost: float = 0.1) -> np.ndarray:
    """Costs of a mark that looks like `digit`."""
    costs = np.full(10, 6.0)
    costs[digit] = cost
    return costs


def test_a_blob_is_spelled_whole_or_in_two_as_the_string_wants() -> None:
    steps = [Step(0, 2, row(8), 4.0), Step(0, 1, row(3), 4.0), Step(1, 2, row(5), 4.0)]
    whole, cut = spell(2, steps, [0.0, 1.5], "8"), spell(2, steps, [0.0, 1.5], "35")
    assert whole is not None
    assert cut is not None
    assert whole.taken == (0,)
    assert whole.cost == pytest.approx(0.1)
    assert cut.taken == (1, 2)
    assert cut.cost == pytest.approx(0.1 + 1.5 + 0.1)


def test_more_digits_than_parts_cannot_be_spelled() -> None:
    assert spell(1, [Step(0, 1, row(1), 4.0)], [0.0], "11") is None


def test_a_part_that_can_be_nothing_stands_in_the_way() -> None:
    steps = [Step(0, 1, row(1), None), Step(1, 2, None, None)]
    assert spell(2, steps, [0.0, 0.0], "1") is None
    assert all_ways(2, steps, [0.0, 0.0]) == -math.inf


def test_no_digits_are_everything_left_out() -> None:
    steps = [Step(0, 1, row(1), 4.0), Step(1, 2, row(2), 3.0)]
    found = spell(2, steps, [0.0, 0.5], "")
    assert found is not None
    assert (found.cost, found.taken) == (7.5, ())


def test_no_parts_spell_nothing_but_nothing() -> None:
    nothing = spell(0, [], [], "")
    assert nothing is not None
    assert (nothing.cost, nothing.taken) == (0.0, ())
    assert spell(0, [], [], "1") is None
    assert all_ways(0, [], []) == 0.0
