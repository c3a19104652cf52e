"""`processor models`: what the archive holds."""

from typing import Any

from processor.commands.console import Words, print_table
from processor.commands.printing import print_json
from processor.errors import BadModel
from processor.prediction.archive import ModelFolder, current_name, find_model, list_models
from processor.prediction.promotions import Promotion, read_promotions
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
    last = {promotion.name: promotion for promotion in read_promotions(archive, words.warn)}
    described = [_described(model, current, last.get(model.name)) for model in usable]
    if as_json:
        print_json(
            {
                "archive": str(archive),
                "current": current,
                "models": described,
                "damaged": [{"message": error.message, "remedy": error.remedy} for error in damaged],
            }
        )
    else:
        columns = ("", "model", "created", "architecture", "weights", "right", "promoted")
        print_table(columns, [_row(model) for model in described])
    for error in damaged:
        words.warn(f"damaged: {error}")
    find_model(archive, settings.values.recognition.model)


def _current(settings: LoadedSettings) -> str | None:
    try:
        return current_name(settings.models_archive)
    except BadModel:
        return None


def _described(model: ModelFolder, current: str | None, last: Promotion | None) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": model.name,
        "current": model.name == current,
        **{key: manifest[key] for key in ("created_at", "architecture", "parameters", "metrics", "parent")},
        "weights": model.weights_count(),
        "promoted_at": last.at if last else None,
        "forced": list(last.forced) if last else [],
    }


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    mark = "*" if model["current"] else ""
    promoted = model["promoted_at"] or ""
    promoted += f", forced: {'; '.join(model['forced'])}" if model["forced"] else ""
    return (
        *(mark, model["name"], model["created_at"], model["architecture"], model["weights"]),
        *(_figures(model["metrics"]), promoted),
    )


def _figures(metrics: dict[str, Any]) -> str:
    """The accuracy on each set of digits and of numbers, on one line: `mnist-test 99.57 %`.

    `--json` holds all figures.
    """
    found = {
        name: figures.get("accuracy", figures.get("right"))
        for name, figures in metrics.items()
        if isinstance(figures, dict)
    }
    return ", ".join(
        f"{name} {100 * value:.2f} %" for name, value in found.items() if isinstance(value, int | float)
    )
