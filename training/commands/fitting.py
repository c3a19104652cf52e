"""`training fit`."""

from pathlib import Path
from typing import Annotated

import typer

from processor.commands.options import Quiet, SettingsFile, settings_of, words_of
from training.commands.options import DataFolder, data_of, find_folder


def fit(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="What to train.", show_default="training.recipe of the settings"
        ),
    ] = None,
    data: DataFolder = None,
    samples: Annotated[
        int,
        typer.Option(
            min=-1, max=10_000_000, help="Take so many of each digit from every source; -1 takes all."
        ),
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
    device: Annotated[
        str,
        typer.Option(metavar="NAME", help="Where to train: cpu, cuda, or auto, a GPU where there is one."),
    ] = "auto",
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away the checkpoints of an interrupted training.")
    ] = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Train a model, calibrate it on handwriting kept out, and measure it.

    Interrupted, the same command goes on from its last checkpoint to the same result.
    """
    from processor.commands.printing import print_line
    from processor.errors import BadCommand
    from training.recipe import load_recipe

    if samples == 0:
        raise BadCommand("--samples 0 leaves nothing to train on.", "Give 1 or more, or -1 for all.")
    loaded, words = settings_of(context, settings), words_of(context, quiet)
    folder = data_of(loaded, data)
    chosen = load_recipe(
        recipe or loaded.values.training.recipe, epochs=epochs, batches_per_epoch=batches, seed=seed
    )
    from training.publish import own_archive, refuse_name
    from training.publish import publish as publish_run
    from training.runs import Order, fit_run
    from training.staging import locked

    if publish is not None:
        # Before anything is gathered: a name that is taken must not cost a training.
        archive = own_archive(loaded)
        with locked(archive):
            refuse_name(archive, publish)
    run = out or Path("runs") / chosen.name
    first = chosen.network.start_from
    order = Order(
        recipe=chosen,
        data=folder,
        run=run,
        samples=samples,
        workers=workers,
        device=device,
        start=None if first is None else find_folder(loaded, first),
        settings=loaded,
        restart=restart,
    )
    model = fit_run(order, words)
    if publish is not None:
        model = publish_run(run, own_archive(loaded), publish)
    print_line(str(model.path))
