"""Options that several commands share, some of them with those of `training`, and the commands' voice."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from processor.commands.console import Words
    from processor.settings import LoadedSettings

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
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write to FILE, whole or not at all.", show_default="stdout"
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Processes that read.", show_default="workers.count of the settings"),
]


class TableFormat(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


TableForm = Annotated[
    TableFormat | None,
    typer.Option(
        "--format", help="How the rows are written.", show_default="as the output's suffix says, or table"
    ),
]


JsonRows = Annotated[bool, typer.Option("--json", help="The same as `--format json`.")]


def form_of(form: StrEnum | None, as_json: bool) -> str | None:
    """The format asked for by `--format` or by `--json`. Raises BadCommand where they differ."""
    if not as_json:
        return form
    if form not in (None, TableFormat.JSON):
        from processor.errors import BadCommand

        raise BadCommand(f"--json and --format {form} ask for two formats.", "Give one of them.")
    return TableFormat.JSON


def settings_of(context: typer.Context, file: Path | None, **flags: Any) -> "LoadedSettings":
    """The settings that this command was given, or the whole program; `flags` win, but for None.

    Of their names `__` parts section and key. Raises BadSettings.
    """
    from processor.settings import load

    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    return load(file or context.obj["settings"], given)


def words_of(context: typer.Context, quiet: bool) -> "Words":
    """What the command says to a person, on stderr; `--quiet` counts before the command and behind it."""
    from processor.commands.console import Words

    return Words(quiet or context.obj["quiet"])
