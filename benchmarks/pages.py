"""Renders pages of handwritten numbers with their exact truth.

    python -m benchmarks.pages OUT --kind form --count 5 --seed 1 --look photo
    python -m benchmarks.pages examples --examples

Every number is written by one writer of MNIST's test set, of whom no model has seen a digit in training.
`truth.csv` holds `file, digits` (all numbers of a file in reading order, separated by spaces), `boxes.csv` a
row per number with its place: boxes are half-open, in pixels of the image.
"""

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import handwriting
from benchmarks.handwriting import Hands
from benchmarks.layouts import A5, KINDS, METER, form
from benchmarks.sheet import Sheet, Style
from benchmarks.wear import Look, moved, photographed
from processor.records import Box

DATA = Path("../shared/data/mnist")
LEGIBLE = 367, 371, 2368, 2382, 2398, 2414
"""Writers of the sample scans: some others lost parts of their strokes in MNIST, and nobody can read them."""

LOOK_OPTIONS = "skew_degrees", "perspective", "texture", "shadow", "noise", "blur_mm", "bleed_through"
LOOKS = {
    "clean": Look(),
    "scan": Look(skew_degrees=0.8, texture=0.006, noise=2.5, blur_mm=0.04, bleed_through=0.05),
    "photo": Look(
        paper=(236, 230, 216),
        perspective=0.6,
        skew_degrees=2.0,
        texture=0.02,
        shadow=0.45,
        noise=4.0,
        blur_mm=0.09,
        jpeg_quality=80,
    ),
    "fax": Look(skew_degrees=-0.6, noise=25.0, one_bit=True),
}


@dataclass(frozen=True, kw_only=True)
class TrueNumber:
    """What is written where on an image; `field` is its place on the form, where it has one."""

    text: str
    digits: str
    field: str | None
    box: Box
    digit_boxes: tuple[Box, ...]


@dataclass(frozen=True, kw_only=True)
class RenderedPage:
    """An image, (H, W, 3) RGB or (H, W) 1-bit as 0 and 255, uint8, and its truth in reading order."""

    pixels: NDArray[np.uint8]
    dpi: float
    numbers: tuple[TrueNumber, ...]
    jpeg_quality: int | None = None

    @property
    def digits(self) -> str:
        return " ".join(number.digits for number in self.numbers)

    def image(self) -> Image.Image:
        """1-bit pages as mode 1, others as RGB."""
        image = Image.fromarray(self.pixels)
        return image.convert("1", dither=Image.Dither.NONE) if self.pixels.ndim == 2 else image


def render(
    kind: str,
    hands: Hands,
    seed: int,
    *,
    dpi: float = 200,
    style: Style | None = None,
    look: Look | None = None,
) -> RenderedPage:
    """One page of a kind in `KINDS`; the same arguments give the same page."""
    size, fill = KINDS[kind]
    return render_sheet(size, fill, hands, seed, dpi=dpi, style=style, look=look)


def render_sheet(
    size: tuple[float, float],
    fill: Callable[[Sheet], None],
    hands: Hands,
    seed: int,
    *,
    dpi: float,
    style: Style | None = None,
    look: Look | None = None,
) -> RenderedPage:
    """One page of paper of `size` millimetres, with what `fill` prints and writes on it."""
    writing, wearing = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    sheet = Sheet(
        width_mm=size[0], height_mm=size[1], dpi=dpi, hands=hands, style=style or Style(), rng=writing
    )
    fill(sheet)
    look = look or Look()
    pixels, homography = photographed(sheet, look, wearing)
    numbers = []
    for number in sheet.numbers:
        boxes = tuple(_bounds(moved(outline, homography)) for outline in number.outlines)
        numbers.append(
            TrueNumber(
                text=number.text,
                digits=number.digits,
                field=number.field,
                box=Box.around(boxes),
                digit_boxes=boxes,
            )
        )
    return RenderedPage(pixels=pixels, dpi=dpi, numbers=tuple(numbers), jpeg_quality=look.jpeg_quality)


def _bounds(points: NDArray[np.float64]) -> Box:
    """The box of a hull; where a pixel is inked by less than a tenth of its side it is not counted."""
    left, top = (int(v) for v in np.floor(points.min(axis=0) + 0.1))
    right, bottom = (int(v) for v in np.ceil(points.max(axis=0) - 0.1))
    return Box(left, top, right - left, bottom - top)


def save(page: RenderedPage, target: Path, following: Sequence[RenderedPage] = ()) -> None:
    """Writes an image, or a TIFF or PDF of several pages, with its resolution; the same bytes every time."""
    image, others = page.image(), [other.image() for other in following]
    if target.suffix == ".pdf":
        day = time.gmtime(0)
        image.save(
            target, resolution=page.dpi, save_all=True, append_images=others, creationDate=day, modDate=day
        )
        return
    options: dict[str, Any] = {"dpi": (page.dpi, page.dpi)}
    if target.suffix == ".jpg":
        options["quality"] = page.jpeg_quality or 90
    elif target.suffix == ".tif":
        compression = "group4" if image.mode == "1" else "tiff_lzw"
        options |= {"save_all": True, "append_images": others, "compression": compression}
    elif target.suffix == ".png":
        options["optimize"] = True
    image.save(target, **options)


Document = tuple[str, Sequence[RenderedPage]]
"""A file's name and its pages."""


def write_truth(folder: Path, documents: Sequence[Document]) -> None:
    """`truth.csv`, a row per file."""
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "digits"])
        for name, pages in documents:
            table.writerow([name, " ".join(page.digits for page in pages)])


def write_boxes(folder: Path, documents: Sequence[Document]) -> None:
    """`boxes.csv`, a row per number; the digits' boxes are x:y:width:height, separated by spaces."""
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["file", "page", "text", "digits", "field", "x", "y", "width", "height", "digit_boxes"]
        )
        for name, pages in documents:
            for at, page in enumerate(pages, start=1):
                for number in page.numbers:
                    box = number.box
                    digits = " ".join(f"{b.x}:{b.y}:{b.width}:{b.height}" for b in number.digit_boxes)
                    place = box.x, box.y, box.width, box.height
                    table.writerow([name, at, number.text, number.digits, number.field or "", *place, digits])


def examples(hands: Hands, folder: Path) -> None:
    """The scans that ship with the project: a photo, a form, a TIFF of three tables, a PDF of two pages."""
    hands = hands.of(LEGIBLE)
    photo = render("tally", hands, 11, dpi=230, style=Style(digit_mm=6.5, stroke_mm=0.6), look=LOOKS["photo"])
    delivery = render("form", hands, 12, dpi=200, look=Look(pen=(24, 40, 120), skew_degrees=0.4))
    table_look = Look(one_bit=True, noise=12.0, skew_degrees=0.5)
    tables = [render("table", hands, 20 + page, dpi=200, look=table_look) for page in range(3)]
    meter_look = Look(pen=(20, 30, 90), texture=0.004, noise=1.5, blur_mm=0.05, bleed_through=0.06)
    meters = [
        render_sheet(A5, partial(form, spec=METER), hands, 30 + page, dpi=200, look=meter_look)
        for page in range(2)
    ]
    documents: list[Document] = [
        ("photo.jpg", [photo]),
        ("form.png", [delivery]),
        ("climate.tif", tables),
        ("meter.pdf", meters),
    ]
    for name, pages in documents:
        save(pages[0], folder / name, pages[1:])
    write_truth(folder, documents)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    hands = handwriting.load(options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.examples:
        examples(hands, options.out)
    elif options.sample:
        handwriting.save(handwriting.sample(hands, writers=10, seed=0), options.out / "mnist-sample.npz")
    else:
        _render_many(hands, options)


def _render_many(hands: Hands, options: argparse.Namespace) -> None:
    style = replace(Style(), **_given(options, "digit_mm", "stroke_mm", "gap", "crossing"))
    changes = _given(options, *LOOK_OPTIONS, "pen", "jpeg_quality", "one_bit")
    look = replace(LOOKS[options.look], **changes)
    documents: list[Document] = []
    for number in range(options.count):
        seed = options.seed * 1000 + number
        page = render(options.kind, hands, seed, dpi=options.dpi, style=style, look=look)
        name = f"{options.kind}-{options.look}-{seed:06d}.{options.format}"
        save(page, options.out / name)
        documents.append((name, [page]))
    write_truth(options.out, documents)
    write_boxes(options.out, documents)


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _colour(text: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(text.removeprefix("#")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Render pages of handwritten numbers, with their truth.")
    add = parser.add_argument
    add("out", type=Path, help="folder for images, truth.csv and boxes.csv")
    add("--data", type=Path, default=DATA, help="MNIST with its writers, or a sample .npz (%(default)s)")
    add("--kind", choices=KINDS, default="form", help="what is on the sheet (%(default)s)")
    add("--look", choices=LOOKS, default="scan", help="how it became a file (%(default)s)")
    add("--count", type=int, default=1, help="pages (%(default)s)")
    add("--seed", type=int, default=1, help="the same seed gives the same pages (%(default)s)")
    add("--dpi", type=float, default=200, help="75 to 600 (%(default)s)")
    add("--format", choices=("png", "jpg", "tif", "pdf"), default="png", help="(%(default)s)")
    add("--digit-mm", type=float, help="height of a digit")
    add("--stroke-mm", type=float, help="width of the pen's stroke")
    add("--gap", type=float, help="mean gap between digits in digit heights; below 0 they touch")
    add("--crossing", type=float, help="share of numbers that slip onto the line below them")
    add("--pen", type=_colour, help="colour of the pen, RRGGBB")
    for name in LOOK_OPTIONS:
        add(f"--{name.replace('_', '-')}", type=float, help="instead of the look's own")
    add("--jpeg-quality", type=int, help="instead of the look's own")
    add("--one-bit", action="store_true", default=None, help="black and white only")
    add("--examples", action="store_true", help="write the sample scans of the project instead")
    add("--sample", action="store_true", help="write a sample of a hundred digits for tests instead")
    return parser


if __name__ == "__main__":
    main()
