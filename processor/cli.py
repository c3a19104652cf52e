"""The command line of `processor`: parses, loads the settings, and hands over to `processor.commands`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processor.commands.options import Json, OutputFile, Quiet, SettingsFile, TableForm, Workers, words_of
from processor.commands.program import run_program
from processor.log_lines import LogFormat

if TYPE_CHECKING:
    from processor.settings import LoadedSettings

# Every command imports its own code when it runs: `processor --help` must not wait for torch or pandas.

app = typer.Typer(
    help="Reads handwritten numbers off scanned forms: an inbox folder in, a database you can query out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config = typer.Typer(help="Show the settings in force, or write a fresh settings file.", no_args_is_help=True)
app.add_typer(config, name="config")


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


def _print_version(wanted: bool) -> None:
    if wanted:
        from processor import __version__

        typer.echo(f"processor {__version__}")
        raise typer.Exit


@app.callback()
def program(
    context: typer.Context,
    settings: SettingsFile = None,
    quiet: Quiet = False,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop."),
    ] = False,
) -> None:
    context.obj = {"settings": settings, "quiet": quiet}


def _load(context: typer.Context, file: Path | None, **flags: Any) -> "LoadedSettings":
    """The settings in force; `--settings` behind the command wins over the one before it."""
    from processor.settings import load

    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    return load(file or context.obj["settings"], given)


@app.command()
def run(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Scans, or folders of scans.", show_default="the inbox"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Read what is there now, then stop.")] = False,
    workers: Workers = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Log on stderr: lines with time, level and event, or a JSON object a line.",
            show_default="sentences",
        ),
    ] = None,
    log_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Log into FILE, too; at 10 MB it is turned over.", show_default="none"
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Answer Prometheus on this port of the loopback.", show_default="none"
        ),
    ] = None,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Read the scans of the inbox, and those that arrive, until it is stopped.

    Originals move from the inbox to results/processed or results/failed; those of other folders stay.
    Ctrl-C finishes the scans under way; a second one stops at once.
    """
    from processor.commands.run import run
    from processor.commands.voice import check_log_file, speaking
    from processor.logs import LogPlan

    file = log_file.absolute() if log_file else None
    plan = LogPlan(log_format, file, quiet=quiet or context.obj["quiet"])
    with speaking(plan) as words:
        loaded = _load(context, settings, workers__count=workers)
        check_log_file(plan, loaded)
        code = run(loaded, paths or [], once=once, as_json=as_json, words=words, metrics_port=metrics_port)
    raise typer.Exit(code)


@app.command()
def read(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Scans to read.", show_default=False)],
    as_json: Json = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write annotated pages and contact sheets there.", show_default="none"
        ),
    ] = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Read scans without storing anything: digits, top-3 scores, numbers, what was rejected and why."""
    from processor.commands.read import read

    words = words_of(context, quiet)
    raise typer.Exit(read(_load(context, settings), images, as_json=as_json, save=save, words=words))


@app.command()
def status(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """Show how the runs are, what waits, and what the database holds: scans, pages, numbers, digits."""
    from processor.commands.status import status

    words_of(context, quiet)
    status(_load(context, settings), as_json=as_json)


@app.command()
def health(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """Tell whether a daemon of these settings works on this machine: exit code 0 where it does, else 1."""
    from processor.commands.health import health

    words_of(context, quiet)
    raise typer.Exit(health(lambda: _load(context, settings), as_json=as_json))


@app.command()
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
    output: OutputFile = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Print the numbers that were read, a row each."""
    from processor.commands.results import results

    loaded = _load(context, settings)
    results(loaded, file, status, since, form=form, output=output, words=words_of(context, quiet))


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SELECT", help="SQL that reads.", show_default=False)],
    form: TableForm = None,
    output: OutputFile = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Run read-only SQL on the results, as `SELECT file, digits FROM readings WHERE confidence < 0.9`."""
    from processor.commands.results import query

    query(_load(context, settings), sql, form=form, output=output, words=words_of(context, quiet))


@app.command()
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
    output: OutputFile = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Write a whole table or view of the database to a file."""
    from processor.commands.results import export

    export(_load(context, settings), table, form=form, output=output, words=words_of(context, quiet))


@app.command()
def show(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="A scan, by its path or name as `results` prints it.", show_default=False)
    ],
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
    """Show all that is known of one scan: its pages, numbers, digits with their scores, rejected blobs."""
    from processor.commands.results import show

    show(_load(context, settings), file, as_json=as_json, save=save, words=words_of(context, quiet))


@app.command()
def reprocess(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Scans that were read: by path, name, pattern as `2026-*/form*`, or id.",
            show_default="all",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The published model to read with.",
            show_default="recognition.model of the settings",
        ),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Store nothing; only show what would change.")] = False,
    workers: Workers = None,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Read scans again that were read before, with another model or other settings, and show what changes.

    Their records are replaced, unless --diff is given. Numbers that a person corrected stay.
    """
    from processor.commands.reprocess import reprocess

    loaded, words = _load(context, settings, workers__count=workers), words_of(context, quiet)
    code = reprocess(loaded, files or [], model=model, diff=diff, as_json=as_json, words=words)
    raise typer.Exit(code)


@app.command()
def verify(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what the records or the files tell how to mend.")
    ] = False,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Check that every record, original and published file agree, and list what is off.

    Every file is hashed, so it takes as long as reading them all. It may run beside a daemon.
    """
    from processor.commands.verify import verify

    loaded, words = _load(context, settings), words_of(context, quiet)
    raise typer.Exit(verify(loaded, repair=repair, as_json=as_json, words=words))


@app.command()
def retry(
    context: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Scans that failed, by id.", show_default="list those that failed"),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All scans of the inbox that failed.")] = False,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Put scans that failed back into the inbox and the queue; without any, list them with their ids."""
    from processor.commands.retry import retry

    loaded, words = _load(context, settings), words_of(context, quiet)
    raise typer.Exit(retry(loaded, ids or [], failed=failed, as_json=as_json, words=words))


@app.command()
def doctor(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """Check everything that a run needs: settings, folders, database, model, events, machine."""
    from processor.commands.doctor import doctor

    words_of(context, quiet)
    raise typer.Exit(doctor(_load(context, settings), as_json=as_json))


@app.command()
def models(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """List the models of the archive, and which of them reads."""
    from processor.commands.models import models

    models(_load(context, settings), as_json=as_json, words=words_of(context, quiet))


@config.command("show")
def config_show(
    context: typer.Context, as_json: Json = False, settings: SettingsFile = None, quiet: Quiet = False
) -> None:
    """Show every setting, its value, and where the value came from."""
    from processor.commands.config import show

    words_of(context, quiet)
    show(_load(context, settings), as_json=as_json)


@config.command("init")
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


def main() -> None:
    """The entry point of the console script."""
    run_program(app)
