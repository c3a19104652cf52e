"""`training evaluate` and `training calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import (
    DataFolder,
    Json,
    ModelName,
    Quiet,
    SettingsFile,
    data_of,
    find_folder,
    settings_of,
    words_of,
)


def evaluate(
    context: typer.Context,
    model: ModelName = "current",
    data: DataFolder = None,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Measure a model on test sets: digits by accuracy and calibration, non-digits by how many pass."""
    from processor.commands.console import print_json, print_table
    from processor.prediction.classifier import Classifier
    from training.evaluate import measure

    words_of(context, quiet)
    loaded = settings_of(context, settings)
    figures = measure(Classifier.load(find_folder(loaded, model)), data_of(loaded, data))
    if as_json:
        print_json(figures)
        return
    rows = [(test, name, value) for test, found in figures.items() for name, value in found.items()]
    print_table(("test set", "figure", "value"), rows)


def calibrate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    data: DataFolder = None,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Fit a run's temperature and thresholds anew, on the validation part of its recipe's sources."""
    from processor.commands.console import print_json, print_pairs, print_table
    from training.runs import recalibrate

    loaded = settings_of(context, settings)
    model = recalibrate(run, data_of(loaded, data), words_of(context, quiet))
    if as_json:
        print_json({"temperature": model.temperature, "thresholds": model.manifest["thresholds"]})
        return
    rows = [(row.max_error_rate, row.confidence) for row in model.acceptances]
    print_pairs({"temperature": model.temperature})
    print_table(("max_error_rate", "confidence"), rows)
