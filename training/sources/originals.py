"""JC-ProgJava's digits: four handwritten originals of each digit, and thousands of copies of each."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from processor.errors import BadCommand
from training.sources.arrays import npz, read_npz
from training.sources.found import Found

FIRST_COPIES = (2025, 4941, 7857)
"""The file numbers with which the copies of the second, the third and the fourth original begin.

Found by looking, and confirmed by `training.clusters`, which is not told (docs/measuring.md)."""


def jc_progjava(file: Path) -> Found:
    """The samples of `file`, grouped by the original they are copies of: a group holds one digit.

    Copies are shifted, slanted and stretched by steps, so that a random split has each test sample's twin in
    training. Without the array `number` nobody says which is which. Raises BadCommand.
    """
    found = npz("jc-progjava", file)
    numbers = read_npz(file, ("number",)).get("number")
    if numbers is None:
        return found
    labels = found.inks.labels
    if numbers.shape != labels.shape or numbers.dtype.kind not in "iu":
        raise BadCommand(
            f"{file}: {len(labels)} labels, but file numbers {numbers.dtype} of shape {numbers.shape}.",
            "Fetch it again with `training download seed`.",
        )
    originals = np.searchsorted(FIRST_COPIES, numbers, side="right")
    groups = labels * (len(FIRST_COPIES) + 1) + originals
    return replace(found, inks=replace(found.inks, groups=groups.astype(np.int64)), grouped=True)
