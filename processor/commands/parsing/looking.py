"""The commands that show what was read, and how it goes: `status`, `health`, `results`, `query`, …"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from processor.commands.options import (
    Json,
    JsonRows,
    OutputFile,
    Quiet,
    SettingsFile,
    TableForm,
    form_of,
    settings_of,
    words_of,
)


class FileFormat(StrEnum):
    """How a whole table is written to a file."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class NumberStatus(StrEnum):
    """What a number can be filtered by."""

    ACCEPTED = "accepted"
    REVIEW = "review"
    CORRECTED = "corrected"


def status(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, _quiet: Quiet = False
) -> None:
    """Show how the runs are, what waits, and what the database holds: scans, pages, numbers, digits."""
    from processor.commands.status import status

    status(settings_of(context, settings), as_json=as_json)


def health(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, _quiet: Quiet = False
) -> None:
    """Tell whether a daemon of these settings works on this machine: exit code 0 where it does, else 1."""
    from processor.commands.health import health

    raise typer.Exit(health(lambda: settings_of(context, settings), as_json=as_json))


def results(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Only files that match, as `2026-*/form*`.", show_default="all"),
    ] = None,
    status: Annotated[
        NumberStatus | None, typer.Option(help="Only numbers of this status.", show_default="all")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only scans finished since: 2026-11-22, 2026-11-22T08:30 (UTC), or 90m, 12h, 7d ago.",
            show_default="all",
        ),
    ] = None,
    form: TableForm = None,
    as_json: JsonRows = False,
    output: OutputFile = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Print the numbers that were read, a row each."""
    from processor.commands.results import results

    loaded, words, wanted = settings_of(context, settings), words_of(context, quiet), form_of(form, as_json)
    results(loaded, file, status, since, form=wanted, output=output, words=words)


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SELECT", help="SQL that reads.", show_default=False)],
    form: TableForm = None,
    as_json: JsonRows = False,
    output: OutputFile = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Run read-only SQL on the results, as `SELECT file, digits FROM readings WHERE confidence < 0.9`."""
    from processor.commands.results import query

    words, wanted = words_of(context, quiet), form_of(form, as_json)
    query(settings_of(context, settings), sql, form=wanted, output=output, words=words)


def export(
    context: typer.Context,
    table: Annotated[
        str,
        typer.Argument(
            help="readings, digit_readings, scans, pages, numbers, digits, two_readings, corrections, models "
            "or refused_models.",
            show_default=True,
        ),
    ] = "readings",
    form: Annotated[
        FileFormat | None,
        typer.Option(
            "--format", help="How the rows are written.", show_default="as the output's suffix says, or csv"
        ),
    ] = None,
    as_json: JsonRows = False,
    output: OutputFile = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Write a whole table or view of the database to a file."""
    from processor.commands.results import export

    words, wanted = words_of(context, quiet), form_of(form, as_json)
    export(settings_of(context, settings), table, form=wanted, output=output, words=words)


def show(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            help="A scan, by its path or name as `results` prints it, or its id.", show_default=False
        ),
    ],
    number: Annotated[
        int | None, typer.Option(min=1, help="Only this number, with its digits.", show_default="all")
    ] = None,
    page: Annotated[int | None, typer.Option(min=1, help="Only this page.", show_default="all")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Every digit with its scores, and every rejected blob.")
    ] = False,
    as_json: Json = False,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write a picture of every number here, and one of what each page left out.",
            metavar="FOLDER",
            show_default="none",
        ),
    ] = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Show what is known of one scan: a line a number; in full, every digit and every rejected blob."""
    from processor.commands.show import Part, show

    loaded, words = settings_of(context, settings), words_of(context, quiet)
    part = Part(page=page, number=number, full=full)
    show(loaded, file, part, as_json=as_json, save=save, words=words)
