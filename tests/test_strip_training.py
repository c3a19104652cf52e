"""Numbers drawn for training say what they are, and a little training learns to read."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from processor.pages.cleaning import clean
from processor.prediction.ctc import ALPHABET, BLANK
from processor.prediction.strip_networks import PITCH
from processor.prediction.strips import DIGIT, HEIGHT
from processor.records import Gray, Page
from training.drawn import printed
from training.inks import Inks, collect
from training.strings import BASE, LABELLED, ROWS, Hands, Source, number, write
from training.strip_fit import (
    GROUP,
    UNKNOWN,
    WIDEST,
    StripBatches,
    StripPlan,
    guidance,
    strip_loss,
)
from training.strip_looks import Looks, restroked, ruled
from training.strip_sources import (
    LARGE_MARGIN,
    LARGE_ROWS,
    LARGER,
    KnownStrip,
    known_strips,
    trainable,
    whole_line,
)

SMALL: dict[str, Any] = {"widths": (8, 16, 16, 32), "dropout": 0.0}
PLAN = StripPlan(steps=6, batch=8, parameters=SMALL)


def fonts() -> Inks:
    return printed("0123456789", list(range(10)), "printed-digits")


@pytest.fixture(scope="module")
def hands() -> Hands:
    return Hands([Source(fonts(), 1.0)])


@pytest.fixture(scope="module")
def known() -> list[KnownStrip]:
    return known_strips((f"{text}.png", text, page(text)) for text in ("307", "41", "9265", "58"))


def page(text: str, *, ruling: bool = True) -> Page:
    """A cell with `text` on it, in a drawn font on paper, over a ruled line."""
    pixels = np.full((60, 40 + 26 * len(text)), 225, np.uint8)
    cv2.putText(pixels, text, (16, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 40, 3, cv2.LINE_AA)
    if ruling:
        pixels[54:56] = 120
    return Page(number=1, pixels=pixels, dpi=None)


def test_a_number_reads_as_its_digits_from_left_to_right(hands: Hands) -> None:
    rng = np.random.default_rng(1)
    for text in ("70", "-1.204,5", "33=", "#8"):
        written = write(text, hands.pick(rng), rng)
        assert written.text == "".join(c for c in text if c in LABELLED)
        assert written.ink.shape[0] == ROWS
        assert len(written.middles) == len(written.text)
        assert (np.diff(written.middles[:, 0]) > 0).all()
        assert written.middles[:, 0].max() < written.ink.shape[1]


def test_printed_digits_stand_on_one_line(hands: Hands) -> None:
    rng = np.random.default_rng(2)
    ink = write("170452", hands.pick(rng), rng).ink
    columns = np.flatnonzero((ink > 0.5).any(axis=0))
    lowest = [ROWS - 1 - int((ink[::-1, column] > 0.5).argmax()) for column in columns]
    assert abs(max(lowest) - BASE) <= 3


def test_handwritten_digits_touch_now_and_then() -> None:
    handwritten = replace(fonts(), source="pens")
    hands = Hands([Source(handwritten, 1.0)])
    rng = np.random.default_rng(3)
    pieces = []
    for _ in range(60):
        ink = write("888", hands.pick(rng), rng).ink
        pieces.append(cv2.connectedComponents((ink > 0.35).view(np.uint8))[0] - 1)
    assert min(pieces) < 3
    assert np.median(pieces) == 3


def test_numbers_have_all_kinds_of_parts() -> None:
    rng = np.random.default_rng(4)
    texts = [number(rng) for _ in range(600)]
    assert set("".join(texts)) == set("0123456789.,-=:/#")
    assert {len([c for c in text if c.isdigit()]) for text in texts} == set(range(1, 9))
    assert any(re.fullmatch(r"[0-9]{1,3}([.][0-9]{3}){2}", text) for text in texts)


def test_a_hand_without_a_digit_borrows_it() -> None:
    few = fonts()
    few = few.take(np.flatnonzero(few.labels != 7))
    hand = Hands([Source(fonts(), 0.0), Source(few, 1.0)]).pick(np.random.default_rng(0))
    assert all(len(images) for images in hand.digits)


def test_digits_that_nobody_has_are_told() -> None:
    few = fonts()
    with pytest.raises(ValueError, match="no 7 among the digits"):
        Hands([Source(few.take(np.flatnonzero(few.labels != 7)), 1.0)])
    with pytest.raises(ValueError, match="at least one source"):
        Hands([Source(collect("nothing", [], [], []), 1.0)])


def drawn(hands: Hands, count: int, seed: int = 0) -> list[tuple[Gray, str, NDArray[np.float64]]]:
    rng, looks = np.random.default_rng(seed), Looks()
    found = []
    for _ in range(count):
        written = write(number(rng), hands.pick(rng), rng)
        strip, middles = looks.drawn(written, hands, rng)
        found.append((strip, written.text, middles))
    return found


def test_drawn_strips_have_ink_and_characters_within(hands: Hands) -> None:
    for strip, text, middles in drawn(hands, 80):
        assert strip.dtype == np.uint8
        assert strip.shape[:2] == (2, HEIGHT)
        assert strip[0].max() > 200
        assert len(middles) == len(text)
        assert middles.max() < strip.shape[2]


def test_the_middles_are_where_the_digits_stand(hands: Hands) -> None:
    """In most strips: a neighbour's strokes may stand between two digits, and a wave may move them."""
    inked = [
        strip[0, :, max(0, int(x) - 6) : int(x) + 7].max() > 100
        for strip, _, middles in drawn(hands, 60)
        for x in middles
    ]
    assert np.mean(inked) > 0.97


def test_the_same_generator_draws_the_same(hands: Hands) -> None:
    for (one, _, _), (other, _, _) in zip(drawn(hands, 10), drawn(hands, 10), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_pen_is_so_fine_that_digits_vanish() -> None:
    rng = np.random.default_rng(6)
    thin = np.zeros((ROWS, 60), np.float32)
    cv2.line(thin, (20, 20), (40, 60), 1.0, 1, cv2.LINE_AA)
    for bold in (False, True):
        for _ in range(40):
            assert restroked(thin, 44.0, rng, bold=bold).sum() > 10


def test_forms_lines_come_under_and_beside_numbers() -> None:
    rng = np.random.default_rng(7)
    many = np.mean([ruled((ROWS, 200), 44.0, rng) > 0.4 for _ in range(300)], axis=0)
    assert many[int(BASE) - 3 : int(BASE) + 4].mean() > 2 * many[int(BASE) - 30 : int(BASE) - 14].mean()
    assert many[:, -24:].mean() > many[:, 60:140].mean()


def test_strips_are_found_on_their_pages(known: Sequence[KnownStrip]) -> None:
    assert [strip.digits for strip in known] == ["307", "41", "9265", "58"]
    for strip in known:
        pixels = strip.strip.pixels
        rows = np.flatnonzero((pixels[0] > 127).any(axis=1))
        assert abs((rows[-1] - rows[0] + 1) - DIGIT) <= 4
        assert pixels[1].astype(int).sum() > pixels[0].astype(int).sum()
        assert strip.large.shape[:2] == (2, LARGE_ROWS)


def test_a_strip_without_writing_is_named() -> None:
    heard: list[str] = []
    blank = Page(number=1, pixels=np.full((60, 120), 230, np.uint8), dpi=None)
    assert known_strips([("blank.png", "12", blank)], heard.append) == []
    assert heard == ["blank.png: no writing is found on it."]


def test_digits_far_apart_are_one_line() -> None:
    pixels = np.full((60, 400), 225, np.uint8)
    for x in (20, 330):
        cv2.putText(pixels, "8", (x, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 40, 3, cv2.LINE_AA)
    paper = clean(Page(number=1, pixels=pixels, dpi=None))
    place = whole_line(paper)
    assert place is not None
    assert place.right - place.left > 300 * paper.scale


def test_real_strips_are_written_anew(known: Sequence[KnownStrip]) -> None:
    rng, looks = np.random.default_rng(8), Looks()
    first, second = (looks.real(known[0].large, LARGER * DIGIT, LARGE_MARGIN, rng) for _ in range(2))
    assert first.shape[:2] == second.shape[:2] == (2, HEIGHT)
    assert first.shape != second.shape or not np.array_equal(first, second)
    assert 0.5 < first.shape[2] / known[0].strip.width < 2


def test_strips_that_teach_nothing_are_left_out(known: Sequence[KnownStrip]) -> None:
    assert trainable([known[0], replace(known[0], digits=""), replace(known[0], digits="1" * 99)]) == [
        known[0]
    ]


def test_a_batch_depends_on_the_seed_and_its_number(hands: Hands, known: Sequence[KnownStrip]) -> None:
    one, other = (StripBatches(hands, [(known, 0.5)], PLAN) for _ in range(2))
    assert len(one) == 2
    for mine, theirs in zip(one[1], other[1], strict=True):
        assert torch.equal(mine.strips, theirs.strips)
        assert mine.texts == theirs.texts
    assert not torch.equal(one[0][0].guides[:, :9], one[1][0].guides[:, :9])
    with pytest.raises(IndexError):
        one[2]


def test_batches_are_what_the_network_takes(hands: Hands, known: Sequence[KnownStrip]) -> None:
    group = StripBatches(hands, [(known, 0.5)], PLAN)[0]
    assert len(group) == GROUP
    for batch in group:
        count, planes, height, width = batch.strips.shape
        assert (count, planes, height) == (PLAN.batch, 2, HEIGHT)
        assert width <= WIDEST
        assert batch.guides.shape == (count, width // PITCH)
        for text, real, guides in zip(batch.texts, batch.real, batch.guides, strict=True):
            told = [int(g) for g in guides if g not in (UNKNOWN, BLANK)]
            assert real == (not told)
            assert real or "".join(ALPHABET[c - 1] for c in told) == text or len(told) < len(text)
    assert any(batch.real.any() for batch in group)
    assert any((~batch.real).any() for batch in group)


@pytest.mark.parametrize("share", [-0.1, 1.2])
def test_shares_must_add_up(hands: Hands, known: Sequence[KnownStrip], share: float) -> None:
    with pytest.raises(ValueError, match="shares"):
        StripBatches(hands, [(known, share)], PLAN)


def logits_of(text: str, columns: int = 12) -> torch.Tensor:
    """(1, T, 14) that say `text`, a blank between any two characters."""
    found = torch.zeros(1, columns, 1 + len(ALPHABET))
    found[0, :, BLANK] = 8.0
    for place, character in enumerate(text):
        found[0, 2 * place + 1, ALPHABET.index(character) + 1] = 16.0
    return found


def test_the_loss_is_small_for_what_is_written_alone() -> None:
    drawn, wrong = np.array([False]), logits_of("4,3")
    right = strip_loss(logits_of("4,2"), ["4,2"], drawn)
    assert right < 0.1
    assert strip_loss(wrong, ["4,2"], drawn) > right + 1


def test_of_real_strips_separators_are_nobodys_truth() -> None:
    real = np.array([True])
    assert strip_loss(logits_of("4,2"), ["42"], real) < 0.1
    assert strip_loss(logits_of("42"), ["42"], real) < 0.1
    assert strip_loss(logits_of("4,2"), ["42"], ~real) > 1


def test_guidance_is_about_the_columns_that_are_told() -> None:
    guides = torch.full((1, 12), UNKNOWN)
    assert guidance(logits_of("4"), guides) == 0
    guides[0, 1] = ALPHABET.index("4") + 1
    assert guidance(logits_of("4"), guides) < 0.01 < 1 < guidance(logits_of("5"), guides)
