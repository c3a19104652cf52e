"""Words are told from numbers by their letters, by doubtful digits, and by their company."""

import re
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.records import Box, Cause, Rejection
from processor.rejection.text import (
    MOST_BY_LINE,
    MOST_BY_TYPE,
    Word,
    digit_evidence,
    judge_words,
    letter_evidence,
)
from processor.segmentation.blobs import Blob
from processor.words import Mark, Seen, split_words, without_words

UNLIKE = Rejection(Cause.UNLIKE_DIGIT, "likeness to a digit", 0.02, 0.5)
DASH = Rejection(Cause.MARK, "width to height", 4.0, 2.4)


def mark(
    x: int,
    digit: int = 1,
    *,
    sure: float = 0.99,
    rejection: Rejection | None = None,
    height: int = 40,
    stroke: int = 4,
) -> Mark:
    """A ring, `height` px high, that the network takes for `digit`."""
    drawn = np.zeros((height, height // 2), np.uint8)
    cv2.rectangle(drawn, (0, 0), (height // 2 - 1, height - 1), 1, stroke)
    probabilities = np.full(11, (1 - sure) / 10, np.float32)
    probabilities[digit] = sure
    seen = Seen(np.zeros((28, 28), np.float32), probabilities)
    return Mark(Blob(Box(x, 100, height // 2, height), drawn.astype(np.bool_)), seen, 1.0, rejection)


def run(text: str, x: int = 0, *, sure: float = 0.99, height: int = 40, stroke: int = 4) -> list[Mark]:
    """Marks side by side; a letter of `text` is like no digit."""
    step = round(0.75 * height)
    return [
        mark(
            x + i * step,
            int(char) if char.isdigit() else 0,
            sure=sure if char.isdigit() else 0.02,
            rejection=None if char.isdigit() else UNLIKE,
            height=height,
            stroke=stroke,
        )
        for i, char in enumerate(text)
    ]


def read(*lines: Sequence[Mark], height: float = 40) -> list[str]:
    """The digits of each line that are left."""
    found = without_words(lines, [height] * len(lines))
    return ["".join(str(m.seen.digit) for m in marks if not m.rejection and m.seen) for marks in found]


@pytest.mark.parametrize(
    "number", ["1", "7", "10", "110", "2026", "30928970", "1111", "50x0", "x123", "46kg"]
)
def test_numbers_stay(number: str) -> None:
    assert read(run(number)) == ["".join(c for c in number if c.isdigit())]


@pytest.mark.parametrize("word", ["xx11", "xx1xx", "1xx0x", "x0x", "5xxx5", "1n01ce", "80tt1e5"])
def test_words_go(word: str) -> None:
    assert read(run(word)) == [""]


def test_a_run_of_doubtful_digits_is_a_word_where_sure_ones_are_a_number() -> None:
    assert read(run("110817", sure=0.55)) == [""]
    assert read(run("110817", sure=0.98)) == ["110817"]


def test_a_word_goes_with_every_character_and_each_tells_that_it_was_text() -> None:
    dash = replace(mark(160), rejection=DASH)
    [found] = without_words([[*run("1xxx0"), dash]], [40.0])
    assert [m.rejection.cause for m in found if m.rejection] == [Cause.TEXT] * 5 + [Cause.MARK]
    assert re.fullmatch(r"text: [\d.]+ nats for a word, limit 0", str(found[0].rejection))


def test_the_page_tells_what_two_ones_are() -> None:
    labels = [run(text, height=24, stroke=2) for text in ("nxme", "p1ace", "0rder", "date", "1ine") * 3]
    printed, written = run("11", height=24, stroke=2), run("11", height=50, stroke=5)
    assert read(*labels, printed, written, height=30)[-2:] == ["", "11"]


def test_the_line_tells_what_a_one_is() -> None:
    words = [run("xxx", 140 * i) for i in range(5)]
    prose = [*words[0], *words[1], *run("1", 300), *words[3], *words[4]]
    assert read(prose, run("4", height=70), run("5", height=70)) == ["", "4", "5"]


def test_a_long_number_in_prose_is_read() -> None:
    prose = [*run("xxx"), *run("2034", 200), *run("xxxx", 400)]
    assert read(prose) == ["2034"]


def test_numbers_keep_one_of_them_that_is_doubtful() -> None:
    numbers = [run(text) for text in ("382", "94", "2736", "55", "648")]
    assert read(*numbers, run("x01", sure=0.97))[-1] == "01"


def test_the_order_of_lines_and_marks_is_kept() -> None:
    lines = [[*run("12"), *run("xxxx", 200)], run("345")]
    found = without_words(lines, [40.0, 40.0])
    assert [[m.blob for m in line] for line in found] == [[m.blob for m in line] for line in lines]


def test_an_empty_page_has_no_words() -> None:
    assert judge_words([]) == []
    assert without_words([], []) == []
    assert without_words([[]], [40.0]) == [[]]


def test_words_are_cut_at_wide_gaps() -> None:
    assert [len(word) for word in split_words([*run("12"), *run("345", 100)], 40)] == [2, 3]


def test_a_small_mark_like_no_digit_is_no_letter() -> None:
    assert letter_evidence(1.0) == letter_evidence(1.4) > 4 * letter_evidence(0.2)


@given(st.integers(0, 9), st.floats(0, 1), st.floats(0, 1))
def test_the_surer_a_digit_the_less_it_speaks_for_a_word(digit: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert digit_evidence(digit, low) >= digit_evidence(digit, high)


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 3), st.floats(8, 60), st.floats(1, 6)), max_size=12)
)
def test_company_never_outweighs_a_clear_word_or_number(words: list[tuple[float, int, float, float]]) -> None:
    clear = 2 * (MOST_BY_LINE + MOST_BY_TYPE) + 1
    page = [Word(*word) for word in words]
    judged = judge_words([Word(clear, 0, 20, 3), Word(-clear, 0, 20, 3), *page])
    assert judged[0] is not None
    assert judged[1] is None
