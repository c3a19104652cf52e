"""Packed images: the same as the list they were made of, in this process and in another."""

import multiprocessing

import numpy as np
import pytest
import torch.multiprocessing
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from processor.records import Gray
from training.inks import collect
from training.packing import Packed, packed

images = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).flatmap(lambda shape: arrays(np.uint8, shape)), max_size=6
)


@given(images)
@settings(max_examples=60, deadline=None)
def test_what_was_packed_comes_out_again(given_images: list[Gray]) -> None:
    block = Packed(given_images)
    assert len(block) == len(given_images)
    for place, image in enumerate(given_images):
        np.testing.assert_array_equal(block[place], image)
        np.testing.assert_array_equal(block[place - len(block)], image)
    assert [image.shape for image in block] == [image.shape for image in given_images]
    assert len(block[1:3]) == len(given_images[1:3])


def test_there_is_nothing_beyond_the_ends() -> None:
    block = Packed([np.ones((2, 3), np.uint8)])
    for place in (1, -2):
        with pytest.raises(IndexError):
            block[place]


def test_packing_changes_no_digest_and_no_sample() -> None:
    rng = np.random.default_rng(1)
    inks = collect("own", [rng.integers(0, 255, (5, n), np.uint8) for n in range(1, 9)], [3] * 8, [0] * 8)
    again = packed(inks)
    assert again.digest() == inks.digest()
    np.testing.assert_array_equal(again.take([6]).images[0], inks.images[6])


def _double(block: Packed, answers: "multiprocessing.Queue[int]") -> None:
    block[0][:] *= 2
    answers.put(int(block[1].sum()))


def test_another_process_sees_the_same_memory() -> None:
    """Doubling the first image over there doubles it here: nothing was copied."""
    context = torch.multiprocessing.get_context("spawn")
    block, answers = Packed([np.full((4, 4), 7, np.uint8), np.ones((2, 2), np.uint8)]), context.Queue()
    process = context.Process(target=_double, args=(block, answers))
    process.start()
    assert answers.get(timeout=60) == 4
    process.join(timeout=60)
    assert (block[0] == 14).all()
