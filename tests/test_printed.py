"""Numbers set in type, told from those written by hand, by their digits and by their page."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.handwriting import pen_strokes
from processor.gathering import gather
from processor.pipeline import Reader, load_reader
from processor.records import Box, Cause, Gray, Rejection
from processor.rejection import printed
from processor.rejection.printed import Figure, judge_numbers
from processor.segmentation.blobs import Blob
from processor.settings import load
from processor.words import Mark, Seen
from tests.test_gathering import reading

FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "STIXGeneral.ttf", "cmss10.ttf", "DejaVuSansMono.ttf")
SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"


def typeset(
    text: str, font: str = "STIXGeneral.ttf", size: int = 48, x: int = 50, y: int = 100
) -> list[Figure]:
    """The digits of `text` as a printer sets them, `size` px an em, their feet about `y`."""
    import matplotlib

    face = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / font, size)
    image = Image.new("L", (x + len(text) * size + 40, y + size))
    figures = []
    for place, digit in enumerate(text):
        image.paste(0, (0, 0, *image.size))
        left = x + face.getlength(text[:place])
        ImageDraw.Draw(image).text((left, y), digit, fill=255, font=face, anchor="ls")
        figures.append(_figure(int(digit), np.asarray(image)))
    return figures


def _figure(digit: int, page: Gray) -> Figure:
    """The one mark on `page`, cut out of it."""
    ink = np.where(page > 90, page, 0).astype(np.uint8)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    y, x = int(rows[0]), int(columns[0])
    box = Box(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
    return Figure(digit, box, ink[box.y : box.bottom, box.x : box.right])


@pytest.fixture(scope="module")
def hands() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(SAMPLE, allow_pickle=False) as sample:
        return sample["images"], sample["labels"].astype(int)


def written(
    text: str, hands: tuple[NDArray[np.uint8], NDArray[np.int64]], seed: int, x: int = 50, y: int = 100
) -> list[Figure]:
    """The digits of `text` as people write them: each another sample, none quite as high as its neighbour."""
    images, labels = hands
    rng = np.random.default_rng(seed)
    figures = []
    for digit in text:
        glyph = images[rng.choice(np.flatnonzero(labels == int(digit)))]
        ink = np.rint(255 * pen_strokes(glyph, 36 * rng.uniform(0.9, 1.1), 4.0)).astype(np.uint8)
        page = np.zeros((y + 20, x + ink.shape[1] + 4), np.uint8)
        foot = y + round(rng.normal(0, 1.5))
        page[foot - ink.shape[0] : foot, x : x + ink.shape[1]] = ink
        figures.append(_figure(int(digit), page))
        x += ink.shape[1] + round(rng.uniform(4, 10))
    return figures


def left_out(*numbers: list[Figure]) -> list[bool]:
    return [against is not None for against in judge_numbers(numbers)]


@pytest.mark.parametrize("font", FONTS)
def test_a_printed_number_alone_on_its_page(font: str) -> None:
    assert left_out(typeset("20260", font)) == [True]


def test_numbers_written_by_hand_stay(hands: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    rng = np.random.default_rng(3)
    numbers = [
        written("".join(rng.choice(list("0123456789"), 1 + n % 6)), hands, n, y=100 + 80 * n)
        for n in range(60)
    ]
    assert sum(left_out(*numbers)) <= 1


def test_the_more_of_one_type_the_surer() -> None:
    """One printed digit tells little; the numbers of its column tell the rest."""
    alone = [against.value if against else 0.0 for against in judge_numbers([typeset("7")])]
    column = [typeset(str(n), y=100 + 60 * n) for n in range(1, 10)] + [typeset("7", y=700)]
    assert sum(left_out(*column)) >= 9
    nats = [against.value if against else 0.0 for against in judge_numbers(column)]
    assert min(nats[6], nats[-1]) > alone[0]


def test_writing_beside_print_stays(hands: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    print_ = [typeset(f"{n}0{n}", y=100 + 60 * n) for n in range(1, 7)]
    pen = [written("4705", hands, n, x=400, y=100 + 60 * n) for n in range(1, 7)]
    assert left_out(*print_, *pen) == [True] * 6 + [False] * 6


def test_a_single_digit_alone_on_its_page_stays() -> None:
    """It may be a neat hand's; the same digit twice is type."""
    assert left_out(typeset("1")) == [False]
    assert left_out(typeset("1"), typeset("1", x=300)) == [True, True]
    assert left_out(typeset("4"), typeset("7", x=300)) == [False, False]


def test_the_reason_names_the_measure() -> None:
    (against,) = judge_numbers([typeset("20260")])
    assert isinstance(against, Rejection)
    assert (against.cause, against.limit) == (Cause.PRINTED, printed.LIMIT)
    assert against.value is not None
    assert re.fullmatch(r"printed: [\d.]+ nats for print, limit [\d.]+", str(against))
    assert against.value > printed.LIMIT


def test_a_page_without_numbers() -> None:
    assert judge_numbers([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_any_ink_is_judged_without_a_fault(digits: list[tuple[int, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = [
        Figure(digit, Box(10 * n, 5, w, h), rng.integers(0, 256, (h, w), np.uint8))
        for n, (digit, w, h) in enumerate(digits)
    ]
    for against in judge_numbers([number, number]):
        assert against is None or np.isfinite(against.value)


def test_the_place_on_the_page_does_not_matter(hands: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    for at in (typeset, lambda text, x, y: written(text, hands, 5, x, y)):
        here, there = (judge_numbers([at("3305", x=x, y=y)]) for x, y in ((50, 100), (321, 777)))
        assert here == there


# Among the numbers of a page


def marks(figures: list[Figure]) -> list[Mark]:
    found = []
    for figure in figures:
        probabilities = np.full(11, 0.001, np.float32)
        probabilities[figure.digit] = 0.99
        seen = Seen(np.zeros((28, 28), np.float32), probabilities)
        found.append(Mark(Blob(figure.box, figure.ink > 0), seen, 1.0, None))
    return found


def test_a_printed_number_is_left_out_whole_and_its_neighbour_does_not_miss_it(
    hands: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    print_, pen = typeset("2026"), written("4705", hands, 1, x=240)
    page = np.zeros((200, 600), np.uint8)
    for figure in (*print_, *pen):
        box = figure.box
        page[box.y : box.bottom, box.x : box.right] = figure.ink
    line = [marks(print_), marks(pen)]
    readings = [[reading(one) for one in row] for row in line]
    nothing = np.zeros(page.shape, np.bool_)
    read = [number.text for number in gather(line, readings, nothing, nothing)[0]]
    numbers, rejected = gather(line, readings, nothing, nothing, ink=page, reads_print=False)
    assert read == ["2026", "4705"]
    assert [number.text for number in numbers] == ["4705"]
    assert len(rejected) == 4
    assert all((blob.reason or "").startswith("printed: ") and blob.digit is None for blob in rejected)


@pytest.mark.parametrize(("setting", "reads"), [("read", True), ("ignore", False)])
def test_the_setting_reaches_the_reader(setting: str, reads: bool) -> None:
    reader: Reader = load_reader(load(flags={"segmentation.printed": setting}))
    assert reader.reads_print is reads
