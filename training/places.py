"""Where the sources of a recipe lie: a manifest goes to other people, and must not tell of this machine."""

from pathlib import Path
from typing import Any

from processor.errors import BadCommand
from training.recipe import Recipe

_KEYS = ("path", "table")


def portable(recipe: Recipe, base: Path | None) -> dict[str, Any]:
    """The recipe as JSON values; paths are relative to `base`, or, outside of it, their last names alone."""
    values = recipe.model_dump(mode="json")
    first = recipe.network.start_from
    if first is not None:
        values["network"]["start_from"] = Path(first).name
    for row, source in zip(values["source"], recipe.source, strict=True):
        for key in _KEYS:
            path: Path | None = getattr(source, key)
            if path is not None:
                row[key] = _within(path, base)
    return values


def placed(recipe: Recipe, base: Path, where: str) -> Recipe:
    """A recipe out of the manifest `where`, its paths found again from `base`.

    Raises BadCommand where a source is not there: a manifest does not keep where else it was.
    """
    sources = []
    for source in recipe.source:
        paths = {key: base / path for key in _KEYS if (path := getattr(source, key)) is not None}
        for path in paths.values():
            if not path.exists():
                raise BadCommand(
                    f"{where}: the source {source.name} is not at {path}.",
                    f"Put it there, or a link to it: manifests keep paths relative to {base} only.",
                )
        sources.append(source.model_copy(update=paths))
    return recipe.model_copy(update={"source": tuple(sources)})


def _within(path: Path, base: Path | None) -> str:
    whole = path.resolve()
    if base is not None and whole.is_relative_to(base.resolve()):
        return whole.relative_to(base.resolve()).as_posix()
    return whole.name
