"""What is trained on and what is only validated on: never one writer, strip or original on both sides."""

import numpy as np

from training.clusters import near_duplicates
from training.inks import NONE, Inks, own_of, per_digit, split_by_cluster, split_by_group
from training.recipe import Source
from training.sources.found import Found, Parts

CLUSTERED = 120_000
"""Near-duplicates are looked for among so many samples at most: every one is compared with every other."""


def split(found: Found, source: Source, samples: int, rng: np.random.Generator) -> Parts:
    """Keeps out the share of the groups that `source` asks for, and takes `samples` of each digit (-1: all).

    Where nobody says who wrote what, near-duplicates stay together. A split that would leave a side empty is
    none: then all is trained on, and a notice says so.
    """
    inks, notices = found.inks, list(found.notices)
    share = source.kept_share
    if not share or not len(inks):
        return Parts(per_digit(inks, samples, rng), inks.take([]), found.skipped, tuple(notices))
    if not found.grouped:
        inks = _clustered(inks, rng, notices)
    by = split_by_cluster if _of_one_label(inks) else split_by_group
    trained, kept = by(inks, share, rng)
    if not len(trained) or not len(kept):
        groups = len(np.unique(inks.groups))
        notices.append(
            f"{source.name} is of {groups} {'group' if groups == 1 else 'groups'}, too few to keep "
            f"{share:.0%} of them out: all is trained on, nothing validated on."
        )
        trained, kept = inks, inks.take([])
    limited = per_digit(trained, samples, rng), per_digit(kept, samples, rng)
    return Parts(*limited, found.skipped, tuple(notices))


def _of_one_label(inks: Inks) -> bool:
    """Whether each group holds copies of one digit of several; a writer or a strip has more than one."""
    pairs = np.unique(np.stack([inks.groups, inks.labels]), axis=1).shape[1]
    groups, labels = (len(np.unique(values)) for values in (inks.groups, inks.labels))
    return labels > 1 and pairs == groups


def _clustered(inks: Inks, rng: np.random.Generator, notices: list[str]) -> Inks:
    """`inks` in groups of near-duplicates of one label; of very many, a part."""
    if len(inks) > CLUSTERED:
        notices.append(
            f"{inks.source}: {CLUSTERED} of {len(inks)} samples are taken, as nothing says who wrote them "
            f"and more cannot be searched for near-duplicates; `validation = 0` takes all."
        )
        inks = inks.take(np.sort(rng.permutation(len(inks))[:CLUSTERED]))
    return Inks(
        inks.source,
        inks.images,
        inks.labels,
        near_duplicates([own_of(image) for image in inks.images], inks.labels),
    )


def limit_of(source: Source, samples: int, inks: Inks) -> int:
    """So many of each label: the recipe's own limit, and `samples` where the source holds digits at all."""
    wanted = [source.samples] + ([samples] if (inks.labels != NONE).any() else [])
    return min((count for count in wanted if count >= 0), default=-1)
