"""The sources of handwriting: MNIST, JC-ProgJava, cheque strips, Omniglot and folders of images."""

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processor.errors import BadCommand
from processor.records import Box, Gray, Page
from training.inks import NONE, Inks, collect

HELD_OUT_STRIPS = 200
"""So many cheque strips are never trained on, whatever the recipe says."""

_IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


def read_idx(file: Path) -> NDArray[Any]:
    """An array from a (gzipped) idx file of bytes or 32-bit integers.

    Raises BadCommand where the file is missing or is none.
    """
    data = _read(file)
    if file.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise BadCommand(f"{file} is no gzip file: {error}.", "Fetch it again.") from None
    if len(data) < 8 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise BadCommand(f"{file} is no idx file: it starts with {data[:4]!r}.", "Fetch it again.")
    kind, rank = _IDX_TYPES[data[2]], data[3]
    shape = np.frombuffer(data, ">i4", rank, 4)
    values = np.frombuffer(data, kind, offset=4 + 4 * rank)
    if values.size != int(np.prod(shape)):
        raise BadCommand(
            f"{file} holds {values.size} values, its header says {'×'.join(map(str, shape))}.",
            "Fetch it again.",
        )
    reshaped: NDArray[Any] = values.reshape(shape)
    return reshaped


def mnist(folder: Path, part: str) -> Inks:
    """MNIST's `train` or `test` part; groups are QMNIST's writers."""
    stem = {"train": "train", "test": "t10k"}[part]
    images = read_idx(folder / f"{stem}-images-idx3-ubyte.gz").astype(np.uint8)
    labels = read_idx(folder / f"{stem}-labels-idx1-ubyte.gz").astype(np.int64)
    writers = read_idx(folder / "writers" / f"qmnist-{part}-labels-idx2-int.gz")[: len(labels), 2]
    return Inks(f"mnist-{part}", list(images), labels, writers.astype(np.int64))


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
    names = (file.name for file in (folder / "images").iterdir())
    return frozenset(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count])


def strip_names(folder: Path) -> list[str]:
    """All cheque strips of `folder` that may be trained on, sorted."""
    out = held_out_strips(folder)
    return sorted(file.name for file in (folder / "images").iterdir() if file.name not in out)


def strip_boxes(folder: Path, names: Collection[str]) -> dict[str, list[tuple[int, Box]]]:
    """Digit and box (pixels of the strip) of every annotated digit of the strips `names`, left to right."""
    annotations = json.loads(_read(folder / "annotations.json"))
    files = {image["id"]: image["file_name"] for image in annotations["images"]}
    digits = {c["id"]: int(c["name"]) for c in annotations["categories"] if c["name"].isdigit()}
    boxes: dict[str, list[tuple[int, Box]]] = {name: [] for name in sorted(names)}
    for entry in annotations["annotations"]:
        name = files[entry["image_id"]]
        if name in boxes:
            x, y, width, height = (round(v) for v in entry["bbox"])
            boxes[name].append((digits[entry["category_id"]], Box(x, y, width, height)))
    return {name: sorted(found, key=lambda pair: pair[1].x) for name, found in boxes.items()}


def strip_page(folder: Path, name: str) -> Page:
    """One strip as the product sees it."""
    with Image.open(io.BytesIO(_read(folder / "images" / name))) as image:
        return Page(number=1, pixels=np.asarray(image.convert("L")), dpi=None)


def omniglot(file: Path, alphabets: Collection[str]) -> Inks:
    """Characters of the named alphabets, all labelled as no digit; groups are the characters."""
    images: list[Gray] = []
    groups: list[int] = []
    characters: dict[str, int] = {}
    with zipfile.ZipFile(io.BytesIO(_read(file))) as archive:
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
        with Image.open(file) as image:
            images.append(np.asarray(image.convert("L")))
    return collect(folder.name, images, [NONE] * len(images), list(range(len(images))))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadCommand(
            f"{file} cannot be read: {error.strerror}.",
            "Name the folder of the data sets with --data, or take the source out of the recipe.",
        ) from None
