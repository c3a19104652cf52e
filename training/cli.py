"""The command line of `training`: parses, loads the settings, and hands over."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from processor.errors import DigitInboxError

if TYPE_CHECKING:
    from processor.commands.console import Words
    from processor.settings import LoadedSettings

# Every command imports its own code when it runs: `training --help` must not wait for torch.

app = typer.Typer(
    help="Trains the models that read digits, judges them, and puts them into service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="The settings file.",
        show_default="$PROCESSOR_SETTINGS, or the nearest settings.toml upward from here",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notices; errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DataFolder = Annotated[Path, typer.Option("--data", metavar="FOLDER", help="The folder of the data sets.")]
ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A published model, `current`, or a run's folder.")
]

DATA = Path("../shared/data")


@app.callback()
def program(context: typer.Context, settings: SettingsFile = None, quiet: Quiet = False) -> None:
    context.obj = {"settings": settings, "quiet": quiet}


@app.command()
def fit(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="What to train.", show_default="training.recipe of the settings"
        ),
    ] = None,
    data: DataFolder = DATA,
    samples: Annotated[
        int, typer.Option(min=-1, help="Take so many of each digit from every source; -1 takes all.")
    ] = -1,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data.", show_default="the recipe's")
    ] = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches an epoch.", show_default="the recipe's")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The same seed draws the same samples.", show_default="the recipe's"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The run's folder.", show_default="runs/RECIPE")
    ] = None,
    publish: Annotated[
        str | None, typer.Option(metavar="NAME", help="Publish the finished model.", show_default="no")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that make the batches.")] = 1,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Train a model, calibrate it on handwriting kept out, and measure it."""
    from processor.commands.console import print_line
    from training.recipe import load_recipe

    loaded, words = _load(context, settings), _words(context, quiet)
    chosen = load_recipe(
        recipe or loaded.values.training.recipe, epochs=epochs, batches_per_epoch=batches, seed=seed
    )
    from training.publish import own_archive
    from training.publish import publish as publish_run
    from training.runs import fit_run

    run = out or Path("runs") / chosen.name
    model = fit_run(chosen, data, run, samples=samples, workers=workers, words=words)
    if publish is not None:
        model = publish_run(run, own_archive(loaded), publish)
    print_line(str(model.path))


@app.command()
def evaluate(
    context: typer.Context,
    model: ModelName = "current",
    data: DataFolder = DATA,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Measure a model on test sets: digits by accuracy and calibration, non-digits by how many pass."""
    from processor.commands.console import print_json, print_table
    from processor.prediction.classifier import Classifier
    from training.evaluate import measure

    _words(context, quiet)
    figures = measure(Classifier.load(_find(_load(context, settings), model)), data)
    if as_json:
        print_json(figures)
        return
    rows = [(test, name, value) for test, found in figures.items() for name, value in found.items()]
    print_table(("test set", "figure", "value"), rows)


@app.command()
def calibrate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    data: DataFolder = DATA,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Fit a run's temperature and thresholds anew, on the validation part of its recipe's sources."""
    from processor.commands.console import print_json, print_pairs, print_table
    from training.runs import recalibrate

    _load(context, settings)
    model = recalibrate(run, data, _words(context, quiet))
    if as_json:
        print_json({"temperature": model.temperature, "thresholds": model.manifest["thresholds"]})
        return
    rows = [(row.max_error_rate, row.confidence) for row in model.acceptances]
    print_pairs({"temperature": model.temperature})
    print_table(("max_error_rate", "confidence"), rows)


@app.command()
def publish(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name in the archive.")],
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Copy a finished run into the archive, where it never changes again."""
    from processor.commands.console import print_line
    from training.publish import own_archive, publish

    _words(context, quiet)
    print_line(str(publish(run, own_archive(_load(context, settings)), name).path))


@app.command()
def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published model.")],
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Put a published model into service: CURRENT names it from now on."""
    from training.publish import own_archive, promote

    model = promote(own_archive(_load(context, settings)), name)
    _words(context, quiet).say(f"{model.name} is the model in use.")


@app.command("list")
def list_models(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """List the models of the archive, and which of them reads."""
    from processor.commands.models import models

    models(_load(context, settings), as_json=as_json, words=_words(context, quiet))


def main() -> None:
    """The entry point of the console script: the one place that turns errors into messages and exit codes."""
    try:
        app()
    except DigitInboxError as error:
        from processor.commands.console import Words

        Words().fail(error)
        sys.exit(error.exit_code)


def _load(context: typer.Context, file: Path | None) -> "LoadedSettings":
    from processor.settings import load

    return load(file or context.obj["settings"])


def _words(context: typer.Context, quiet: bool) -> "Words":
    from processor.commands.console import Words

    return Words(quiet or context.obj["quiet"])


def _find(settings: "LoadedSettings", model: str) -> Path:
    """A run's folder where there is one of that name, otherwise the archive's model."""
    from processor.prediction.archive import MANIFEST, find_model

    if (Path(model) / MANIFEST).is_file():
        return Path(model)
    return find_model(settings.models_archive, model).path
