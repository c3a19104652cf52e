"""Digits cut out of strips: by boxes that somebody drew, or aligned to numbers that somebody typed."""

from collections.abc import Callable, Iterable
from pathlib import Path

from processor.errors import BadScan
from processor.records import Box, CutOut, Page
from training import cutting, datasets
from training.inks import Inks, collect
from training.sources.files import read_page
from training.sources.folders import subfolders
from training.sources.found import Found, mostly_read
from training.sources.measured import content_of, contents_held_out


def cut_strips(
    source: str, folder: Path, names: Iterable[str], cut: Callable[..., list[cutting.Labelled]]
) -> Inks:
    """What `cut` finds on the strips `names` of a folder of images and COCO boxes; each strip is a group."""
    images: list[CutOut] = []
    labels: list[int] = []
    groups: list[int] = []
    for group, (name, boxes) in enumerate(datasets.strip_boxes(folder, list(names)).items()):
        for image, label in cut(datasets.strip_page(folder, name), boxes):
            images.append(cutting.compact(image))
            labels.append(label)
            groups.append(group)
    return collect(source, images, labels, groups)


def coco_strips(source: str, folder: Path, held_out: Path) -> Found:
    """Digits cut by the boxes of `folder/annotations.json` out of `folder/images/`; each strip is a group.

    The strips that all models are measured on, in the folder `held_out` by their names and in any other by
    their content, are left out. Raises BadCommand where
    the boxes are not in COCO's form, or more than half of the strips cannot be read.
    """
    subfolders(folder)
    boxes = datasets.strip_boxes(folder, datasets.annotated_strips(folder))
    if folder.resolve() == held_out.resolve():
        measured = datasets.held_out_strips(folder)
    else:
        contents = contents_held_out(held_out)
        measured = frozenset(name for name in boxes if content_of(folder / "images" / name) in contents)
    images: list[CutOut] = []
    labels: list[int] = []
    groups: list[int] = []
    skipped: list[str] = []
    beside: list[str] = []
    for group, name in enumerate(sorted(boxes.keys() - measured)):
        try:
            page = read_page(folder / "images" / name)
        except BadScan as error:
            skipped.append(f"images/{error.message.rstrip('.')}")
            continue
        on_page = [pair for pair in boxes[name] if _meets(page, pair[1])]
        beside += [
            f"images/{name}: the box {box.x}, {box.y}, {box.width}, {box.height} of a {digit} "
            f"holds nothing of the {page.width}×{page.height} pixels"
            for digit, box in boxes[name]
            if not _meets(page, box)
        ]
        cut = cutting.cut_boxes(page, on_page)
        images += [cutting.compact(image) for image, _ in cut]
        labels += [label for _, label in cut]
        groups += [group] * len(cut)
    strips = len(boxes) - len(measured) - len(skipped)
    faults = (*mostly_read(folder, strips, skipped), *mostly_read(folder, len(images), beside))
    return Found(collect(source, images, labels, groups), faults)


def _meets(page: Page, box: Box) -> bool:
    """Whether the box has a size, and a part of it lies on the page."""
    sized = box.width > 0 and box.height > 0
    return sized and box.x < page.width and box.y < page.height and box.right > 0 and box.bottom > 0
