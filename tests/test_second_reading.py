"""The second reading: two readings of drawn zeros and ones, and what they make of each other.

The first reads with a three-line network that knows zeros and ones; the second is told what it sees.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from processor import settings as product_settings
from processor.lines import Proposals, make_line, propose_lines, read_lines
from processor.pages.cleaning import CleanPage
from processor.pipeline import Reader, load_reader, read_page
from processor.prediction.ctc import ALPHABET, Columns
from processor.prediction.strip_networks import PITCH, build
from processor.prediction.strip_reader import StripReader, to_bytes
from processor.prediction.strips import cut_strip
from processor.records import Box, Cause, NumberReading, Page, PageReading, Status, Winner
from processor.regions import LOW, Region
from processor.rejection.open_set import LEAST_CONFIDENCE, SURE_NUMBER
from processor.second_reading import read_again
from processor.segmentation.blobs import find_blobs
from processor.segmentation.layout import group_lines
from processor.weighing import Verdict, weigh
from processor.words import Mark
from tests.test_lines import HEIGHT, classify, cross, one, zero

Image = NDArray[np.uint8]
Likely = dict[str, float]
"""The characters that one place of a strip may be, with their probabilities; the rest is that it is none."""


class Told(StripReader):
    """The second reader, with columns that say what it is told, evenly over each strip."""

    def __init__(self, *strips: str | Sequence[Likely], sure: float = 0.99) -> None:
        self.strips = [[{c: sure} for c in strip] if isinstance(strip, str) else strip for strip in strips]

    def columns(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Columns]:
        return [_columns(p.shape[2], likely) for p, likely in zip(pixels, self.strips, strict=True)]


class Stubborn(Told):
    """A second reader that sees the same on every strip."""

    def columns(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Columns]:
        return [_columns(p.shape[2], self.strips[0]) for p in pixels]


def _columns(width: int, likely: Sequence[Likely]) -> Columns:
    rows = np.full((-(-width // PITCH), 1 + len(ALPHABET)), 1e-7)
    for number, digits in enumerate(likely):
        row = rows[round((number + 0.5) * len(rows) / len(likely))]
        row[[1 + ALPHABET.index(character) for character in digits]] = list(digits.values())
    rows[:, 0] += np.maximum(0.0, 1 - rows.sum(axis=1))
    columns: Columns = np.log(rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return columns


def canvas(width: int = 600) -> Image:
    return np.zeros((120, width), np.uint8)


def paper(image: Image, dividers: NDArray[np.bool_] | None = None) -> CleanPage:
    nothing = np.zeros(image.shape, np.bool_)
    return CleanPage(
        ink=image,
        mask=image > 0,
        dividers=nothing if dividers is None else dividers,
        rulings=nothing,
        frames=nothing,
        digit_height=HEIGHT,
        to_original=np.eye(3),
        skew_degrees=0.0,
        scale=1.0,
    )


def proposals(image: Image, *, one_line: bool = False) -> list[Proposals]:
    blobs = sorted(find_blobs(image > 0, least_side=3), key=lambda blob: blob.box.centre)
    groups = [list(range(len(blobs)))] if one_line else group_lines([b.box for b in blobs])
    lines = [make_line([blobs[i] for i in group], image.shape, HEIGHT, 4.0) for group in groups]
    return propose_lines(lines, image, classify)


def read(
    image: Image,
    strips: StripReader,
    *,
    dividers: NDArray[np.bool_] | None = None,
    core: Sequence[Box] | None = None,
    overrules: float = 1.0,
) -> list[Mark]:
    proposed = proposals(image, one_line=core is not None)
    page = paper(image, dividers)
    found = read_again(read_lines(proposed), proposed, page, strips, classify, core, overrules=overrules)
    return [mark for line in found for mark in line]


def once(image: Image) -> list[Mark]:
    return [mark for line in read_lines(proposals(image)) for mark in line]


def digits(marks: Sequence[Mark]) -> str:
    return "".join(str(m.seen.digit) for m in marks if m.rejection is None and m.seen)


def boxes(marks: Sequence[Mark]) -> list[Box]:
    return [mark.blob.box for mark in marks if mark.rejection is None]


def confidence(marks: Sequence[Mark]) -> float:
    """Of the one number that the digits among `marks` are."""
    return math.prod(mark.confidence for mark in marks if mark.rejection is None)


def differs(marks: Sequence[Mark]) -> set[str | None]:
    return {mark.differs for mark in marks if mark.rejection is None}


def causes(marks: Sequence[Mark]) -> list[Cause]:
    return [mark.rejection.cause for mark in marks if mark.rejection]


def row(text: str, pitch: int = 42) -> Image:
    """Zeros and ones from x = 60 on."""
    image = canvas()
    for number, digit in enumerate(text):
        (zero if digit == "0" else one)(image, 60 + number * pitch)
    return image


def blot(image: Image, x: int, width: int) -> None:
    """A block of ink that is no digit and cannot be cut."""
    image[40:82, x : x + width] = 255


def region(image: Image) -> Region:
    """All marks of the one line in `image`."""
    (proposed,) = proposals(image)
    (marks,) = read_lines([proposed])
    return Region(proposed, tuple(marks), 0, len(proposed.parts))


def verdict(image: Image, likely: str | Sequence[Likely], sure: float = 0.99) -> Verdict:
    seen = region(image)
    strip = cut_strip(image, image > 0, seen.place)
    return weigh(seen, Told(likely, sure=sure).read([strip])[0])


# What both together find likeliest.


def test_what_both_read_is_surer_than_what_one_reads() -> None:
    agreed = verdict(row("010"), "010", sure=0.9)
    assert agreed.digits == "010"
    assert 0.9**3 < agreed.probability < 1


def test_the_surer_of_two_wins() -> None:
    doubtful = [{"0": 0.95}, {"1": 0.45, "7": 0.5}, {"0": 0.95}]
    assert verdict(row("010"), doubtful).digits == "010"
    assert verdict(row("010"), "070", sure=0.999).digits == "070"


def test_a_one_that_the_second_reading_nearly_lost_is_kept_and_looked_at() -> None:
    """Both together rather believe that it is none, but whether a mark is there the first knows better."""
    image = row("00")
    image[54:80, 144:149] = 255
    chosen = verdict(image, [{"0": 0.99}, {"0": 0.99}, {"1": 0.09}])
    assert chosen.digits == "001"
    assert chosen.probability < 0.5
    assert verdict(image, [{"0": 0.99}, {"0": 0.99}, {"1": 0.03}]).digits == "00"


def test_a_string_that_neither_likes_best_may_be_the_likeliest() -> None:
    """Both see a digit that the other does not believe in; on the third string they can agree."""
    image = row("01")
    seen = region(image)
    strip = cut_strip(image, image > 0, seen.place)
    sure = weigh(seen, Told([{"0": 0.6, "7": 0.399}, {"1": 0.99}]).read([strip])[0])
    unsure = weigh(seen, Told([{"0": 0.399, "7": 0.6}, {"1": 0.99}]).read([strip])[0])
    assert (sure.digits, unsure.digits) == ("01", "01")
    assert unsure.probability < sure.probability


@pytest.mark.parametrize("sure", [0.3, 0.6, 0.9, 0.9999])
@pytest.mark.parametrize("told", ["01", "0", "0101", "7"])
def test_a_verdict_is_a_probability_and_a_string_of_either(told: str, sure: float) -> None:
    found = verdict(row("01"), told, sure=sure)
    assert 0 <= found.probability <= 1
    assert found.digits
    if found.spelling is not None:
        assert len(found.spelling.taken) == len(found.digits)


def test_the_surer_the_second_reading_the_surer_the_verdict() -> None:
    found = [verdict(row("01"), "01", sure=sure).probability for sure in (0.5, 0.8, 0.95, 0.999)]
    assert found == sorted(found)
    assert found[0] < 0.95 < found[-1]


def test_more_digits_than_there_are_cuts_are_spelled_by_none() -> None:
    found = verdict(row("0"), "000", sure=0.9999)
    assert (found.digits, found.spelling) == ("000", None)


def test_who_sees_nothing_makes_what_the_other_sees_less_likely() -> None:
    """No digit at all is as good a string as any: a digit against it is not sure."""
    seen = verdict(row("0"), [{"0": 0.1}])
    assert seen.digits == "0"
    assert 0.2 < seen.probability < 0.7
    assert verdict(row("0"), [{"0": 0.001}]).probability < 0.1
    assert verdict(row("0"), [{"0": 0.9}]).probability > 0.95


def test_nothing_and_nothing_is_nothing() -> None:
    image = canvas()
    blot(image, 60, 60)
    assert not digits(once(image))
    assert verdict(image, "") == Verdict("", 0.0, None)


# Marks.


def test_agreement_keeps_the_marks_and_shares_one_confidence() -> None:
    image = row("0110")
    before, after = once(image), read(image, Told("0110"))
    assert boxes(after) == boxes(before)
    assert digits(after) == "0110"
    assert differs(after) == {""}
    assert confidence(after) == pytest.approx(verdict(image, "0110").probability, abs=1e-6)
    assert confidence(after) > confidence(before)


def test_an_unsure_second_reading_makes_the_number_unsure() -> None:
    image = row("0110")
    assert confidence(read(image, Told("0110", sure=0.5))) < confidence(read(image, Told("0110")))


def test_the_doubtful_digit_bears_the_doubt() -> None:
    doubtful = [{"0": 0.99}, {"1": 0.6, "7": 0.39}, {"0": 0.99}]
    marks = read(row("010"), Told(doubtful))
    assert min(marks, key=lambda mark: mark.confidence) is marks[1]


def test_where_the_second_wins_the_same_marks_are_read_otherwise() -> None:
    image = row("010")
    marks = read(image, Told("011", sure=0.9999))
    assert boxes(marks) == boxes(once(image))
    assert digits(marks) == "011"
    assert differs(marks) == {"010"}


def test_where_the_first_wins_the_second_is_named() -> None:
    marks = read(row("010"), Told([{"0": 0.99}, {"1": 0.45, "7": 0.5}, {"0": 0.99}]))
    assert digits(marks) == "010"
    assert differs(marks) == {"070"}


def test_where_neither_wins_both_are_named() -> None:
    """The first sees two zeros in what is one blob; the second wavers between one and three."""
    image = row("00")
    marks = read(image, Told([{"0": 0.9999}, {"7": 0.4, "1": 0.599}]))
    assert digits(marks) in ("00", "01", "07")
    assert differs(marks) == {" or ".join(sorted({"00", "01"} - {digits(marks)}))}


def test_a_mark_that_only_the_first_reads_is_left_out() -> None:
    image = row("010")
    marks = read(image, Told("10", sure=0.99999))
    assert digits(marks) == "10"
    assert boxes(marks) == boxes(once(image))[1:]
    (left,) = [mark for mark in marks if mark.rejection]
    assert left.blob.box == boxes(once(image))[0]
    assert str(left.rejection).startswith("unlike any digit: the first reading alone sees it, confidence")


def test_what_the_first_left_out_keeps_its_reason() -> None:
    image = row("01")
    blot(image, 140, 90)
    before, after = once(image), read(image, Told("01"))
    assert causes(after) == causes(before) == [Cause.SEVERAL_CHARACTERS]
    assert [m.rejection for m in after if m.rejection] == [m.rejection for m in before if m.rejection]


def test_digits_that_only_the_second_sees_get_boxes_of_their_own() -> None:
    image = row("01")
    blot(image, 130, 60)
    assert digits(once(image)) == "01"
    marks = read(image, Told("0188", sure=0.99999))
    around = Box.around([*boxes(once(image)), Box(130, 40, 60, 42)])
    assert digits(marks) == "0188"
    assert differs(marks) == {"01"}
    found = boxes(marks)
    assert [box.centre for box in found] == sorted(box.centre for box in found)
    assert len(set(found)) == 4
    assert all(box.width > 0.2 * HEIGHT for box in found)
    for box in found:
        assert around.x <= box.x < box.right <= around.right
        assert (box.y, box.bottom) == (around.y, around.bottom)
    assert all(m.blob.mask.shape == (m.blob.box.height, m.blob.box.width) for m in marks)


def test_a_reading_that_doubts_itself_is_overruled_by_a_sure_one() -> None:
    """The first leaves out the blot, and knows no better; a number of few digits is worth a look."""
    image = row("01")
    blot(image, 130, 60)
    doubted = verdict(image, "0188", sure=0.99999)
    assert doubted.first is not None
    assert doubted.first < SURE_NUMBER < doubted.probability
    assert differs(read(image, Told("0188", sure=0.99999), overrules=0.97)) == {""}
    assert differs(read(image, Told("0188", sure=0.9), overrules=0.97)) == {"01"}
    assert differs(read(image, Told("08", sure=0.99999), overrules=0.97)) == {"01"}


def test_a_reading_that_is_sure_of_its_own_is_not_overruled() -> None:
    alone = verdict(row("010"), "011").first
    assert alone is not None
    assert alone > SURE_NUMBER
    assert differs(read(row("010"), Told("011", sure=0.99999), overrules=0.97)) == {"010"}


def test_each_digit_knows_what_the_second_reading_saw_before_it() -> None:
    separated = [{"0": 0.99}, {",": 0.99}, {"1": 0.99}, {"0": 0.99}]
    before = [mark.before for mark in read(row("010"), Told(separated))]
    assert [sign and round(sign.comma, 1) for sign in before] == [0.0, 1.0, 0.0]
    of_others = read(row("010"), Told([{"0": 0.99}, {"1": 0.45, "7": 0.5}, {"0": 0.99}]))
    assert [mark.before for mark in of_others] == [None] * 3


def test_no_digit_leaves_its_number_however_far_out_it_was_seen() -> None:
    """A strip shows paper on both sides; what is read there has its place at the number's end."""
    image = row("0")
    (mark,) = once(image)
    for box in boxes(read(image, Told("0000000", sure=0.99999))):
        assert mark.blob.box.x <= box.x < box.right <= mark.blob.box.right


def test_a_cross_that_counts_as_a_digit_is_no_filler_as_well() -> None:
    image = row("00")
    cross(image, 137)
    one(image, 159)
    assert causes(once(image)) == [Cause.FILLER]
    assert digits(once(image)) == "001"
    marks = read(image, Told("0081", sure=0.999999))
    assert digits(marks) == "0081"
    assert len({mark.blob.box for mark in marks}) == len(marks)


def test_a_low_digit_is_read_in_its_number() -> None:
    image = row("0")
    zero(image, 130)
    cv2.ellipse(image, (95, 72), (5, 6), 0, 0, 360, 255, 2)
    proposed = proposals(image)
    found = [[replace(mark, rejection=None) for mark in line] for line in read_lines(proposed)]
    assert digits(found[0]) == "000"
    assert found[0][1].blob.box.height < LOW * proposed[0].line.height
    (line,) = read_again(found, proposed, paper(image), Told("000"), classify)
    assert digits(line) == "000"
    assert differs(line) == {""}


def test_the_order_is_that_of_the_middles() -> None:
    """A zero with a long tail over the one before it begins further left than the one."""
    image = canvas()
    cv2.ellipse(image, (96, 60), (10, 20), 0, 0, 360, 255, 4)
    cv2.line(image, (76, 40), (96, 40), 255, 4)
    cv2.line(image, (80, 50), (80, 82), 255, 4)
    first, second = boxes(once(image))
    assert second.x < first.x
    assert digits(once(image)) == "10"
    marks = read(image, Told("10"))
    assert digits(marks) == "10"
    assert differs(marks) == {""}


# What is one number.


def test_far_marks_are_numbers_of_their_own() -> None:
    image = row("01")
    for x in (200, 242):
        zero(image, x)
    marks = read(image, Told("01", "00"))
    assert digits(marks) == "0100"
    assert differs(marks) == {""}


def test_a_wall_parts_numbers() -> None:
    image, walls = row("0100"), np.zeros((120, 600), np.bool_)
    walls[30:90, 122:125] = True
    assert digits(read(image, Told("01", "00"), dividers=walls)) == "0100"
    walls[60:] = False
    assert digits(read(image, Told("0100"), dividers=walls)) == "0100"


def test_marks_that_are_not_level_are_numbers_of_their_own() -> None:
    image = canvas()
    zero(image, 60, 40)
    zero(image, 102, 68)
    assert digits(read(image, Told("0", "0"))) == "00"
    image = canvas()
    zero(image, 60, 50)
    zero(image, 102, 60)
    assert digits(read(image, Told("00"))) == "00"


def test_where_there_is_no_digit_nothing_is_read_again() -> None:
    image = canvas()
    blot(image, 60, 60)
    assert causes(read(image, Told())) == causes(once(image))
    assert read(canvas(), Told()) == []


def test_a_cut_out_is_one_number_whatever_stands_between() -> None:
    image, walls = row("01"), np.zeros((120, 600), np.bool_)
    for x in (300, 342):
        zero(image, x)
    walls[:, 80:83] = True
    marks = read(image, Told("0100"), dividers=walls, core=boxes(once(image)))
    assert digits(marks) == "0100"
    assert differs(marks) == {""}


def test_a_cut_out_is_read_where_the_first_reading_saw_no_digit() -> None:
    image = canvas()
    blot(image, 60, 60)
    (left,) = once(image)
    marks = read(image, Told("88", sure=0.9999), core=[left.blob.box])
    assert digits(marks) == "88"
    assert differs(marks) == {"nothing"}
    assert not causes(marks)


# Pages.


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader(product_settings.load())


@pytest.fixture(scope="module")
def untrained() -> StripReader:
    """A small network that knows nothing."""
    torch.manual_seed(4)
    network = build("strip-ctc", {"widths": [8, 8, 16, 16]}).eval()
    return StripReader.from_bytes(to_bytes(network, 1.0), Path("strips.safetensors"))


def field(text: str) -> Page:
    """A cut-out of one number, black on white."""
    return Page(number=1, pixels=255 - row(text)[12:108, :400], dpi=None)


def only(reading: PageReading) -> NumberReading:
    (number,) = reading.numbers
    return number


def test_a_field_read_twice_the_same_is_accepted(reader: Reader) -> None:
    number = only(read_page(field("0100"), replace(reader, strips=Told("0100", sure=0.999))))
    assert (number.text, number.status) == ("0100", Status.ACCEPTED)
    assert [digit.reason for digit in number.digits] == [None] * 4
    assert number.confidence == pytest.approx(math.prod(d.confidence for d in number.digits), abs=1e-3)


def test_a_field_read_otherwise_a_second_time_is_in_review_and_says_why(reader: Reader) -> None:
    number = only(read_page(field("0100"), replace(reader, strips=Told("0107", sure=0.99999))))
    assert (number.text, number.status) == ("0107", Status.REVIEW)
    for digit in number.digits:
        assert digit.status is Status.REVIEW
        assert (digit.reason or "").startswith("read otherwise a second time: the other reading sees 0100, ")


def test_who_reads_once_reads_as_before(reader: Reader) -> None:
    number = only(read_page(field("0100"), replace(reader, strips=None)))
    assert number.text == "0100"
    assert not any("second time" in (digit.reason or "") for digit in number.digits)


def test_no_digit_of_a_number_is_lost_for_being_unlikely(reader: Reader) -> None:
    """Both read the same, but to the second nearly anything is as likely: the number is whole, in review."""
    any_digit = {str(digit): 0.1 for digit in range(10)}
    strips = Told([{**any_digit, digit: 0.11} for digit in "010010"])
    number = only(read_page(field("010010"), replace(reader, strips=strips)))
    assert (number.text, number.status) == ("010010", Status.REVIEW)
    assert min(digit.confidence for digit in number.digits) < LEAST_CONFIDENCE
    assert all((digit.reason or "").startswith("uncertain: confidence") for digit in number.digits)


def test_a_number_keeps_what_each_reading_says_by_itself(reader: Reader) -> None:
    number = only(read_page(field("0100"), replace(reader, strips=Told("0107", sure=0.99))))
    assert number.twice is not None
    assert (number.twice.first, number.twice.second) == ("0100", "0107")
    assert number.twice.winner is {"0100": Winner.FIRST, "0107": Winner.SECOND}[number.text]
    assert number.twice.second_confidence == pytest.approx(0.99**4, abs=0.01)
    assert number.twice.first_confidence is not None
    assert 0.5 < number.twice.first_confidence <= 1


def test_who_reads_once_keeps_no_readings(reader: Reader) -> None:
    assert only(read_page(field("0100"), replace(reader, strips=None))).twice is None


def test_nothing_is_what_a_reading_may_say(reader: Reader) -> None:
    twice = only(read_page(field("0"), replace(reader, strips=Told("")))).twice
    assert twice is not None
    assert (twice.second, twice.winner) == ("", Winner.FIRST)


def test_what_the_first_reading_says_is_as_likely_as_its_cuts() -> None:
    sure = verdict(row("01"), "01").first
    image = row("01")
    image[40:82, 140:150] = 255
    unsure = verdict(image, "01").first
    assert sure is not None
    assert unsure is not None
    assert unsure <= sure <= 1


def test_one_digit_against_nothing_is_in_review(reader: Reader) -> None:
    number = only(read_page(field("0"), replace(reader, strips=Told(""))))
    assert (number.text, number.status) == ("0", Status.REVIEW)
    assert (number.digits[0].reason or "").startswith(
        "read otherwise a second time: the other reading sees nothing, "
    )


@pytest.mark.parametrize("told", ["", "5", "123456789"])
def test_no_second_reading_is_accepted_against_the_first(reader: Reader, told: str) -> None:
    reading = read_page(field("0100"), replace(reader, strips=Stubborn(told, sure=0.99999)))
    assert not any(number.status is Status.ACCEPTED for number in reading.numbers)


def test_two_readings_are_repeatable_to_the_byte(reader: Reader, untrained: StripReader) -> None:
    twice = replace(reader, strips=untrained)
    first, second = (read_page(field("01001"), twice) for _ in range(2))
    for one_number, other in zip(first.numbers, second.numbers, strict=True):
        assert (one_number.text, one_number.confidence) == (other.text, other.confidence)
        assert [d.top for d in one_number.digits] == [d.top for d in other.digits]
    assert [r.reason for r in first.rejected] == [r.reason for r in second.rejected]


def test_a_network_that_knows_nothing_reads_without_a_fault(untrained: StripReader) -> None:
    image = row("0110")
    for x in (300, 342, 450):
        zero(image, x)
    first, second = read(image, untrained), read(image, untrained)
    assert [(m.blob.box, m.share, m.differs) for m in first] == [
        (m.blob.box, m.share, m.differs) for m in second
    ]
    for mark in first:
        assert mark.rejection is not None or 0 <= mark.confidence <= 1
