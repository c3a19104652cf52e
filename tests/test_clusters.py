"""Clusters: copies of one original come together, other hands stay apart, and no order of samples matters."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.records import Gray
from training.clusters import cluster_sizes, describe, near_duplicates
from training.inks import Inks, Labels, split_by_group

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"


@pytest.fixture(scope="module")
def digits() -> Inks:
    with np.load(SAMPLE) as data:
        labels = data["labels"].astype(np.int64)
        return Inks("mnist", list(data["images"]), labels, data["writers"].astype(np.int64))


def copy_of(image: Gray, rng: np.random.Generator) -> Gray:
    """`image` (28, 28) shifted by up to 3 px and skewed by up to 0.2."""
    lean, (x, y) = rng.uniform(-0.2, 0.2), rng.uniform(-3, 3, 2)
    matrix = np.array([[1, lean, x - lean * 14], [0, 1, y]])
    return np.asarray(cv2.warpAffine(image, matrix, (28, 28), flags=cv2.INTER_LINEAR), np.uint8)


def originals(digits: Inks) -> list[Gray]:
    """One sample of each digit but 1, whose copies a line of any hand is."""
    return [digits.images[int(np.flatnonzero(digits.labels == d)[0])] for d in range(10) if d != 1]


def test_every_original_and_its_copies_are_one_cluster_and_no_two_originals_are(digits: Inks) -> None:
    rng = np.random.default_rng(3)
    sources = originals(digits)
    images = [copy_of(image, rng) for image in sources for _ in range(60)]
    truth = np.repeat(np.arange(len(sources)), 60)
    groups = near_duplicates(images)
    assert all(len(set(truth[groups == group].tolist())) == 1 for group in np.unique(groups))
    together = [cluster_sizes(groups[truth == t])[0] / 60 for t in range(len(sources))]
    assert min(together) > 0.9


def test_digits_of_different_hands_stay_apart_but_for_the_line_that_a_1_is(digits: Inks) -> None:
    places = np.flatnonzero(digits.labels != 1)
    groups = near_duplicates([digits.images[int(i)] for i in places], digits.labels[places])
    assert len(np.unique(groups)) > 0.97 * len(places)


def test_no_original_stands_on_both_sides_of_a_split(digits: Inks) -> None:
    rng = np.random.default_rng(5)
    sources = originals(digits)
    images = [copy_of(image, rng) for image in sources for _ in range(40)]
    truth = np.repeat(np.arange(len(sources)), 40)
    inks = Inks("copies", images, truth, near_duplicates(images, truth))
    trained, kept = split_by_group(inks, 0.3, rng)
    assert len(kept)
    whole = set(cluster_sizes(inks.groups).tolist()) == {40}
    assert not whole or not set(trained.labels.tolist()) & set(kept.labels.tolist())


def test_labels_keep_one_shape_with_two_labels_apart(digits: Inks) -> None:
    image = digits.images[0]
    assert near_duplicates([image, image]).tolist() == [0, 0]
    assert near_duplicates([image, image], np.array([3, 8])).tolist() == [0, 1]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_blank_images_and_no_images_are_no_copies_of_each_other(count: int) -> None:
    blank = [np.zeros((28, 28), np.uint8)] * count
    assert near_duplicates(blank).tolist() == list(range(count))


def test_images_of_any_size_and_contrast_are_compared(digits: Inks) -> None:
    image = originals(digits)[3]
    large = np.asarray(cv2.resize(image, None, fx=5, fy=5, interpolation=cv2.INTER_LINEAR), np.uint8)
    faint = (image * 0.5).astype(np.uint8)
    padded = np.pad(image, ((0, 40), (9, 2)))
    assert len(set(near_duplicates([image, faint, padded]).tolist())) == 1
    assert len(near_duplicates([large, image])) == 2


def test_samples_further_apart_than_a_block_are_joined(digits: Inks) -> None:
    image = originals(digits)[2]
    rng = np.random.default_rng(0)
    others: list[Gray] = [rng.integers(0, 256, (12, 12), np.uint8) for _ in range(1100)]
    groups = near_duplicates([image, *others, image])
    assert groups[0] == groups[-1] == 0
    assert groups.max() > 1000


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 30))
def test_the_clusters_do_not_depend_on_the_order(seed: int) -> None:
    with np.load(SAMPLE) as data:
        images = list(data["images"][:40])
    rng = np.random.default_rng(seed)
    images = images + [copy_of(image, rng) for image in images[:10]]
    order = rng.permutation(len(images))
    groups = near_duplicates(images)
    shuffled = near_duplicates([images[i] for i in order])
    same = groups[order][:, None] == groups[order][None]
    assert np.array_equal(same, shuffled[:, None] == shuffled[None])


def test_sizes_are_described_for_each_digit() -> None:
    groups: Labels = np.array([0, 0, 0, 1, 2, 2])
    labels: Labels = np.array([4, 4, 4, 4, 7, 7])
    assert cluster_sizes(groups).tolist() == [3, 2, 1]
    first, second = describe(groups, labels)
    assert first == {"digit": 4, "samples": 4, "clusters": 2, "largest": 3, "median": 2.0, "smallest": 1}
    assert second == {"digit": 7, "samples": 2, "clusters": 1, "largest": 2, "median": 2.0, "smallest": 2}
