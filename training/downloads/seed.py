"""JC-ProgJava's *Handwritten Digits Dataset (not in MNIST)*: a zip of 107,730 small pictures, as one array.

The zip is made anew by whichever server sends it, so its own sha256 says nothing: the pixels are compared.
"""

import hashlib
import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.downloads.contents import GZIP_MAGIC, described, unpacked
from training.downloads.faults import WrongContent

SIDE = 28
_PICTURE = re.compile(r"(?:.*/)?([0-9])/([0-9]{1,6})\.png")
"""`<digit>/<number>.png`, below whatever folders; only names are looked at, nothing is unpacked to disk."""

_PICTURE_BYTES = 1 << 16
_ARRAY_BYTES = 1 << 28
_ENCRYPTED = 0x1
_ENTRY = b"PK\x01\x02"
_ENTRIES_PER_DIGIT = 4
"""Folders, and the notes that a Mac leaves, are entries too."""

# What zipfile, numpy and Pillow raise on damaged and hostile files.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class DigitPictures:
    """The data set as arrays: how many digits it has, and the digest of labels, numbers and pixels."""

    sha256: str
    count: int
    limit_bytes: int = 400_000_000

    def accept(self, data: bytes) -> bytes:
        """The data set as the bytes of an `.npz`, from such a file or from the published zip.

        `images` (N, 28, 28) uint8 with 255 = ink, `labels` (N,) uint8 and `number` (N,) int32, ordered by
        label and number. Raises WrongContent.
        """
        inner = unpacked(data, self.limit_bytes) if data.startswith(GZIP_MAGIC) else None
        data = data if inner is None else inner
        # Counted before it is opened: zipfile makes an object of every entry, and 400 MB hold millions.
        if data.count(_ENTRY) > _ENTRIES_PER_DIGIT * self.count:
            raise WrongContent(f"it has many more files in it than the {self.count:,} of the data set")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if "images.npy" in archive.namelist():
                    self._check(*_arrays(archive))
                    return data
                images, labels, number = self._pictures(archive)
        except _DAMAGE as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise WrongContent(f"{described(data)} and is no whole zip file ({reason})") from None
        self._check(images, labels, number)
        file = io.BytesIO()
        np.savez_compressed(file, images=images, labels=labels, number=number)
        return file.getvalue()

    def _pictures(
        self, archive: zipfile.ZipFile
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
        """The published zip's pictures by digit and number; one that is there twice counts once."""
        found: dict[tuple[int, int], NDArray[np.uint8]] = {}
        for member in archive.infolist():
            name = _PICTURE.fullmatch(member.filename)
            if name is None or member.filename.startswith("__MACOSX/"):
                continue
            key = int(name[1]), int(name[2])
            ink = _ink(archive, member)
            if key in found and not np.array_equal(found[key], ink):
                raise WrongContent(f"it has two different pictures {key[0]}/{key[1]}.png")
            found[key] = ink
            if len(found) > self.count:
                raise WrongContent(f"it has more pictures of digits than the {self.count:,} of the data set")
        keys = sorted(found)
        images = np.array([found[key] for key in keys], np.uint8).reshape(-1, SIDE, SIDE)
        labels = np.array([digit for digit, _ in keys], np.uint8)
        return images, labels, np.array([number for _, number in keys], np.int32)

    def _check(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], number: NDArray[np.int32]) -> None:
        if not len(labels) == len(number) == len(images) == self.count:
            raise WrongContent(f"it has {len(labels):,} pictures of digits; the data set has {self.count:,}")
        if images.shape[1:] != (SIDE, SIDE):
            raise WrongContent(f"its images are {images.shape}, not ({self.count}, {SIDE}, {SIDE})")
        found = content_digest(images, labels, number)
        if found != self.sha256:
            raise WrongContent(f"its digits are others: their digest is {found}, and not {self.sha256}")


def content_digest(images: NDArray[np.uint8], labels: NDArray[np.uint8], number: NDArray[np.int32]) -> str:
    """sha256 over labels (a byte each), numbers (four bytes, little-endian) and pixels, in their order."""
    found = hashlib.sha256(labels.astype(np.uint8).tobytes())
    found.update(number.astype("<u4").tobytes())
    found.update(np.ascontiguousarray(images, np.uint8).tobytes())
    return found.hexdigest()


def _arrays(
    archive: zipfile.ZipFile,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
    """`images`, `labels` and `number` of an open `.npz`. Raises one of `_DAMAGE`."""
    read = []
    for name, kind, rank in (("images", np.uint8, 3), ("labels", np.uint8, 1), ("number", np.int32, 1)):
        member = archive.getinfo(f"{name}.npy")
        if member.file_size > _ARRAY_BYTES:
            raise ValueError(f"{member.filename} holds {member.file_size:,} bytes")
        with archive.open(member) as stream:
            values = np.lib.format.read_array(io.BytesIO(stream.read()), allow_pickle=False)
        if values.dtype != kind or values.ndim != rank:
            raise ValueError(f"{member.filename} is an array {values.shape} of {values.dtype}")
        read.append(values)
    images, labels, number = read
    return images, labels, number


def _ink(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.uint8]:
    """One picture (28, 28), 255 = ink: what is not transparent. Raises WrongContent, one of `_DAMAGE`."""
    if member.file_size > _PICTURE_BYTES:
        raise WrongContent(f"its {member.filename} claims to unpack to {member.file_size:,} bytes")
    if member.flag_bits & _ENCRYPTED:
        raise WrongContent(f"its {member.filename} is encrypted")
    try:
        with Image.open(io.BytesIO(archive.read(member)), formats=("PNG",)) as image:
            if image.size != (SIDE, SIDE):
                raise WrongContent(
                    f"its {member.filename} has {image.width} × {image.height} pixels, not 28 × 28"
                )
            return np.asarray(image.convert("RGBA").getchannel("A"))
    except _DAMAGE as error:
        raise WrongContent(f"its {member.filename} is damaged ({type(error).__name__})") from None
