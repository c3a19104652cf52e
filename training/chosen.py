"""The sets that a person names to judge a model on: a source of recipes, or those of a recipe file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processor.errors import BadCommand
from processor.settings import LoadedSettings
from training.inks import Inks
from training.recipe import Recipe, Schedule, Source, load_recipe, shipped_recipes
from training.sources import SOURCES, Corpus, gather, read_source
from training.testsets import Notice, TestSet, inherited, nobody, origin

KEPT_OUT = "the part kept out"
WHOLE = "all of it"
LEARNED = "all of it, though no part is kept out of training"
INHERITED = "a part, though the model that this one began from was trained on the source"


def chosen_sets(
    chosen: str,
    data: Path,
    manifest: Mapping[str, Any],
    *,
    settings: LoadedSettings | None = None,
    notice: Notice = nobody,
) -> list[TestSet]:
    """The samples of the source or the recipe file `chosen` that judge the model of `manifest` fairly.

    That is all of data of one's own, unless the model was trained on them: then, and of the sources with a
    name of their own, the part that the model's own seed keeps out. `notice` hears of what was skipped.
    Raises BadCommand or BadSettings where there is no such source, or its data are not there.
    """
    seed, learned = _schooling(manifest)
    sets = []
    for source in _sources(chosen):
        if source.kind is not None and source.name not in learned:
            found = read_source(source, data, seed=seed, settings=settings)
            faults, inks, part = [*found.skipped, *found.notices], found.inks, WHOLE
        else:
            # What is kept out hangs on the share as well as on the seed.
            share = learned.get(source.name, source).validation
            as_learned = source.model_copy(update={"validation": share})
            recipe = Recipe(name=chosen, schedule=Schedule(seed=seed), source=(as_learned,))
            corpus = gather(recipe, data, settings=settings)
            faults = [*corpus.skipped, *corpus.notices]
            inks, part = _kept_out(corpus)
            if source.name not in learned and origin(inks.source) in inherited(manifest):
                part = INHERITED
        for fault in faults:
            notice(fault)
        sets.append(TestSet(source.name, inks, origin(inks.source), part=part))
    return sets


def _sources(chosen: str) -> tuple[Source, ...]:
    if chosen in SOURCES:
        return (Source(name=chosen, share=1),)
    if chosen not in shipped_recipes() and not Path(chosen).is_file():
        raise BadCommand(
            f"There is no source {chosen!r}.",
            f"Name a recipe file, whose sources may be data of your own, or one of: {', '.join(SOURCES)}.",
        )
    return load_recipe(chosen, judging=True).source


def _schooling(manifest: Mapping[str, Any]) -> tuple[int, dict[str, Source]]:
    """The seed a model was trained with, and its sources by name, as far as its manifest says."""
    recipe = manifest["recipe"] if isinstance(manifest["recipe"], dict) else {}
    try:
        known = Recipe.model_validate({key: recipe[key] for key in ("name", "schedule", "source")})
    except (KeyError, ValueError):
        return Schedule().seed, {}
    return known.schedule.seed, {source.name: source for source in known.source}


def _kept_out(corpus: Corpus) -> tuple[Inks, str]:
    if corpus.validation:
        return corpus.validation[0], KEPT_OUT
    return corpus.pools[0].inks, LEARNED
