"""Alignment: the digits of known numbers are found on their strips; what cannot be found is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from processor.errors import BadCommand
from processor.pages.cleaning import clean
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.records import Box, Glyphs, Gray, Page
from training.alignment import LEAST_LIKELY, MOST_LEFT_OUT, Alignment, align, aligned_digits
from training.inks import NONE

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"
ARCHIVE = Path(__file__).parent.parent / "models_archive"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(find_model(ARCHIVE, "current").path)


def strip(number: str, seed: int = 0, gap: int = 8) -> Gray:
    """A strip of handwritten digits, dark on light, each 44 px high."""
    rng = np.random.default_rng(seed)
    with np.load(SAMPLE) as data:
        images, labels = data["images"], data["labels"]
    shapes = []
    for digit in number:
        image = images[int(rng.choice(np.flatnonzero(labels == int(digit))))]
        x, y, w, h = cv2.boundingRect((image > 40).view(np.uint8))
        size = max(4, round(44 * w / h)), 44
        shapes.append(cv2.resize(image[y : y + h, x : x + w], size, interpolation=cv2.INTER_CUBIC))
    row = np.zeros((80, 40 + sum(s.shape[1] + gap for s in shapes)), np.uint8)
    at = 20
    for shape in shapes:
        row[18:62, at : at + shape.shape[1]] = np.maximum(row[18:62, at : at + shape.shape[1]], shape)
        at += shape.shape[1] + gap
    return np.asarray(245 - row * (210 / 255), np.uint8)


def page(number: str, seed: int = 0) -> Page:
    return Page(number=1, pixels=strip(number, seed), dpi=None)


class Indifferent:
    """Takes everything for any digit, and for none, alike."""

    def probabilities(self, glyphs: Glyphs) -> NDArray[np.float32]:
        return np.full((len(glyphs), 11), 1 / 11, np.float32)


class Contrary:
    """Takes everything for no digit at all."""

    def probabilities(self, glyphs: Glyphs) -> NDArray[np.float32]:
        rows = np.zeros((len(glyphs), 11), np.float32)
        rows[:, NONE] = 1
        return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Strips in `images/`, and a table of their numbers."""
    (tmp_path / "images").mkdir()
    for n, number in enumerate(("2075", "318", "64")):
        Image.fromarray(strip(number, n)).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "truth.csv").write_text("file,digits\n2075.png,2075\n318.png,318\n64.png,64\n")
    return tmp_path


def digits_by_strip(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> list[str]:
    return ["".join(str(d) for d in labels[(groups == g) & (labels != NONE)]) for g in np.unique(groups)]


def test_the_digits_of_every_strip_are_found_in_writing_order(folder: Path, classifier: Classifier) -> None:
    heard: list[str] = []
    inks = aligned_digits(folder, folder / "truth.csv", classifier, notice=heard.append)
    assert digits_by_strip(inks.labels, inks.groups) == ["2075", "318", "64"]
    assert heard == []


def test_pieces_come_along_as_no_digit_where_they_are_wanted(folder: Path, classifier: Classifier) -> None:
    table = folder / "truth.csv"
    with_pieces = aligned_digits(folder, table, classifier)
    alone = aligned_digits(folder, table, classifier, with_pieces=False)
    assert NONE in with_pieces.labels
    assert NONE not in alone.labels
    assert len(alone) == len("207531864")


def test_each_digit_lies_where_it_was_drawn(classifier: Classifier) -> None:
    drawn = page("4096")
    paper = clean(drawn)
    aligned = align(paper, "4096", classifier)
    assert aligned is not None
    assert aligned.fault is None
    boxes = [paper.original_box(b.box, b.mask, drawn.width, drawn.height) for b in aligned.digits]
    assert [b.x for b in boxes] == sorted(b.x for b in boxes)
    assert all(38 <= b.height <= 50 for b in boxes)


def test_only_ink_inside_the_box_is_aligned(classifier: Classifier) -> None:
    drawn = page("4096")
    paper = clean(drawn)
    whole = align(paper, "4096", classifier)
    assert whole is not None
    boxes = [paper.original_box(b.box, b.mask, drawn.width, drawn.height) for b in whole.digits]
    first_two = align(paper, "40", classifier, Box.around(boxes[:2]))
    assert first_two is not None
    assert [b.box for b in first_two.digits] == [b.box for b in whole.digits[:2]]
    nothing = align(paper, "40", classifier, Box(0, 0, 3, 3))
    assert nothing is None


def test_a_number_that_does_not_stand_there_is_named_and_left_out(
    folder: Path, classifier: Classifier
) -> None:
    (folder / "truth.csv").write_text("file,digits\n2075.png,2075\n318.png,999\n64.png,64646464646464\n")
    heard: list[str] = []
    inks = aligned_digits(folder, folder / "truth.csv", classifier, notice=heard.append)
    assert digits_by_strip(inks.labels, inks.groups) == ["2075"]
    assert [notice.split(":")[0] for notice in heard] == ["318.png", "64.png"]


def test_a_number_with_a_digit_too_few_is_left_out(folder: Path, classifier: Classifier) -> None:
    (folder / "truth.csv").write_text("file,digits\n2075.png,205\n318.png,318\n")
    heard: list[str] = []
    inks = aligned_digits(folder, folder / "truth.csv", classifier, notice=heard.append)
    assert digits_by_strip(inks.labels, inks.groups) == ["318"]
    assert len(heard) == 1


def test_a_model_that_knows_nothing_gives_no_truth(folder: Path) -> None:
    for classifier in (Indifferent(), Contrary()):
        with pytest.raises(BadCommand, match="none of its 3 numbers"):
            aligned_digits(folder, folder / "truth.csv", classifier)


def test_an_alignment_is_judged_by_likelihood_and_by_the_ink_left_out() -> None:
    assert Alignment((), LEAST_LIKELY + 0.1, MOST_LEFT_OUT - 0.1).fault is None
    assert "look like others" in str(Alignment((), LEAST_LIKELY - 0.1, 0).fault)
    assert "30%" in str(Alignment((), 0, 0.3).fault)


def test_a_blank_strip_has_no_digits(classifier: Classifier) -> None:
    blank = Page(number=1, pixels=np.full((60, 200), 240, np.uint8), dpi=None)
    assert align(clean(blank), "12", classifier) is None


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile,digits\n2075.png,2075\n",
        "file;digits\n2075.png;20,75\n",
        "digits\tfile\n2075\t2075.png\n",
        'File,Digits\r\n2075.png,"20,75"\r\n\r\n',
        "file,digits\n2075.png,20.75\n",
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(folder: Path, classifier: Classifier, text: str) -> None:
    (folder / "truth.csv").write_text(text, "utf-8", newline="")
    inks = aligned_digits(folder, folder / "truth.csv", classifier, with_pieces=False)
    assert digits_by_strip(inks.labels, inks.groups) == ["2075"]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("318.png,", "no number"),
        ("318.png,n/a", "no number"),
        ("318.png,3,18", "3 columns"),
        (",318", "no file"),
        ("gone.png,318", "gone.png is not in"),
        ("text.png,318", "not an image"),
        ("2075.png,318", "listed twice"),
        ("318.png,٣١٨", "no number"),
    ],
)
def test_a_faulty_row_is_named_and_the_others_are_used(
    folder: Path, classifier: Classifier, row: str, named: str
) -> None:
    (folder / "images" / "text.png").write_text("this is no picture")
    (folder / "truth.csv").write_text(f"file,digits\n2075.png,2075\n{row}\n", "utf-8")
    heard: list[str] = []
    inks = aligned_digits(folder, folder / "truth.csv", classifier, with_pieces=False, notice=heard.append)
    assert digits_by_strip(inks.labels, inks.groups) == ["2075"]
    assert len(heard) == 1
    assert named in heard[0]


@pytest.mark.parametrize("text", ["", "name,number\na.png,1\n", "file,digits\n"])
def test_a_table_that_names_no_strip_is_refused(folder: Path, classifier: Classifier, text: str) -> None:
    (folder / "truth.csv").write_text(text)
    with pytest.raises(BadCommand, match=r"truth\.csv"):
        aligned_digits(folder, folder / "truth.csv", classifier)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCommand, match="cannot be read"):
        aligned_digits(tmp_path, tmp_path / "truth.csv", Indifferent())
