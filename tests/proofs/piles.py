"""A pile of small scans as an office has them: a few digits, documents, copies, damage, odd names."""

import os
import random
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tests.sample_sources import sample_digits

_FOLDERS = ("", "", "", "monday", "monday/station 501", "übergabe", "-rf", "a'b\"c")
_STEMS = (
    *("form", "Form", "scan 7", "ärger", "-dash", "=1+2", "a,b", 'quo"te', "dot.in.it", "tab\tbed"),
    *("line\nfeed", "con", "数字", "not-utf8-\udcff", "'; DROP TABLE scans; --", "x" * 120),
)
_KINDS = (
    *("png", "jpg", "png", "bmp", "copy", "png", "jpg", "tif", "png", "pdf"),
    *("png", "damaged", "jpg", "webp", "png", "link", "jpg", "png", "gif", "png"),
)


def write_pile(inbox: Path, count: int, seed: int = 5, *, copies: bool = True) -> int:
    """Writes `count` files below `inbox`, the same ones for the same seed; tells how many contents they hold.

    One in ten is a copy or a hard link of a good one, which sorts before it or after it; one in twenty is
    damaged, each in its own way: a bad scan that is shown again after it failed is rightly tried again, so
    that of two bad copies either may be the first, depending on when a run was killed. Without `copies`
    the good ones differ, too: where one cannot be read for the moment, its copy is the first.
    """
    chance = random.Random(seed)
    good: list[Path] = []
    contents: set[bytes] = set()
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        if kind in ("copy", "link") and not copies:
            kind = "png"
        folder = inbox / chance.choice(_FOLDERS)
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{chance.choice(_STEMS)} {number}"
        if kind in ("copy", "link"):
            first = chance.choice(good)
            place = folder / f"{stem}{first.suffix}"
            os.link(first, place) if kind == "link" else place.write_bytes(first.read_bytes())
            continue
        suffix = chance.choice(("png", "jpg", "pdf", "tif")) if kind == "damaged" else kind
        place = folder / f"{stem}.{suffix}"
        place.write_bytes(damaged(chance) if kind == "damaged" else document(kind, chance))
        contents.add(place.read_bytes())
        if kind != "damaged":
            good.append(place)
    return len(contents)


def document(kind: str, chance: random.Random) -> bytes:
    """A scan of one page, or of two to four where the format has pages."""
    sheets = [page(chance) for _ in range(chance.randint(2, 4) if kind in ("tif", "pdf") else 1)]
    stream = BytesIO()
    options: dict[str, object] = {"dpi": (300, 300)} if kind in ("png", "jpg", "tif") else {}
    if kind == "pdf":
        # Otherwise it says when it was made, and would be another document each time.
        options = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0), "resolution": 300.0}
    if len(sheets) > 1:
        options |= {"save_all": True, "append_images": sheets[1:]}
    formats = {"jpg": "JPEG", "tif": "TIFF"}
    sheets[0].save(stream, formats.get(kind, kind.upper()), **options)
    return stream.getvalue()


def page(chance: random.Random) -> Image.Image:
    """One to four handwritten digits in a row on light paper: 28 to about 200 pixels wide."""
    images = sample_digits().images
    digits = [np.asarray(images[chance.randrange(len(images))]) for _ in range(chance.randint(1, 4))]
    margin, paper = chance.randint(0, 24), chance.randint(200, 255)
    ink = np.pad(np.hstack(digits), margin).astype(np.int32)
    return Image.fromarray((paper - ink * paper // 300).astype(np.uint8))


def damaged(chance: random.Random) -> bytes:
    """Bytes that no reader takes for a page, never the same twice."""
    whole = document("png", chance)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: whole[: len(whole) // 2],
        lambda: b"%PDF-1.7\n" + chance.randbytes(200),
        lambda: chance.randbytes(300),
        lambda: b"\x89PNG\r\n\x1a\n" + chance.randbytes(40),
    )
    return chance.choice(ways)()
