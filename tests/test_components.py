"""Components: the same as OpenCV measures them pixel by pixel."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from processor.components import boxes_of, covered_columns, find_components, grown, places

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


@settings(deadline=None, max_examples=80)
@given(MASKS)
def test_boxes_and_areas_are_those_of_the_pixels(mask: NDArray[np.bool_]) -> None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    found = find_components(mask)
    assert found.count == count
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.boxes()[1:], stats[1:, :4])
    np.testing.assert_array_equal(found.areas[1:], stats[1:, cv2.CC_STAT_AREA])


@settings(deadline=None, max_examples=80)
@given(MASKS)
def test_places_are_the_ink_row_by_row(mask: NDArray[np.bool_]) -> None:
    x, y = places(mask)
    rows, columns = np.nonzero(mask)
    np.testing.assert_array_equal((y, x), (rows, columns))


@settings(deadline=None, max_examples=80)
@given(MASKS, st.integers(1, 9))
def test_every_column_with_a_point_counts_once(mask: NDArray[np.bool_], width: int) -> None:
    """What is near each other is one component, as a line's broken pieces are: its runs overlap."""
    near = cv2.dilate(mask.view(np.uint8), np.ones((3, width), np.uint8))
    count, labels = cv2.connectedComponents(near, connectivity=8)
    x, y = places(mask)
    at = np.asarray(labels[y, x], np.int32)
    expected = [len(set(x[at == label].tolist())) for label in range(count)]
    assert covered_columns(at, x, y, count).tolist() == expected


@pytest.mark.parametrize("by", [(0, 0), (2, 1), (5, 9)])
def test_boxes_grow_as_far_as_the_page(by: tuple[int, int]) -> None:
    mask = np.zeros((12, 20), np.bool_)
    mask[5:7, 3:9] = mask[0, 19] = True
    boxes = find_components(mask).boxes()[1:]
    kernel = np.ones((2 * by[1] + 1, 2 * by[0] + 1), np.uint8)
    for box, (x, y, width, height) in zip(grown(boxes, by, mask.shape), boxes, strict=True):
        alone = np.zeros_like(mask)
        alone[y : y + height, x : x + width] = True
        assert tuple(box) == cv2.boundingRect(cv2.dilate(alone.view(np.uint8), kernel))


def test_an_empty_page_has_no_components() -> None:
    found = find_components(np.zeros((30, 40), np.bool_))
    assert (found.count, len(found.x), len(found.areas)) == (1, 0, 1)
    assert boxes_of(found.at, found.x, found.y, 1).shape == (1, 4)
    assert covered_columns(found.at, found.x, found.y, 1).tolist() == [0]
