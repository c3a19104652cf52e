"""The commands that read scans, or need not any more: `run`, `read`, `reprocess`, `retry`, `dismiss`."""

from pathlib import Path
from typing import Annotated

import typer

from processor.commands.options import Json, Quiet, SettingsFile, Workers, settings_of, words_of
from processor.log_lines import LogFormat

LogForm = Annotated[
    LogFormat | None,
    typer.Option(
        help="Log on stderr: lines with time, level and event, or a JSON object a line.",
        show_default="sentences",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Log into FILE, too; at 10 MB it is turned over.", show_default="none"),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535, help="Answer Prometheus on this port of the loopback.", show_default="none"
    ),
]


def run(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Scans, or folders of scans.", show_default="the inbox"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Read what is there now, then stop.")] = False,
    workers: Workers = None,
    log_format: LogForm = None,
    log_file: LogFile = None,
    metrics_port: MetricsPort = None,
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
        loaded = settings_of(context, settings, workers__count=workers)
        check_log_file(plan, loaded)
        code = run(loaded, paths or [], once=once, as_json=as_json, words=words, metrics_port=metrics_port)
    raise typer.Exit(code)


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
    raise typer.Exit(read(settings_of(context, settings), images, as_json=as_json, save=save, words=words))


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

    loaded, words = settings_of(context, settings, workers__count=workers), words_of(context, quiet)
    code = reprocess(loaded, files or [], model=model, diff=diff, as_json=as_json, words=words)
    raise typer.Exit(code)


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

    loaded, words = settings_of(context, settings), words_of(context, quiet)
    raise typer.Exit(retry(loaded, ids or [], failed=failed, as_json=as_json, words=words))


def dismiss(
    context: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Scans that failed, by id.", show_default="list those that failed"),
    ] = None,
    mended: Annotated[
        bool, typer.Option("--mended", help="All in whose place another content was read since.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="All scans that failed.")] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete their originals and reports in results/failed, too.")
    ] = False,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Take scans that failed off the list of those to be tried again; without any, list them with their ids.

    Their originals stay in results/failed, unless --delete is given.
    """
    from processor.commands.dismiss import Wanted, dismiss

    loaded, words = settings_of(context, settings), words_of(context, quiet)
    wanted = Wanted(ids=ids or [], failed=failed, mended=mended)
    raise typer.Exit(dismiss(loaded, wanted, delete=delete, as_json=as_json, words=words))
