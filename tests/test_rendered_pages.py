"""Rendered pages: their truth is exact, they look as asked for, and the shipped scans are complete."""

import csv
import gzip
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmarks import handwriting
from benchmarks.handwriting import Hands, pen_strokes
from benchmarks.layouts import A5, KINDS, METER, form
from benchmarks.pages import LOOKS, RenderedPage, main, render, render_sheet, save
from benchmarks.sheet import Sheet, Style, digits_of
from benchmarks.wear import Look

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"
EXAMPLES = Path(__file__).parent.parent / "examples"
HANDS = handwriting.load(SAMPLE)
RED = Look(paper=(255, 255, 255), pen=(255, 0, 0), rules=(0, 0, 255))


def red_ink(page: RenderedPage) -> NDArray[np.bool_]:
    """Where a page that was written in red shows at least half a pixel of pen, pressed lightly or not."""
    red, green = page.pixels[:, :, 0].astype(int), page.pixels[:, :, 1].astype(int)
    return np.asarray((red > 150) & (green < 0.6 * red))


def two_digits(sheet: Sheet) -> None:
    sheet.write("47", 20, 20)
    sheet.write("305", 20, 40)


def small(look: Look | None = None, seed: int = 1, **style: float) -> RenderedPage:
    return render_sheet((60, 60), two_digits, HANDS, seed, dpi=200, look=look, style=Style(**style))


# Truth


@given(
    seed=st.integers(0, 10_000),
    skew=st.sampled_from([0.0, -3.0, 1.5, 10.0]),
    slope=st.sampled_from([0.0, 0.7]),
)
@settings(max_examples=15, deadline=None)
def test_boxes_hold_the_ink_of_their_digit_and_no_more(seed: int, skew: float, slope: float) -> None:
    page = small(Look(paper=(255, 255, 255), pen=(255, 0, 0), skew_degrees=skew, perspective=slope), seed)
    ink = red_ink(page)
    outside = ink.copy()
    for box in (b for number in page.numbers for b in number.digit_boxes):
        outside[box.y - 1 : box.bottom + 1, box.x - 1 : box.right + 1] = False
        inside = ink[box.y : box.bottom, box.x : box.right]
        rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
        assert rows[0] <= 2
        assert columns[0] <= 2
        assert rows[-1] >= box.height - 3
        assert columns[-1] >= box.width - 3
    assert not outside.any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_stroke_of_the_pen_is_in_the_truth(kind: str) -> None:
    page = render(kind, HANDS, 5, dpi=100, look=RED)
    ink = red_ink(page)
    assert ink.any()
    for number in page.numbers:
        assert len(number.digit_boxes) == len(number.digits)
        box = number.box
        ink[max(0, box.y - 4) : box.bottom + 8, max(0, box.x - 4) : box.right + 4] = (
            False  # commas hang lower
        )
    assert not ink.any()


@pytest.mark.parametrize("kind", ["form", "tally"])
def test_same_seed_same_page(kind: str) -> None:
    first, again, other = (render(kind, HANDS, seed, dpi=75) for seed in (3, 3, 4))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.numbers == again.numbers
    assert first.digits != other.digits


def test_light_and_wear_do_not_move_the_truth() -> None:
    worn = Look(texture=0.02, shadow=0.5, noise=5, blur_mm=0.1, bleed_through=0.2, pen=(90, 90, 90))
    assert small(worn).numbers == small().numbers


def test_each_number_is_written_by_one_hand() -> None:
    square, bar = np.zeros((28, 28), np.uint8), np.zeros((28, 28), np.uint8)
    square[4:24, 4:24], bar[4:24, 12:16] = 255, 255
    images = np.array([shape for shape in (square, bar) for _ in range(10)])
    hands = Hands(images, np.tile(np.arange(10), 2), np.repeat([1, 2], 10))
    page = render("free", hands, 1, dpi=75)
    wide = [{box.width > 0.6 * box.height for box in number.digit_boxes} for number in page.numbers]
    assert all(len(kinds) == 1 for kinds in wide)
    assert {True, False} == set.union(*wide)


def test_writers_are_asked_only_for_digits_they_left() -> None:
    assert HANDS.of([int(HANDS.writers[0])]).able("0123456789") == [HANDS.writers[0]]
    lacking = Hands(HANDS.images[1:], HANDS.labels[1:], HANDS.writers[1:])
    assert len(lacking.able("0")) == 9
    assert len(lacking.able("123456789")) == 10


# Kinds


def test_form_adds_up_and_names_its_fields() -> None:
    values = {n.field: n.digits for n in render("form", HANDS, 8, dpi=75).numbers}
    parts = ("pallets", "boxes", "bottles", "empties")
    assert int(values["total"]) == sum(int(values[part]) for part in parts)
    assert int(values["end"]) > int(values["start"])
    assert len(values["date"]) == 8
    assert 1 <= int(values["date"][:2]) <= 31
    assert 1 <= int(values["date"][2:4]) <= 12


def test_comb_has_a_digit_in_each_box() -> None:
    page = render_sheet(A5, partial(form, spec=METER), HANDS, 2, dpi=100, style=Style(jitter=0))
    meter = next(n for n in page.numbers if n.field == "meter")
    centres = np.array([box.centre[0] for box in meter.digit_boxes])
    pitch = 1.5 * 5.0 / 25.4 * 100
    assert np.abs(np.diff(centres) - pitch).max() < 2


def test_table_keeps_commas_in_the_text_alone() -> None:
    numbers = render("table", HANDS, 1, dpi=75).numbers
    assert len(numbers) == 24 * 6
    highest = [n for n in numbers if n.field == "highest"]
    assert all("," in n.text and n.digits == n.text.replace(",", "") for n in highest)
    assert [n.digits for n in numbers if n.field == "day"] == [str(day) for day in range(1, 25)]


def test_tally_columns_end_with_their_sums() -> None:
    numbers = render("tally", HANDS, 1, dpi=75).numbers
    rows = np.array([int(n.digits) for n in numbers]).reshape(-1, 3)
    assert np.array_equal(rows[:-1].sum(axis=0), rows[-1])
    assert {n.field for n in numbers[-3:]} == {"sum"}


def test_free_numbers_keep_clear_of_each_other() -> None:
    numbers = render("free", HANDS, 2, dpi=75).numbers
    assert len(numbers) > 40
    covered = np.zeros((900, 700), int)
    for number in numbers:
        covered[number.box.y : number.box.bottom, number.box.x : number.box.right] += 1
    assert covered.max() == 1


def test_ink_outside_the_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the sheet"):
        render_sheet((50, 50), lambda sheet: sheet.print_text(80, 20, "Name"), HANDS, 1, dpi=100)


# Style


@pytest.mark.parametrize("dpi", [75, 200, 600])
def test_digits_are_as_high_as_asked_at_any_resolution(dpi: float) -> None:
    page = render_sheet((60, 60), two_digits, HANDS, 1, dpi=dpi, style=Style(jitter=0, digit_mm=6))
    heights = [box.height / dpi * 25.4 for number in page.numbers for box in number.digit_boxes]
    assert max(heights) == pytest.approx(6, rel=0.12)


@pytest.mark.parametrize("stroke", [10.0, 12.0, 18.0])
def test_strokes_are_as_wide_as_asked(stroke: float) -> None:
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 12:15] = 255
    ink = pen_strokes(bar, 100, stroke)
    assert float(ink[ink.shape[0] // 2].sum()) == pytest.approx(stroke, rel=0.15)


def test_strokes_are_never_thinned_to_breaking() -> None:
    def parts(stroke: float) -> list[int]:
        inks = [pen_strokes(glyph, 60, stroke) > 0.5 for glyph in HANDS.images]
        return [cv2.connectedComponents(ink.astype(np.uint8))[0] - 1 for ink in inks]

    broken = [thin > wide for thin, wide in zip(parts(1), parts(7), strict=True)]
    assert sum(broken) <= 3


def test_strokes_have_sharp_edges_and_keep_their_holes() -> None:
    for glyph, label in zip(HANDS.images, HANDS.labels, strict=True):
        ink = pen_strokes(glyph, 60, 5)
        solid = ink > 0.5
        partial_pixels = np.count_nonzero((ink > 0.05) & (ink < 0.95))
        assert partial_pixels < 0.6 * np.count_nonzero(solid)
        if label == 1:
            assert cv2.connectedComponents(solid.astype(np.uint8))[0] == 2


def test_slant_leans_strokes_over() -> None:
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 13:16] = 255
    assert pen_strokes(bar, 60, 6, 30).shape[1] > 2 * pen_strokes(bar, 60, 6).shape[1]


def test_blank_glyph_gives_no_ink() -> None:
    assert pen_strokes(np.zeros((28, 28), np.uint8), 30, 3).max() == 0


def test_digits_touch_where_the_gap_is_negative() -> None:
    def gaps(gap: float) -> list[int]:
        boxes: list[Sequence[int]] = [
            (left.right, right.x)
            for number in small(gap=gap).numbers
            for left, right in zip(number.digit_boxes, number.digit_boxes[1:], strict=False)
        ]
        return [right - left for left, right in boxes]

    assert max(gaps(-0.15)) < 0 < min(gaps(0.2))


def test_numbers_slip_onto_the_line_below() -> None:
    straight, slipped = small(crossing=0.0), small(crossing=1.0)
    drops = [b.box.bottom - a.box.bottom for a, b in zip(straight.numbers, slipped.numbers, strict=True)]
    assert min(drops) > 0


def test_separators_are_written_but_are_no_digits() -> None:
    def fill(sheet: Sheet) -> None:
        sheet.write("1,2-3.4", 10, 20)

    number = render_sheet((60, 40), fill, HANDS, 1, dpi=150).numbers[0]
    assert number.text == "1,2-3.4"
    assert number.digits == digits_of(number.text) == "1234"
    assert len(number.digit_boxes) == 4


# Looks


def test_one_bit_page_is_black_and_white() -> None:
    page = small(LOOKS["fax"])
    assert page.pixels.ndim == 2
    assert set(np.unique(page.pixels)) == {0, 255}
    assert page.image().mode == "1"
    assert np.array_equal(np.asarray(page.image()), page.pixels > 0)


def test_shadow_darkens_a_part_of_the_page() -> None:
    lit, shaded = small(Look()).pixels.mean(axis=2), small(Look(shadow=0.5)).pixels.mean(axis=2)
    factor = np.median(lit) and shaded / np.maximum(lit, 1)
    assert np.percentile(factor, 2) < 0.75
    assert np.percentile(factor, 2) > 0.2
    assert np.percentile(factor, 98) > 0.85


def test_noise_and_texture_roughen_the_paper() -> None:
    corner = np.s_[:40, -40:]
    assert small(Look()).pixels[corner].std(axis=(0, 1)).max() == 0
    assert small(Look(noise=6)).pixels[corner].std() > 2
    assert small(Look(texture=0.02)).pixels[corner].std(axis=(0, 1)).min() > 0.3


def test_other_side_shines_through_faintly_and_mirrored() -> None:
    plain, through = small(Look()).pixels.astype(int), small(Look(bleed_through=0.2)).pixels.astype(int)
    darker = (plain - through).max(axis=2)
    assert 20 < darker.max() < 80
    assert np.median(np.nonzero(darker > 10)[1]) > plain.shape[1] / 2


def test_photo_shows_the_desk_around_the_whole_sheet() -> None:
    page = small(Look(perspective=1.0))
    edges = np.concatenate([page.pixels[0], page.pixels[-1], page.pixels[:, 0], page.pixels[:, -1]])
    assert (edges.max(axis=1) < 120).all()
    assert all(b.x > 0 and b.right < page.pixels.shape[1] for n in page.numbers for b in n.digit_boxes)


# Files


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_saved_image_states_its_resolution(tmp_path: Path, suffix: str) -> None:
    page = small()
    save(page, tmp_path / f"page{suffix}")
    with Image.open(tmp_path / f"page{suffix}") as image:
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert (image.height, image.width) == page.pixels.shape[:2]
        if suffix != ".jpg":
            assert np.array_equal(np.asarray(image.convert("RGB")), page.pixels)


@pytest.mark.parametrize("look", ["clean", "fax"])
def test_several_pages_go_into_one_tiff_or_pdf(tmp_path: Path, look: str) -> None:
    pages = [small(LOOKS[look], seed) for seed in range(3)]
    save(pages[0], tmp_path / "all.tif", pages[1:])
    save(pages[0], tmp_path / "all.pdf", pages[1:])
    with Image.open(tmp_path / "all.tif") as image:
        assert getattr(image, "n_frames", 1) == 3
    document = pypdfium2.PdfDocument(tmp_path / "all.pdf")
    assert len(document) == 3
    assert document[0].get_width() / 72 * 200 == pytest.approx(pages[0].pixels.shape[1], abs=1)
    document.close()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".pdf"])
def test_saving_twice_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    written = []
    for _ in range(2):
        save(small(), tmp_path / f"page{suffix}")
        written.append((tmp_path / f"page{suffix}").read_bytes())
    assert written[0] == written[1]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_command_writes_images_and_truth(tmp_path: Path) -> None:
    options = "--kind tally --count 2 --seed 3 --dpi 75 --look photo --format jpg --noise 0 --pen 202060"
    main([str(tmp_path), "--data", str(SAMPLE), *options.split()])
    truth, boxes = rows_of(tmp_path / "truth.csv"), rows_of(tmp_path / "boxes.csv")
    assert [row["file"] for row in truth] == ["tally-photo-003000.jpg", "tally-photo-003001.jpg"]
    assert all((tmp_path / row["file"]).is_file() for row in truth)
    for row in truth:
        own = [box for box in boxes if box["file"] == row["file"]]
        assert row["digits"].split() == [box["digits"] for box in own]
        assert all(len(box["digit_boxes"].split()) == len(box["digits"]) for box in own)


def test_command_can_be_told_every_trait(tmp_path: Path) -> None:
    options = (
        "--kind form --dpi 75 --look clean --one-bit --digit-mm 4 --stroke-mm 0.6 --gap 0.3 --skew-degrees 2"
    )
    main([str(tmp_path), "--data", str(SAMPLE), *options.split()])
    with Image.open(tmp_path / "form-clean-001000.png") as image:
        assert image.mode == "1"
        assert image.width > 210 / 25.4 * 75


def test_sample_command_picks_one_of_each_class_by_each_writer(tmp_path: Path) -> None:
    main([str(tmp_path), "--data", str(SAMPLE), "--sample"])
    again = handwriting.load(tmp_path / "mnist-sample.npz")
    assert np.array_equal(again.images, HANDS.images)
    assert np.array_equal(again.writers, HANDS.writers)


# Data


def write_idx(file: Path, kind: int, shape: Sequence[int], content: bytes) -> None:
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape)
    file.write_bytes(gzip.compress(header + content))


def write_mnist(folder: Path, labels_of_writers: bytes) -> None:
    (folder / "writers").mkdir()
    images = np.arange(3 * 784, dtype=np.uint32).astype(np.uint8)
    write_idx(folder / "t10k-images-idx3-ubyte.gz", 8, (3, 28, 28), images.tobytes())
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", 8, (3,), bytes([7, 2, 1]))
    rows = b"".join(
        struct.pack(">8i", label, 4, 2500 + at, 0, 0, 0, 0, 0) for at, label in enumerate(labels_of_writers)
    )
    file = folder / "writers" / "qmnist-test-labels-idx2-int.gz"
    write_idx(file, 12, (len(labels_of_writers), 8), rows)


def test_mnist_is_read_with_its_writers(tmp_path: Path) -> None:
    write_mnist(tmp_path, bytes([7, 2, 1, 9, 9]))
    hands = handwriting.load(tmp_path)
    assert hands.labels.tolist() == [7, 2, 1]
    assert hands.writers.tolist() == [2500, 2501, 2502]
    assert hands.images.shape == (3, 28, 28)
    assert hands.images[0, 0, :3].tolist() == [0, 1, 2]


def test_writers_of_other_digits_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, bytes([7, 3, 1]))
    with pytest.raises(ValueError, match="not those of these digits"):
        handwriting.load(tmp_path)


def test_sample_holds_ten_digits_a_class_and_its_licence() -> None:
    assert HANDS.images.shape == (100, 28, 28)
    assert np.bincount(HANDS.labels).tolist() == [10] * 10
    assert len(np.unique(HANDS.writers)) == 10
    assert "Attribution-ShareAlike 3.0" in SAMPLE.with_suffix(".md").read_text("utf-8")


# The shipped scans


def test_shipped_scans_have_their_truth_and_their_licence() -> None:
    truth = {row["file"]: row["digits"].split() for row in rows_of(EXAMPLES / "truth.csv")}
    scans = {p.name for p in EXAMPLES.iterdir() if p.suffix not in (".md", ".csv") and p.name[0] != "."}
    assert scans == set(truth) == {"photo.jpg", "form.png", "climate.tif", "meter.pdf"}
    assert all(number.isdecimal() for numbers in truth.values() for number in numbers)
    assert len(truth["climate.tif"]) == 3 * 24 * 6
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert "Attribution-ShareAlike 3.0" in readme
    assert all(name in readme for name in scans)


def test_shipped_scans_are_small_and_whole() -> None:
    assert sum(file.stat().st_size for file in EXAMPLES.iterdir()) < 2_000_000
    with Image.open(EXAMPLES / "climate.tif") as image:
        assert (getattr(image, "n_frames", 1), image.mode) == (3, "1")
    with Image.open(EXAMPLES / "photo.jpg") as image:
        image.load()
        assert 2.5e6 < image.width * image.height < 4e6
    with Image.open(EXAMPLES / "form.png") as image:
        image.load()
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    document = pypdfium2.PdfDocument(EXAMPLES / "meter.pdf")
    assert len(document) == 2
    document.close()
