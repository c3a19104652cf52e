"""`training evaluate` and `training calibrate`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from processor.commands.options import Json, Quiet, SettingsFile, settings_of, words_of
from training.commands.options import (
    DataFolder,
    ModelName,
    OwnStrips,
    OwnTable,
    data_of,
    find_folder,
    refuse_lone_table,
)

if TYPE_CHECKING:
    from processor.settings import LoadedSettings

Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME|FILE",
        help="Judge on a source, or on those of a recipe file; may be repeated.",
        show_default="all test sets at hand",
    ),
]
PlotFolder = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FOLDER", help="Draw the curves into a folder.", show_default="no"),
]


def evaluate(
    context: typer.Context,
    model: ModelName = "current",
    source: Sources = None,
    own: OwnStrips = None,
    table: OwnTable = None,
    data: DataFolder = None,
    out: PlotFolder = None,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Judge a model: accuracy, calibration and coverage on digits, and how many non-digits pass for one.

    Of its second reader, where it has one: whole numbers, calibration and coverage on strips.
    """
    from processor.commands.console import print_table
    from processor.commands.printing import print_json, print_line
    from processor.prediction.classifier import Classifier
    from training import tables
    from training.chosen import chosen_sets
    from training.evaluate import judge, judge_all
    from training.strip_run import judge_strips

    refuse_lone_table(own, table)
    words, loaded = words_of(context, quiet), settings_of(context, settings)
    folder = data_of(loaded, data)
    judged = find_folder(loaded, model)
    classifier = Classifier.load(judged)
    if source or own is not None:
        named = [
            test
            for name in dict.fromkeys(source or [])
            for test in chosen_sets(
                name, folder, classifier.model.manifest, settings=loaded, notice=words.warn
            )
        ]
        judgement = judge(classifier, named, [], folder, notice=words.say)
    else:
        judgement = judge_all(classifier, folder, notice=words.say)
    if own is not None or not source:
        numbers = judge_strips(judged, folder, own=own, table=table, notice=words.say)
        judgement = replace(judgement, numbers=numbers)
    if out is not None:
        from training.curves import draw

        for picture in draw(judgement, out):
            words.say(f"{picture} is drawn.")
    document = judgement.document()
    if as_json:
        print_json(document)
        return
    for number, (columns, rows) in enumerate(tables.of_figures(document)):
        if number:
            print_line()
        print_table(columns, rows)


def calibrate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    own: OwnStrips = None,
    table: OwnTable = None,
    data: DataFolder = None,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Fit a run's temperature and thresholds anew, on the validation part of its recipe's sources.

    Its second reader, where it has one, is fitted on strips that it was not trained on.
    """
    from processor.commands.console import print_table
    from processor.commands.printing import print_json, print_pairs
    from training.runs import recalibrate
    from training.strip_sets import SECOND_READER

    refuse_lone_table(own, table)
    loaded = settings_of(context, settings)
    _refuse_published(run, loaded)
    words = words_of(context, quiet)
    model = recalibrate(run, data_of(loaded, data), words, loaded, own=own, table=table)
    second = model.manifest.get(SECOND_READER, {}).get("temperature")
    temperatures = {"temperature": model.temperature} | (
        {} if second is None else {"second_reader_temperature": second}
    )
    if as_json:
        print_json({**temperatures, "thresholds": model.manifest["thresholds"]})
        return
    rows = [(row.max_error_rate, row.confidence) for row in model.acceptances]
    print_pairs(temperatures)
    print_table(("max_error_rate", "confidence"), rows)


def _refuse_published(run: Path, settings: "LoadedSettings") -> None:
    """Raises BadCommand where `run` lies in an archive: this project's, the package's, or any other."""
    from processor.errors import BadCommand
    from processor.prediction.archive import CURRENT
    from processor.settings import shipped_archive

    folder = run.resolve()
    own = settings.base / settings.values.paths.models_archive
    archives = (own, settings.models_archive, shipped_archive())
    inside = any(archive is not None and folder.is_relative_to(archive.resolve()) for archive in archives)
    if inside or (folder.parent / CURRENT).is_file():
        raise BadCommand(
            f"{run} is a published model, and those never change.",
            "Calibrate the run it was made from, then publish it under a new name.",
        )
