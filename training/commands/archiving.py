"""What changes or lists the archive: `training publish`, `promote`, `list`."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import Json, Quiet, SettingsFile, settings_of, words_of


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

    words_of(context, quiet)
    print_line(str(publish(run, own_archive(settings_of(context, settings)), name).path))


def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published model.")],
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Put a published model into service: CURRENT names it from now on."""
    from training.publish import own_archive, promote

    model = promote(own_archive(settings_of(context, settings)), name)
    words_of(context, quiet).say(f"{model.name} is the model in use.")


def list_models(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """List the models of the archive, and which of them reads."""
    from processor.commands.models import models

    models(settings_of(context, settings), as_json=as_json, words=words_of(context, quiet))
