"""`training strips`."""

from pathlib import Path
from typing import Annotated

import typer

from processor.commands.options import Quiet, SettingsFile, settings_of, words_of
from training.commands.options import (
    DataFolder,
    OwnStrips,
    OwnTable,
    data_of,
    find_folder,
    refuse_lone_table,
)


def strips(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished `training fit`.")],
    data: DataFolder = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Go on from the second reader of this model: a refresh.",
            show_default="from scratch",
        ),
    ] = None,
    own: OwnStrips = None,
    table: OwnTable = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Batches.", show_default="9000, or 300 for a refresh"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed draws the same numbers.", show_default="1")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that draw the batches.")] = 1,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away the checkpoints of an interrupted training.")
    ] = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Train the second reader, of whole numbers, and put it beside a run's network.

    It learns from numbers drawn with the digits of MNIST, from cheque strips, and from strips of your own.
    Interrupted, the same command goes on from its last checkpoint to the same result.
    """
    from processor.commands.printing import print_line
    from training.strip_fit import StripPlan
    from training.strip_run import StripOrder, shorter, train_strips

    refuse_lone_table(own, table)
    loaded, words = settings_of(context, settings), words_of(context, quiet)
    order = StripOrder(
        run=run,
        data=data_of(loaded, data),
        plan=shorter(StripPlan(), steps, seed, refresh=start is not None),
        workers=workers,
        start=None if start is None else find_folder(loaded, start),
        own=own,
        table=table,
        restart=restart,
    )
    print_line(str(train_strips(order, words).path))
