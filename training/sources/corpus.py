"""From a recipe to all that is trained on, source by source."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processor.errors import BadCommand, BadSettings
from processor.settings import LoadedSettings
from training.inks import NONE, Inks, per_digit
from training.licences import LICENCES
from training.recipe import Recipe, Source
from training.sources.builtin import SOURCES, Shelf
from training.sources.found import Found, Parts
from training.sources.kinds import KINDS, Order
from training.sources.measured import refuse_test_part
from training.sources.splitting import limit_of, split

MAY_BE_EMPTY = frozenset(("corrections",))
"""Kinds that grow while a project is used: a recipe can name them before there is anything."""


TOLD = 20
"""So many skipped samples are told one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One source's training samples and its part of each batch.

    `skipped` names what of the source could not be read, `licence` says under which terms it may be used.
    """

    inks: Inks
    share: float
    untouched: float
    ambiguous: bool = False
    licence: str = ""
    skipped: tuple[str, ...] = ()
    company: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All that a recipe names: what is trained on, and what is only validated on.

    `skipped` names every sample that could not be read, `notices` what a person should know of the sources.
    `shares` are those of the sources of `validation`, 0 where their labels are not sure enough to calibrate.
    """

    pools: tuple[Pool, ...]
    validation: tuple[Inks, ...]
    skipped: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    def require_validation(self) -> None:
        """Raises BadCommand where no digit is kept out: such a model could not be judged or calibrated."""
        if not any((inks.labels != NONE).any() for inks in self.validation):
            raise BadCommand(
                "No source keeps digits out of training, so the model could not be calibrated.",
                "Give one of them `validation`, or add a source with more writers, such as mnist.",
            )

    def remarks(self) -> list[str]:
        """What a person should be told, a line each: the notices, and what was skipped and why."""
        if not self.skipped:
            return list(self.notices)
        more = len(self.skipped) - TOLD
        rest = [f"… and {more} more."] if more > 0 else []
        head = f"Skipped {len(self.skipped)} that could not be read:"
        return [*self.notices, head, *(f"  {fault}" for fault in self.skipped[:TOLD]), *rest]


def untold(_: str) -> None:
    """Hears which source is being read, and says nothing."""


def held(pool: Pool) -> Pool:
    """Leaves a source's samples in memory."""
    return pool


def gather(
    recipe: Recipe,
    data: Path,
    samples: int = -1,
    *,
    settings: LoadedSettings | None = None,
    notice: Callable[[str], object] = untold,
    moved: Callable[[Pool], Pool] = held,
) -> Corpus:
    """Everything that `recipe` names, from the folder `data`; at most `samples` of each digit (-1: all).

    `settings` are those of the project whose corrections, or whose model, a source asks for; `notice` hears
    the name of each source before it is read, which may take a minute; `moved` may put the samples of each
    elsewhere once they are read.
    Raises BadSettings for an unknown source, BadCommand for data that are not there or not what was said.
    """
    _refuse_unknown(recipe)
    shelf = Shelf(data, recipe, samples)
    pools: list[Pool] = []
    validation: list[Inks] = []
    shares: list[float] = []
    skipped: list[str] = []
    notices: list[str] = []
    for number, source in enumerate(recipe.source, 1):
        notice(f"  {number}/{len(recipe.source)}  {source.name} …")
        parts = _parts(source, shelf, settings)
        skipped += [f"{source.name}: {fault}" for fault in parts.skipped]
        notices += parts.notices
        if len(parts.trained):
            licence = LICENCES[parts.trained.source] if source.kind is None else source.licence
            pool = Pool(
                parts.trained,
                source.share,
                source.untouched,
                source.ambiguous,
                licence,
                parts.skipped,
                source.company,
            )
            pools.append(moved(pool))
        elif source.kind in MAY_BE_EMPTY:
            notices.append(f"{source.name}: there are none yet; the source is left out.")
        else:
            raise _empty(source)
        if len(parts.kept):
            validation.append(parts.kept)
            shares.append(_calibrating_share(source, parts.kept))
    if not pools:
        raise _empty(recipe.source[0])
    return Corpus(tuple(pools), tuple(validation), tuple(skipped), tuple(notices), tuple(shares))


def _calibrating_share(source: Source, kept: Inks) -> float:
    """What the page reader proposes on published sets holds only the digits that it cut well, beside pieces
    that look like some: a wrong label there would pass for a sure mistake. What a person says counts."""
    return source.share if source.kind is not None or not (kept.labels == NONE).any() else 0.0


def read_source(
    source: Source, data: Path, *, seed: int = 1, settings: LoadedSettings | None = None
) -> Found:
    """All samples of a source with a kind, unsplit: to look at, or to judge a model on."""
    if source.kind is None:
        raise BadSettings(f"The source {source.name} has no kind.", f"There are: {', '.join(KINDS)}.")
    return KINDS[source.kind](Order(source, data, settings, _generator(seed, source)))


def _parts(source: Source, shelf: Shelf, settings: LoadedSettings | None) -> Parts:
    """A source's own samples, split and limited as it asks."""
    seed = shelf.recipe.schedule.seed
    if source.kind is None:
        found = SOURCES[source.name](shelf)
    else:
        found = read_source(source, shelf.data, seed=seed, settings=settings)
        refuse_test_part(source, found.inks, shelf.data)
    rng = _generator(seed + 1, source)
    if isinstance(found, Found):
        return split(found, source, limit_of(source, shelf.samples, found.inks), rng)
    if isinstance(found, Inks):
        _refuse_validation(source)
        return Parts(per_digit(found, limit_of(source, shelf.samples, found), rng), found.take([]))
    limit = limit_of(source, shelf.samples, found.trained)
    kept = found.kept if source.kept_share else found.kept.take([])
    return replace(found, trained=per_digit(found.trained, limit, rng), kept=kept)


def _generator(seed: int, source: Source) -> np.random.Generator:
    """Its own for each source, whatever else the recipe names."""
    return np.random.default_rng((seed, zlib.crc32(source.name.encode())))


def _refuse_unknown(recipe: Recipe) -> None:
    names = [source.name for source in recipe.source]
    for source in recipe.source:
        if names.count(source.name) > 1:
            raise BadSettings(
                f"The recipe {recipe.name} names the source {source.name!r} twice.",
                "Take one out, or give each a `name` of its own.",
            )
        if source.kind is None and source.name not in SOURCES:
            raise BadSettings(
                f"The recipe {recipe.name} names the source {source.name!r}.",
                f"There are: {', '.join(SOURCES)}; data of your own need a `kind`: {', '.join(KINDS)}.",
            )
        if source.kind is not None and source.name in SOURCES:
            raise BadSettings(
                f"The recipe {recipe.name} calls a source of kind {source.kind} {source.name!r}.",
                "That name stands for another source: choose one of your own.",
            )


def _refuse_validation(source: Source) -> None:
    if source.validation:
        raise BadSettings(
            f"The source {source.name} asks for validation = {source.validation:g}.",
            "It is never validated on: take the key out.",
        )


def _empty(source: Source) -> BadCommand:
    return BadCommand(
        f"The source {source.name} gives no sample to train on.",
        "Take it out of the recipe, or ask for more of it.",
    )
