"""Labelled ink as it comes from a source, before it is augmented and normalised."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.records import CutOut, Gray

NONE = 10
"""The label of whatever is no digit."""

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Inks:
    """`images[i]` is a cut-out, high = ink; `labels` (N,) 0..10; `groups` (N,) says who wrote it.

    Samples of one group (a writer, a strip, an original that was shifted) never stand on both sides of a
    split. `source` is the name in the manifest.
    """

    source: str
    images: Sequence[CutOut]
    labels: Labels
    groups: Labels

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Iterable[int]) -> "Inks":
        chosen = np.fromiter((int(i) for i in indices), np.int64)
        images = [self.images[i] for i in chosen]
        return Inks(self.source, images, self.labels[chosen], self.groups[chosen])

    def digest(self) -> str:
        """Twelve hex digits over all pixels and labels."""
        found = hashlib.sha256(self.labels.tobytes())
        for image in self.images:
            found.update(np.array(image.shape, np.int64).tobytes())
            found.update(np.ascontiguousarray(image).tobytes())
        return found.hexdigest()[:12]


def own_of(image: CutOut) -> Gray:
    """(h, w): a cut-out's own ink, without what stands about it."""
    return image if image.ndim == 2 else image[0]


def collect(source: str, images: Sequence[CutOut], labels: Sequence[int], groups: Sequence[int]) -> Inks:
    """Inks of plain lists of one length."""
    return Inks(source, images, np.array(labels, np.int64), np.array(groups, np.int64))


def split_by_group(inks: Inks, share: float, rng: np.random.Generator) -> tuple[Inks, Inks]:
    """The samples of the other groups, and those of a `share` of the groups."""
    groups = np.unique(inks.groups)
    kept_out = rng.permutation(groups)[: round(share * len(groups))]
    out = np.isin(inks.groups, kept_out)
    return inks.take(np.flatnonzero(~out)), inks.take(np.flatnonzero(out))


def split_by_cluster(inks: Inks, share: float, rng: np.random.Generator) -> tuple[Inks, Inks]:
    """As `split_by_group`, for groups of one label each and of any size.

    About a `share` of each label is kept out, in whole groups, and never a label's largest: where a label is
    of one group, it is all trained on.
    """
    out = np.zeros(len(inks), np.bool_)
    for label in np.unique(inks.labels):
        places = np.flatnonzero(inks.labels == label)
        groups, sizes = np.unique(inks.groups[places], return_counts=True)
        smaller = np.delete(np.arange(len(groups)), sizes.argmax())
        out |= np.isin(inks.groups, groups[_about(share * len(places), sizes, rng.permutation(smaller))])
    return inks.take(np.flatnonzero(~out)), inks.take(np.flatnonzero(out))


def _about(wanted: float, sizes: Labels, order: Labels) -> Labels:
    """Of the groups `order`, some of which the `sizes` come to about `wanted`: half of it at the least."""
    chosen: list[int] = []
    for group in order:
        if sizes[[*chosen, group]].sum() <= 1.5 * wanted:
            chosen.append(int(group))
    # Where all others are too large, the smallest of them must do.
    for group in order[np.argsort(sizes[order], kind="stable")]:
        if sizes[chosen].sum() < 0.5 * wanted and group not in chosen:
            chosen.append(int(group))
    return np.array(chosen, np.int64)


def per_digit(inks: Inks, count: int, rng: np.random.Generator) -> Inks:
    """At most `count` samples of each label, drawn at random; all where `count` is -1."""
    if count < 0:
        return inks
    chosen: list[int] = []
    for label in np.unique(inks.labels):
        chosen += rng.permutation(np.flatnonzero(inks.labels == label))[:count].tolist()
    return inks.take(sorted(chosen))
