"""Data sets as they are published: MNIST, JC-ProgJava, cheque strips, Omniglot and folders of ink."""

import gzip
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processor.errors import BadCommand
from processor.pages.faults import DAMAGE
from processor.records import Box, Gray, Page
from training.inks import NONE, Inks, Labels, collect

HELD_OUT_STRIPS = 200
"""So many cheque strips are never trained on, whatever the recipe says."""

MAX_BYTES = 2 << 30
"""Larger arrays are refused before they are unpacked: a file of kilobytes can claim any size."""

PARTS = {"train": "train", "test": "t10k"}
"""MNIST's parts and how its files call them."""

_IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


def read_idx(file: Path) -> NDArray[Any]:
    """An array from a (gzipped) idx file of bytes or 32-bit integers.

    Raises BadCommand where the file is missing or is none.
    """
    data = _read(file)
    if file.suffix == ".gz":
        data = _unzipped(file, data)
    if len(data) < 8 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES or not 1 <= data[3] <= 3:
        raise BadCommand(f"{file} is no idx file: it starts with {data[:4]!r}.", "Fetch it again.")
    kind, rank = _IDX_TYPES[data[2]], data[3]
    start = 4 + 4 * rank
    shape = [int.from_bytes(data[place : place + 4]) for place in range(4, start, 4)]
    held = max(0, len(data) - start) // kind.itemsize
    if held != math.prod(shape) or len(data) < start:
        raise BadCommand(
            f"{file} holds {held} values, its header says {'×'.join(map(str, shape))}.",
            "Fetch it again.",
        )
    values: NDArray[Any] = np.frombuffer(data, kind, count=held, offset=start)
    return values.reshape(shape)


def _unzipped(file: Path, data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadCommand(f"{file} is no gzip file: {error}.", "Fetch it again.") from None
    if len(content) > MAX_BYTES:
        raise BadCommand(f"{file} unpacks to more than {MAX_BYTES >> 20} MB.", "Fetch it again.")
    return content


def mnist(folder: Path, part: str) -> Inks:
    """MNIST's `train` or `test` part; groups are QMNIST's writers."""
    stem = PARTS[part]
    images = read_idx(folder / f"{stem}-images-idx3-ubyte.gz").astype(np.uint8)
    labels = read_idx(folder / f"{stem}-labels-idx1-ubyte.gz").astype(np.int64)
    writers = writers_of(folder, part, len(labels))
    if writers is None:
        raise BadCommand(f"{folder / _writers_file(part)} is missing: who wrote which digit.", _ELSEWHERE)
    return Inks(f"mnist-{part}", list(images), labels, writers)


def writers_of(folder: Path, part: str, count: int) -> Labels | None:
    """The writers (count,) of MNIST's part by QMNIST's labels; None where these are not at hand."""
    file = folder / _writers_file(part)
    if not file.is_file():
        return None
    rows = read_idx(file)
    # QMNIST's test part goes on where MNIST's ends.
    if rows.ndim != 2 or rows.shape[1] < 3 or len(rows) < count:
        raise BadCommand(
            f"{file} has {'×'.join(map(str, rows.shape))} values for {count} digits.", _ELSEWHERE
        )
    return rows[:count, 2].astype(np.int64)


def _writers_file(part: str) -> Path:
    return Path("writers") / f"qmnist-{part}-labels-idx2-int.gz"


def jc_progjava(file: Path, per_digit: int) -> Inks:
    """Evenly spaced samples of each digit of JC-ProgJava's set.

    It is a few originals, each shifted and skewed thousands of times: more of them teach nothing new, and a
    random split of them leaks. All samples of a digit are one group.
    """
    with np.load(io.BytesIO(_read(file))) as data:
        images, labels = data["images"], data["labels"].astype(np.int64)
    chosen: list[int] = []
    for digit in range(10):
        places = np.flatnonzero(labels == digit)
        chosen += places[np.linspace(0, len(places) - 1, min(per_digit, len(places))).astype(int)].tolist()
    return Inks("jc-progjava", list(images[chosen]), labels[chosen], labels[chosen])


def held_out_strips(folder: Path, count: int = HELD_OUT_STRIPS) -> frozenset[str]:
    """The cheque strips that are only measured on: those whose file names have the smallest sha256."""
    names = _strip_files(folder)
    return frozenset(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count])


def strip_names(folder: Path) -> list[str]:
    """All cheque strips of `folder` that may be trained on, sorted."""
    out = held_out_strips(folder)
    return [name for name in _strip_files(folder) if name not in out]


def _strip_files(folder: Path) -> list[str]:
    try:
        return sorted(file.name for file in (folder / "images").iterdir())
    except OSError as error:
        raise BadCommand(f"{folder / 'images'} cannot be listed: {error.strerror}.", _ELSEWHERE) from None


def strip_boxes(folder: Path, names: Collection[str]) -> dict[str, list[tuple[int, Box]]]:
    """Digit and box (pixels of the strip) of every annotated digit of the strips `names`, left to right.

    Raises BadCommand where `annotations.json` is not in COCO's form, or has no category that is a digit.
    """
    file = folder / "annotations.json"
    boxes: dict[str, list[tuple[int, Box]]] = {name: [] for name in sorted(names)}
    for name, digit, box in _annotated(file):
        if name in boxes:
            boxes[name].append((digit, box))
    return {name: sorted(found, key=lambda pair: pair[1].x) for name, found in boxes.items()}


def annotated_strips(folder: Path) -> list[str]:
    """The file names of all strips of which a digit is annotated, sorted. Raises BadCommand."""
    return sorted({name for name, _, _ in _annotated(folder / "annotations.json")})


def _annotated(file: Path) -> list[tuple[str, int, Box]]:
    """Strip, digit and box of each annotation of a COCO file; categories that are no digit are left out."""
    expected = "expected COCO's images, categories (named 0 to 9) and annotations"
    try:
        content = json.loads(_read(file))
        files = {image["id"]: _inside(str(image["file_name"])) for image in content["images"]}
        digits = {c["id"]: int(c["name"]) for c in content["categories"] if str(c["name"]) in _DIGITS}
        found = [
            (files[entry["image_id"]], digits[entry["category_id"]], _box(entry["bbox"]))
            for entry in content["annotations"]
            if entry["category_id"] in digits
        ]
    except KeyError as error:
        raise BadCommand(f"{file} has no {error}; {expected}.", _ELSEWHERE) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadCommand(f"{file} is no such table ({error}); {expected}.", _ELSEWHERE) from None
    if not found:
        raise BadCommand(f"{file} marks no digit; {expected}.", _ELSEWHERE)
    return found


def _inside(name: str) -> str:
    """`name`, which must be that of a file in the folder of images. Raises ValueError."""
    name.encode()
    parts = name.replace("\\", "/").split("/")
    if "\0" in name or ".." in parts or not parts[0] or parts[0][1:2] == ":":
        raise ValueError(f"the file_name {name!r} does not stay inside the folder images")
    return name


def _box(values: list[float]) -> Box:
    x, y, width, height = (round(value) for value in values)
    return Box(x, y, width, height)


def strip_page(folder: Path, name: str) -> Page:
    """One strip as the product sees it."""
    file = folder / "images" / name
    with _undamaged(file), Image.open(io.BytesIO(_read(file))) as image:
        return Page(number=1, pixels=np.asarray(image.convert("L")), dpi=None)


def omniglot(file: Path, alphabets: Collection[str]) -> Inks:
    """Characters of the named alphabets, all labelled as no digit; groups are the characters."""
    images: list[Gray] = []
    groups: list[int] = []
    characters: dict[str, int] = {}
    with _undamaged(file), zipfile.ZipFile(io.BytesIO(_read(file))) as archive:
        for name in sorted(archive.namelist()):
            parts = name.split("/")
            if name.endswith(".png") and parts[1] in alphabets:
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    images.append(255 - np.asarray(image.convert("L")))
                groups.append(characters.setdefault("/".join(parts[1:3]), len(characters)))
    return collect("omniglot", images, [NONE] * len(images), groups)


def folder_of_ink(folder: Path) -> Inks:
    """All PNGs of a folder (white ink on black), labelled as no digit."""
    images = []
    for file in sorted(folder.glob("*.png")):
        with _undamaged(file), Image.open(file) as image:
            images.append(np.asarray(image.convert("L")))
    return collect(folder.name, images, [NONE] * len(images), list(range(len(images))))


@contextmanager
def _undamaged(file: Path) -> Iterator[None]:
    """Whatever a decoder raises on a published file is a BadCommand: the file is to be fetched again."""
    try:
        yield
    except _FAULTS as error:
        raise BadCommand(f"{file} is damaged: {str(error).rstrip('.')}.", "Fetch it again.") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadCommand(
            f"{file} cannot be read: {error.strerror}.",
            _ELSEWHERE,
        ) from None


_DIGITS = frozenset("0123456789")
_FAULTS: tuple[type[Exception], ...] = (*DAMAGE, zipfile.BadZipFile, zlib.error)
_ELSEWHERE = "Name the folder of the data sets with --data, or take the source out of the recipe."
