"""Blobs, seams, hypotheses, the lattice and the layout, on strokes drawn by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processor.records import Box
from processor.segmentation.blobs import Blob, crop, find_blobs, margin_of, surroundings, union
from processor.segmentation.hypotheses import Part, cuts, propose
from processor.segmentation.lattice import Hypothesis, best_path
from processor.segmentation.layout import group_lines, may_lack_digits, reading_order, split_numbers
from processor.segmentation.splitting import split, stroke_width

masks = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).random((24, 32)) > 0.7)


def touching_zeros() -> NDArray[np.bool_]:
    image = np.zeros((60, 90), np.uint8)
    cv2.ellipse(image, (24, 30), (16, 24), 0, 0, 360, 1, 4)
    cv2.ellipse(image, (60, 30), (16, 24), 0, 0, 360, 1, 4)
    cv2.line(image, (38, 30), (46, 30), 1, 4)
    return image.astype(np.bool_)


@settings(max_examples=50, deadline=None)
@given(masks)
def test_every_ink_pixel_is_in_exactly_one_blob(mask: NDArray[np.bool_]) -> None:
    cover = np.zeros(mask.shape, int)
    for blob in find_blobs(mask, least_side=1):
        b = blob.box
        cover[b.y : b.bottom, b.x : b.right] += blob.mask
    assert np.array_equal(cover, mask.astype(int))


@settings(max_examples=25, deadline=None)
@given(masks)
def test_a_union_holds_all_ink(mask: NDArray[np.bool_]) -> None:
    blobs = find_blobs(mask, least_side=1)
    if blobs:
        assert union(blobs).area == mask.sum()


def test_small_blobs_are_left_out() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[2:4, 2:4] = mask[10:18, 10:12] = True
    assert [b.box for b in find_blobs(mask, least_side=5)] == [Box(10, 10, 2, 8)]


def test_a_cut_out_shows_no_other_ink() -> None:
    mask = np.eye(8, dtype=np.bool_)
    ink = np.full((8, 8), 200, np.uint8)
    own, around = find_blobs(mask, 1)[0].cut_out(ink)
    margin = margin_of(Box(0, 0, 8, 8))
    assert np.array_equal(own[margin:-margin, margin:-margin] > 0, mask)
    assert own.sum() == 8 * 200
    assert (around[margin:-margin, margin:-margin] == 200).all()
    assert around.sum() == 64 * 200


@pytest.mark.parametrize("corner", [(0, 0), (40, 0), (0, 30), (40, 30), (20, 15)])
def test_a_cut_out_at_the_edge_is_blank_beyond_the_page(corner: tuple[int, int]) -> None:
    ink = np.arange(40 * 50, dtype=np.int64).reshape(40, 50).astype(np.uint8) | 1
    box = Box(*corner, 10, 10)
    margin = margin_of(box)
    padded = np.pad(ink, margin)
    expected = padded[box.y : box.bottom + 2 * margin, box.x : box.right + 2 * margin]
    np.testing.assert_array_equal(surroundings(ink, box), expected)


def test_nothing_left_of_a_crop_is_none() -> None:
    blob = Blob(Box(0, 0, 3, 3), np.eye(3, dtype=np.bool_))
    assert crop(blob, np.zeros((3, 3), np.bool_)) is None


@pytest.mark.parametrize("width", [2, 4, 8])
def test_stroke_width(width: int) -> None:
    image = np.zeros((80, 80), np.bool_)
    image[10:70, 40 : 40 + width] = True
    assert stroke_width(image) == pytest.approx(width, rel=0.3)


def test_a_touching_pair_is_cut_where_it_touches() -> None:
    blob = find_blobs(touching_zeros(), 1)[0]
    parts = split(blob, digit_height=48)
    assert len(parts) >= 2
    borders = [p.box.right for p in parts[:-1]]
    assert any(37 <= border <= 47 for border in borders)


def test_parts_share_no_pixel_and_lie_within_their_blob() -> None:
    blob = find_blobs(touching_zeros(), 1)[0]
    cover = np.zeros((60, 90), int)
    for part in split(blob, digit_height=48):
        b = part.box
        cover[b.y : b.bottom, b.x : b.right] += part.mask
    assert cover.max() == 1
    assert not (cover.astype(np.bool_) & ~touching_zeros()).any()


def test_a_solid_block_is_not_cut() -> None:
    block = Blob(Box(0, 0, 40, 40), np.ones((40, 40), np.bool_))
    assert split(block, digit_height=40) == [block]


def square(x: int, parent: int, height: int = 40) -> Part:
    return Part(Blob(Box(x, 0, 20, height), np.ones((height, 20), np.bool_)), parent)


def test_only_near_parts_are_joined() -> None:
    runs = {(c.start, c.stop) for c in propose([square(0, 0), square(22, 1), square(90, 2)], height=40)}
    assert runs == {(0, 1), (1, 2), (2, 3), (0, 2)}


def test_cuts_lie_between_parts_of_one_blob() -> None:
    assert cuts([square(0, 0), square(20, 0), square(40, 1)]) == [False, True, False]


def test_the_cheapest_path_wins() -> None:
    whole, left, right = Hypothesis(0, 2, 3.0), Hypothesis(0, 1, 0.5), Hypothesis(1, 2, 0.5)
    assert best_path(2, [whole, left, right], [0.0, 0.7]).best == [left, right]
    assert best_path(2, [whole, left, right], [0.0, 2.5]).best == [whole]


def test_the_posterior_is_the_share_of_all_paths() -> None:
    one, other = Hypothesis(0, 1, 0.0), Hypothesis(0, 1, float(np.log(3)), junk=True)
    assert best_path(1, [one, other], [0.0]).shares == pytest.approx([0.75, 0.25])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=8), st.integers(0, 2**31))
def test_a_path_covers_every_part_once(costs: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    hypotheses = [Hypothesis(i, i + 1, c) for i, c in enumerate(costs)]
    hypotheses += [Hypothesis(i, i + 2, float(rng.random() * 5)) for i in range(len(costs) - 1)]
    paths = best_path(len(costs), hypotheses, [0.0] * len(costs))
    assert [i for h in paths.best for i in range(h.start, h.stop)] == list(range(len(costs)))
    for part in range(len(costs)):
        shares = [s for h, s in zip(hypotheses, paths.shares, strict=True) if h.start <= part < h.stop]
        assert sum(shares) == pytest.approx(1)


def test_an_empty_line_has_an_empty_path() -> None:
    assert best_path(0, [], []).best == []


def row(y: int, xs: list[int], width: int = 20, height: int = 40) -> list[Box]:
    return [Box(x, y, width, height) for x in xs]


def test_rows_are_lines_and_far_columns_are_apart() -> None:
    boxes = row(0, [0, 30, 60]) + row(0, [300, 330]) + row(100, [0, 30])
    assert group_lines(boxes) == [[0, 1, 2], [5, 6], [3, 4]]


def test_a_point_joins_the_number_it_stands_in() -> None:
    boxes = [*row(0, [0, 30, 70, 100]), Box(55, 34, 6, 8)]
    assert group_lines(boxes) == [[0, 1, 4, 2, 3]]


def test_a_speck_far_below_stays_alone() -> None:
    assert group_lines([*row(0, [0, 30]), Box(20, 90, 5, 5)]) == [[0, 1], [2]]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300), st.integers(1, 60), st.integers(1, 90))),
)
def test_every_box_is_in_one_line_and_read_once(values: list[tuple[int, int, int, int]]) -> None:
    boxes = [Box(*v) for v in values]
    assert sorted(i for g in group_lines(boxes) for i in g) == list(range(len(boxes)))
    assert sorted(reading_order(boxes)) == list(range(len(boxes)))


OPEN = np.zeros((200, 400), np.bool_)


def test_numbers_are_split_at_wide_gaps() -> None:
    assert split_numbers(row(0, [0, 30, 60, 140, 170]), [], OPEN) == [[0, 1, 2], [3, 4]]
    assert split_numbers([], [], OPEN) == []


def ruled(*columns: int) -> NDArray[np.bool_]:
    mask = OPEN.copy()
    mask[:, list(columns)] = True
    return mask


def test_a_column_line_separates_numbers() -> None:
    boxes = row(0, [0, 30, 70, 100])
    assert split_numbers(boxes, [], OPEN) == [[0, 1, 2, 3]]
    assert split_numbers(boxes, [], ruled(60)) == [[0, 1], [2, 3]]


def test_boxes_of_one_digit_each_hold_one_number() -> None:
    boxes = row(0, [0, 60, 120, 180])
    assert split_numbers(boxes, [], OPEN) == [[0], [1], [2], [3]]
    assert split_numbers(boxes, [], ruled(40, 100, 160)) == [[0, 1, 2, 3]]


def test_wide_cells_of_one_digit_are_a_table_row() -> None:
    assert split_numbers(row(0, [0, 150, 300]), [], ruled(80, 230)) == [[0], [1], [2]]


def test_what_was_read_in_one_strip_is_one_number_where_it_is_near() -> None:
    unlike = [Box(0, 0, 20, 90), Box(30, 60, 20, 30), Box(60, 0, 20, 90), Box(200, 0, 20, 90)]
    assert split_numbers(unlike, [], OPEN) == [[0], [1], [2], [3]]
    assert split_numbers(unlike, [], OPEN, ["a", "a", "a", "a"]) == [[0, 1, 2], [3]]
    assert split_numbers(unlike, [], OPEN, ["a", "b", "b", "b"]) == [[0], [1, 2], [3]]
    assert split_numbers(unlike, [], OPEN, [None] * 4) == [[0], [1], [2], [3]]
    assert split_numbers(unlike, [], ruled(25), ["a"] * 4) == [[0, 1, 2], [3]]


def test_a_point_keeps_a_number_together() -> None:
    boxes = row(0, [0, 60])
    assert split_numbers(boxes, [], OPEN) == [[0], [1]]
    assert split_numbers(boxes, [Box(36, 34, 6, 6)], OPEN) == [[0, 1]]
    assert split_numbers(boxes, [Box(36, 2, 6, 6)], OPEN) == [[0], [1]]


def test_digits_of_other_sizes_and_levels_are_other_numbers() -> None:
    assert split_numbers([Box(0, 0, 20, 40), Box(30, 0, 40, 90)], [], OPEN) == [[0], [1]]
    assert split_numbers([Box(0, 0, 20, 40), Box(30, 30, 20, 40)], [], OPEN) == [[0], [1]]


def inside(boxes: list[Box]) -> list[Box]:
    """`boxes` away from the page's edge."""
    return [Box(b.x + 50, b.y + 50, b.width, b.height) for b in boxes]


NUMBER = inside(row(0, [0, 30]))


@pytest.mark.parametrize(
    ("mark", "lacks"),
    [
        (row(0, [62])[0], True),
        (row(0, [90])[0], False),
        (row(60, [62])[0], False),
        (row(32, [62], height=8)[0], False),
    ],
)
def test_a_number_with_something_unread_beside_it_may_lack_digits(mark: Box, lacks: bool) -> None:
    assert (may_lack_digits(NUMBER, inside([mark]), [], OPEN) is not None) == lacks


def test_a_digit_a_little_too_far_away_may_belong_to_a_number() -> None:
    assert may_lack_digits(NUMBER, [], inside(row(0, [100])), OPEN)
    assert not may_lack_digits(NUMBER, [], inside(row(0, [150])), OPEN)
    assert not may_lack_digits(NUMBER, [], inside(row(0, [100])), ruled(125))


def test_a_gap_with_room_for_a_digit_makes_a_number_doubtful() -> None:
    assert may_lack_digits(inside(row(0, [0, 30, 82])), [], [], OPEN)
    assert not may_lack_digits(inside(row(0, [0, 30, 70])), [], [], OPEN)


def test_the_cells_of_a_comb_part_nothing() -> None:
    piece = inside(row(0, [0, 60]))
    neighbour = inside(row(0, [120]))
    assert may_lack_digits(piece, [], neighbour, ruled(90, 150))
    assert not may_lack_digits(piece, [], [], ruled(90))


def test_a_number_at_the_edge_may_be_cut_off() -> None:
    assert may_lack_digits(row(50, [0, 30]), [], [], OPEN)
    assert not may_lack_digits(NUMBER, [], [], OPEN)


def test_reading_order_is_by_rows_then_columns() -> None:
    boxes = [Box(300, 5, 20, 40), Box(0, 0, 20, 40), Box(0, 100, 20, 40), Box(300, 95, 20, 40)]
    assert reading_order(boxes) == [1, 0, 2, 3]


def test_low_digits_stand_on_the_line_of_the_others() -> None:
    flat_two, four, three = Box(100, 119, 34, 21), Box(138, 95, 26, 45), Box(172, 100, 26, 40)
    boxes = [flat_two, four, three]
    assert group_lines(boxes) == [[0, 1, 2]]
    assert split_numbers(boxes, [], OPEN) == [[0, 1, 2]]
    raised = [Box(100, 96, 34, 21), four, three]
    assert split_numbers(raised, [], OPEN) == [[0], [1, 2]]


def test_ones_in_the_cells_of_a_comb_are_one_line() -> None:
    ones = [Box(100 + 62 * i, 100, 5, 40) for i in range(4)]
    assert group_lines(ones) == [[0, 1, 2, 3]]
    assert len(group_lines([Box(100 + 100 * i, 100, 5, 40) for i in range(4)])) == 4


def test_the_pieces_of_a_broken_digit_are_in_its_line() -> None:
    boxes = [Box(60, 100, 24, 40), Box(100, 122, 24, 18), Box(104, 100, 16, 18), Box(140, 100, 24, 40)]
    assert group_lines(boxes, 40.0) == [[0, 2, 1, 3]]


def test_the_highest_digit_of_a_number_tells_how_wide_a_gap_is() -> None:
    """A comma stands between a flat 5 and a flat 2."""
    boxes = [Box(100, 100, 24, 40), Box(128, 119, 26, 21), Box(184, 120, 30, 20)]
    comma = Box(163, 132, 6, 14)
    assert split_numbers(boxes, [comma], OPEN) == [[0, 1, 2]]
    assert split_numbers(boxes[1:], [comma], OPEN) == [[0], [1]]


def test_a_comma_between_flat_digits_is_in_their_line() -> None:
    digits = [Box(100, 100, 36, 38), Box(145, 113, 38, 24), Box(207, 117, 40, 21)]
    comma = Box(192, 137, 6, 14)
    assert group_lines([*digits, comma]) == [[0, 1, 3, 2]]
    assert group_lines([Box(100, 116, 38, 24), Box(162, 117, 40, 21), Box(147, 137, 6, 14)])[1:] == [[2]]


def test_a_low_digit_beside_one_twice_as_high_may_be_a_piece() -> None:
    """The head of a broken 2 is a small 7."""
    head, four = inside([Box(0, 12, 14, 11)]), inside([Box(44, 0, 24, 37)])
    assert may_lack_digits(head, [], four, OPEN)
    assert not may_lack_digits(head, [], inside([Box(44, 4, 24, 20)]), OPEN)
    assert not may_lack_digits(head, [], inside([Box(90, 0, 24, 37)]), OPEN)
    assert not may_lack_digits(head, [], four, ruled(80))
