"""Decoding: checked against the sum over every path, on strips short enough to count them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.prediction import ctc
from processor.prediction.ctc import ALPHABET, BLANK, Columns


def columns_of(rows: list[dict[str, float]]) -> Columns:
    """(T, 14) log-probabilities: what each column gives to each character; `_`, blank, gets the rest."""
    found = np.full((len(rows), 1 + len(ALPHABET)), 1e-6)
    for row, chances in zip(found, rows, strict=True):
        row[BLANK] = max(1e-6, 1 - sum(chances.values()))
        for character, chance in chances.items():
            row[BLANK if character == "_" else ALPHABET.index(character) + 1] = chance
    return np.asarray(np.log(found / found.sum(axis=1, keepdims=True)), np.float32)


def at_random(seed: int, count: int, sharpness: float = 2.0) -> Columns:
    logits = np.random.default_rng(seed).normal(0, sharpness, (count, 11))
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), np.float32)


def only(columns: Columns, kept: set[int]) -> Columns:
    """`columns` with all but the `kept` labels impossible, so that every path can be counted."""
    some = np.full_like(columns, -np.inf)
    some[:, sorted(kept)] = columns[:, sorted(kept)]
    return some


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_strings_probability_is_the_sum_over_its_paths(seed: int, count: int) -> None:
    columns = only(at_random(seed, count), {BLANK, 1, 2, 3})
    counted: dict[str, float] = {}
    for path in product((BLANK, 1, 2, 3), repeat=count):
        text = "".join(str(c - 1) for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c))
        counted[text] = counted.get(text, 0.0) + float(np.exp(sum(columns[i, c] for i, c in enumerate(path))))
    for text, chance in counted.items():
        assert np.exp(ctc.log_probability(columns, text)) == pytest.approx(chance, rel=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_beam_never_promises_more_than_the_sum(seed: int, count: int) -> None:
    columns = at_random(seed, count)
    for digits, score in ctc.beam(columns):
        assert score <= ctc.log_probability(columns, digits) + 1e-4


def test_the_beam_finds_what_no_single_path_shows() -> None:
    """Blank is the likeliest in both columns, and still a 7 is likelier than nothing: it has three paths."""
    columns = ctc.digits_only(columns_of([{"_": 0.6, "7": 0.4}, {"_": 0.6, "7": 0.4}]))
    assert ctc.greedy(columns) == ""
    assert ctc.beam(columns)[0][0] == "7"
    assert np.exp(ctc.beam(columns)[0][1]) == pytest.approx(0.64, abs=0.01)


def test_a_digit_that_stays_is_one_and_a_blank_makes_it_two() -> None:
    stays = ctc.digits_only(columns_of([{"1": 0.9}, {"1": 0.9}, {"1": 0.9}]))
    parted = ctc.digits_only(columns_of([{"1": 0.9}, {"_": 0.9}, {"1": 0.9}]))
    assert (ctc.greedy(stays), ctc.beam(stays)[0][0]) == ("1", "1")
    assert (ctc.greedy(parted), ctc.beam(parted)[0][0]) == ("11", "11")


def test_separators_are_blanks_to_who_reads_digits() -> None:
    columns = columns_of([{"1": 0.9}, {",": 0.9}, {"1": 0.9}])
    assert ctc.beam(ctc.digits_only(columns))[0][0] == "11"
    assert np.exp(ctc.digits_only(columns)).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_digits_stand_where_their_columns_are() -> None:
    rows = [{"_": 0.9}, {"4": 0.9}, {"4": 0.7, "_": 0.3}, {"_": 0.9}, {"2": 0.8}, {"_": 0.9}]
    first, second = ctc.align(ctc.digits_only(columns_of(rows)), "42")
    assert (first.first, first.last, second.first, second.last) == (1, 3, 4, 5)
    assert first.confidence == pytest.approx(0.9, abs=0.01)
    assert second.confidence == pytest.approx(0.8, abs=0.01)


def test_a_string_longer_than_the_strip_has_no_place() -> None:
    columns = ctc.digits_only(columns_of([{"1": 0.9}, {"1": 0.9}]))
    assert ctc.log_probability(columns, "11") < -1e9
    with pytest.raises(ValueError, match="2 columns cannot spell '11'"):
        ctc.align(columns, "11")


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_is_read_where_nothing_stands(count: int) -> None:
    columns = ctc.digits_only(columns_of([{"_": 1.0}] * count))
    assert ctc.greedy(columns) == ""
    assert ctc.beam(columns)[0][0] == ""
    assert ctc.align(columns, "") == []
    assert ctc.log_probability(columns, "") == pytest.approx(0.0, abs=1e-3)


def written(rows: list[dict[str, float]], digits: str) -> str:
    columns = columns_of(rows)
    return ctc.written(digits, ctc.signs(columns, ctc.align(ctc.digits_only(columns), digits)))


def test_a_number_is_told_as_it_is_written() -> None:
    assert written([{"1": 0.9}, {".": 0.9}, {"2": 0.9}, {",": 0.8}, {"5": 0.9}], "125") == "1.2,5"
    assert written([{"-": 0.9}, {"3": 0.9}], "3") == "-3"


def test_a_dash_within_or_behind_a_number_is_no_minus_and_a_faint_comma_none() -> None:
    assert written([{"1": 0.9}, {"-": 0.9}, {"2": 0.9}], "12") == "12"
    assert written([{"1": 0.9}, {"2": 0.9}, {"-": 0.9}], "12") == "12"
    assert written([{".": 0.9}, {"2": 0.9}, {",": 0.9}], "2") == "2"
    assert written([{"1": 0.9}, {",": 0.3, "_": 0.6}, {"2": 0.9}], "12") == "12"


def test_a_mark_may_be_seen_as_a_bit_of_a_point_and_of_a_comma() -> None:
    columns = columns_of([{"1": 0.9}, {".": 0.5, ",": 0.4}, {".": 0.6}, {"2": 0.9}])
    first, second = ctc.signs(columns, ctc.align(ctc.digits_only(columns), "12"))
    assert [first.separator, first.dash] == pytest.approx([0.0, 0.0], abs=0.05)
    assert [second.point, second.comma] == pytest.approx([0.5, 0.4], abs=0.05)
    assert second.separator == pytest.approx(0.9, abs=0.05)
