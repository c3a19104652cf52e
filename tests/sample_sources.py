"""Small data sets on disk, in the forms that sources have: MNIST's files, cheque strips, Omniglot's zip."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.inks import Inks, collect

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"


def sample_digits() -> Inks:
    """A hundred digits of MNIST, ten of each, by a hundred writers."""
    with np.load(SAMPLE) as data:
        return collect("mnist-train", list(data["images"]), data["labels"], data["writers"])


def idx_bytes(values: NDArray[np.generic]) -> bytes:
    kind = {"uint8": 8, "int32": 12}[values.dtype.name]
    header = bytes([0, 0, kind, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def write_idx(file: Path, values: NDArray[np.generic]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(idx_bytes(values)))


def write_mnist(folder: Path, digits: Inks) -> None:
    """`digits` as MNIST's training and test part, with their writers."""
    labels = np.zeros((len(digits), 8), np.int32)
    labels[:, 2] = digits.groups
    for stem, part in (("train", "train"), ("t10k", "test")):
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", np.stack(list(digits.images)))
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", digits.labels.astype(np.uint8))
        write_idx(folder / "writers" / f"qmnist-{part}-labels-idx2-int.gz", labels)


def write_strips(folder: Path, digits: Inks, count: int) -> None:
    """Strips of a 3 and a 7 on grey paper, with a COCO box for each digit."""
    (folder / "images").mkdir(parents=True)
    pair = [digits.images[int(np.flatnonzero(digits.labels == digit)[0])] for digit in (3, 7)]
    ink = np.kron(np.hstack([np.zeros((28, 4)), pair[0], pair[1], np.zeros((28, 4))]), np.ones((2, 2)))
    image = Image.fromarray((220 - 180 * ink / 255).astype(np.uint8))
    images, annotations = [], []
    for number in range(count):
        images.append({"id": number, "file_name": f"{number}.png"})
        image.save(folder / "images" / f"{number}.png")
        for digit, x in ((7, 64), (3, 8)):
            annotations.append({"image_id": number, "category_id": digit, "bbox": [x, 0, 56, 56]})
    categories = [{"id": digit, "name": str(digit)} for digit in range(10)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))


def write_omniglot(file: Path) -> None:
    """Two characters of a Latin and of a Greek alphabet, black lines on white."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for alphabet in ("Latin", "Greek"):
            for character in (1, 2):
                paper = Image.new("1", (105, 105), 1)
                ImageDraw.Draw(paper).line((20, 20, 80, 30 * character), fill=0, width=3)
                stream = io.BytesIO()
                paper.save(stream, "PNG")
                archive.writestr(f"small/{alphabet}/character0{character}/0001_01.png", stream.getvalue())


def write_digit_folders(folder: Path, digits: Inks, *, nested: bool = False) -> None:
    """`digits` as `3/0.png`, or as the seed's `3/3/0.png`: black, the ink in the alpha channel."""
    for label in range(10):
        place = folder / str(label) / (str(label) if nested else "")
        place.mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(digits.labels == label)):
            ink = digits.images[int(index)]
            image = Image.fromarray(255 - ink)
            if nested:
                image = Image.new("RGBA", image.size)
                image.putalpha(Image.fromarray(ink))
            image.save(place / f"{number}.png")
