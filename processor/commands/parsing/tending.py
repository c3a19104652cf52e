"""The commands that tend what a run needs: `verify`, `doctor`, `models`, `config`."""

from pathlib import Path
from typing import Annotated

import typer

from processor.commands.options import Json, Quiet, SettingsFile, settings_of, words_of

Repair = Annotated[
    bool, typer.Option("--repair", help="Mend what the records or the files tell how to mend.")
]


def verify(
    context: typer.Context,
    repair: Repair = False,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Check that every record, original and published file agree, and list what is off.

    Every file is hashed, so it takes as long as reading them all. It may run beside a daemon.
    """
    from processor.commands.verify import verify

    loaded, words = settings_of(context, settings), words_of(context, quiet)
    raise typer.Exit(verify(loaded, repair=repair, as_json=as_json, words=words))


def doctor(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, _quiet: Quiet = False
) -> None:
    """Check everything that a run needs: settings, folders, database, model, events, machine."""
    from processor.commands.doctor import doctor

    raise typer.Exit(doctor(settings_of(context, settings), as_json=as_json))


def models(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """List the models of the archive, and which of them reads."""
    from processor.commands.models import models

    models(settings_of(context, settings), as_json=as_json, words=words_of(context, quiet))


def config_show(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, _quiet: Quiet = False
) -> None:
    """Show every setting, its value, and where the value came from."""
    from processor.commands.config import show

    show(settings_of(context, settings), as_json=as_json)


def config_init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace a settings file that is there.")] = False,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="The file to write.", show_default="./settings.toml"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a settings file with every key, its meaning and default, and make the folders it names."""
    from processor.commands.config import init

    file = settings or context.obj["settings"] or Path("settings.toml")
    init(file, force=force, words=words_of(context, quiet))
