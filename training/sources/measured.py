"""What every model is judged by, and none may be trained on, under whatever name it comes."""

import hashlib
from contextlib import suppress
from pathlib import Path

from processor.errors import BadCommand
from training.datasets import held_out_strips
from training.inks import Inks
from training.recipe import Source
from training.sources import arrays

MNIST_TEST = "fc2742b9fefd"
"""The digest of MNIST's test part as it is published."""


def refuse_test_part(source: Source, inks: Inks, data: Path) -> None:
    """Raises BadCommand where `inks`, all of a `source` to train on, are MNIST's test part.

    That is the published one, or the one in the folder `data` that models are measured on.
    """
    digest = inks.digest()
    measured = {MNIST_TEST}
    if source.part == "test":
        with suppress(BadCommand):
            measured.add(arrays.idx("", data / "mnist", "test").inks.digest())
    if digest in measured:
        raise BadCommand(
            f"The source {source.name} is MNIST's test part, by which every model is judged.",
            'Train on its other part (`part = "train"`), or take the source out of the recipe.',
        )


def contents_held_out(folder: Path) -> frozenset[str]:
    """The sha256 of the cheque strips in `folder` that are only measured on; none where it is not there."""
    if not (folder / "images").is_dir():
        return frozenset()
    return frozenset(content_of(folder / "images" / name) for name in held_out_strips(folder))


def content_of(file: Path) -> str:
    """The sha256 of a file's content; nothing where it cannot be read, which its reader will tell."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return ""
