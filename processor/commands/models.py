"""`processor models`: what the archive holds."""

from typing import Any

from processor.commands.console import Words, print_json, print_table
from processor.errors import BadModel
from processor.prediction.archive import ModelFolder, current_name, find_model, list_models
from processor.settings import LoadedSettings


def models(settings: LoadedSettings, *, as_json: bool, words: Words) -> None:
    """Prints every model, which one is current, its age and its figures; names the damaged ones.

    Raises BadModel where the one that would read cannot be used; the list is printed first.
    """
    archive = settings.models_archive
    listed = list_models(archive)
    usable = [model for model in listed if isinstance(model, ModelFolder)]
    damaged = [model for model in listed if isinstance(model, BadModel)]
    current = _current(settings)
    if as_json:
        print_json(
            {
                "archive": str(archive),
                "current": current,
                "models": [_described(model, current) for model in usable],
                "damaged": [{"message": error.message, "remedy": error.remedy} for error in damaged],
            }
        )
    else:
        rows = [_row(_described(model, current)) for model in usable]
        print_table(("", "model", "created", "architecture", "figures"), rows)
    for error in damaged:
        words.warn(f"damaged: {error}")
    find_model(archive, settings.values.recognition.model)


def _current(settings: LoadedSettings) -> str | None:
    try:
        return current_name(settings.models_archive)
    except BadModel:
        return None


def _described(model: ModelFolder, current: str | None) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": model.name,
        "current": model.name == current,
        **{key: manifest[key] for key in ("created_at", "architecture", "parameters", "metrics", "parent")},
    }


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    mark = "*" if model["current"] else ""
    return mark, model["name"], model["created_at"], model["architecture"], _figures(model["metrics"])


def _figures(metrics: Any, prefix: str = "") -> str:
    """Nested figures on one line: `mnist-test accuracy 0.9957, …`."""
    if not isinstance(metrics, dict):
        return f"{prefix} {metrics:g}" if isinstance(metrics, int | float) else f"{prefix} {metrics}"
    return ", ".join(_figures(value, f"{prefix} {name}".strip()) for name, value in metrics.items())
