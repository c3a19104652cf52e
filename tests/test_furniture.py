"""Cut-outs of ruled lines: from pages without their writing, and drawn."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.records import Page
from training.furniture import ruling_cutouts
from training.inks import NONE


def form(lines: bool = True) -> Page:
    """A page of 800 × 600 px with a ruled table and a few figures in it."""
    paper = np.full((600, 800), 245, np.uint8)
    for y in range(60, 560, 80) if lines else ():
        cv2.line(paper, (40, y), (760, y), 40, 2)
    for x in range(40, 761, 120) if lines else ():
        cv2.line(paper, (x, 60), (x, 540), 40, 2)
    for n in range(5):
        cv2.putText(paper, str(n + 2), (70 + 120 * n, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 20, 3)
    return Page(number=1, pixels=paper, dpi=None)


def rng(seed: int = 2) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("count", [0, 1, 57])
def test_so_many_as_asked_for_are_drawn_and_none_is_blank_or_a_digit(count: int) -> None:
    inks = ruling_cutouts(count, rng())
    assert len(inks) == count
    assert set(inks.labels.tolist()) <= {NONE}
    assert all(image.any() for image in inks.images)
    assert len(set(inks.groups.tolist())) == count


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 30))
def test_one_seed_gives_the_same_cutouts(seed: int) -> None:
    assert ruling_cutouts(9, rng(seed)).digest() == ruling_cutouts(9, rng(seed)).digest()


def test_half_is_cut_from_the_pages_and_a_page_is_a_group() -> None:
    inks = ruling_cutouts(40, rng(), [form(), form()])
    assert len(inks) == 40
    assert np.bincount(inks.groups)[:2].tolist() == [10, 10]


def test_cutouts_of_a_page_hold_lines_from_edge_to_edge_and_no_writing() -> None:
    inks = ruling_cutouts(60, rng(), [form()])
    cut = [image for image, group in zip(inks.images, inks.groups, strict=True) if group == 0]
    assert len(cut) == 30
    for image in cut:
        ink = image > 60
        assert ink[:, 0].any() or ink[:, 1].any()
        assert ink[:, -1].any() or ink[:, -2].any()
        # The figures' pen is thicker than the lines: no square of its width is inked, but at crossings.
        solid = cv2.erode(ink.view(np.uint8), np.ones((5, 5), np.uint8))
        assert solid.sum() <= 4


def test_a_page_without_lines_gives_none_and_the_rest_is_drawn() -> None:
    inks = ruling_cutouts(10, rng(), [form(lines=False)])
    assert len(inks) == 10
    assert 0 not in inks.groups


def test_a_blank_page_and_a_tiny_one_are_no_fault() -> None:
    pages = [Page(number=1, pixels=np.full(shape, 255, np.uint8), dpi=None) for shape in ((300, 200), (3, 2))]
    assert len(ruling_cutouts(6, rng(), pages)) == 6
