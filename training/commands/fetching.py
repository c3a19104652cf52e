"""`training download`."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processor.commands.options import Json, Quiet, SettingsFile, settings_of, words_of
from training.commands.options import DataFolder, data_of

if TYPE_CHECKING:
    from processor.commands.console import Words
    from training.downloads.fetch import Fetcher, Published
    from training.downloads.transfer import Progress


def download(
    context: typer.Context,
    sets: Annotated[
        list[str] | None,
        typer.Argument(metavar="SET", help="What to fetch: mnist, seed.", show_default="all of them"),
    ] = None,
    data: DataFolder = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="Fetch from a copy of a data folder on a server of your own.",
            show_default="the public addresses",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there and are others.")
    ] = False,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Fetch data sets from their public addresses, check them, and lay them out for training."""
    from processor.commands.printing import print_json, print_line
    from processor.errors import Exit
    from training.downloads.fetch import Fetcher

    words = words_of(context, quiet)
    wanted = _wanted(sets or [], mirror)
    fetcher = Fetcher(data_of(settings_of(context, settings), data, made=True), force, say=words.say)
    try:
        rows = [_row(published, fetcher, words) for published in wanted]
    except KeyboardInterrupt:
        words.warn("Interrupted: what has arrived is kept, and the same command goes on from there.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            if row["state"] != "failed":
                print_line(row["path"])
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(Exit.SOME_FAILED)


def _wanted(names: list[str], mirror: str | None) -> "list[Published]":
    """The files of the data sets `names`; of all of them where there are none. Raises BadCommand."""
    from processor.errors import BadCommand
    from training.downloads.catalogue import CATALOGUE, DataSet

    known = [str(each) for each in DataSet]
    for name in names:
        if name not in known:
            raise BadCommand(f"There is no data set {name!r} to fetch.", f"There are: {', '.join(known)}.")
    chosen = [each for each in DataSet if not names or each in names]
    files = [published for each in chosen for published in CATALOGUE[each]]
    if mirror is None:
        return files
    _check_mirror(mirror)
    return [published.from_mirror(mirror) for published in files]


def _check_mirror(mirror: str) -> None:
    from urllib.parse import urlsplit

    from processor.errors import BadCommand

    try:
        parts = urlsplit(mirror)
        usable = (
            parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise BadCommand(
            f"--from {mirror!r} is no address of a folder on a server.", "Write it as http://HOST/FOLDER."
        )


def _row(published: "Published", fetcher: "Fetcher", words: "Words") -> dict[str, Any]:
    """What became of one file; a file that could not be had is told at once, and the next one is tried."""
    from training.downloads.faults import NotFetched

    with ExitStack() as bars:
        fetcher.progress = _bar(published.file, words, bars)
        try:
            fetched = fetcher.fetch(published)
        except NotFetched as error:
            bars.close()
            words.fail(error)
            return {"file": published.file, "state": "failed", "error": error.message, "remedy": error.remedy}
    how = "is there already" if fetched.state == "present" else "was fetched"
    words.say(f"{published.file} {how}, and is the published one.")
    row: dict[str, Any] = {"file": published.file, "state": fetched.state, "path": str(fetched.path)}
    return {**row, "bytes": fetched.bytes, "from": fetched.address}


def _bar(file: str, words: "Words", bars: ExitStack) -> "Progress":
    """A progress bar on stderr that appears with the first byte, where that is a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=words.console,
        disable=not words.shows_progress,
        transient=True,
    )
    task = bar.add_task(file, total=None)
    started = False

    def progress(arrived: int, total: int | None) -> None:
        nonlocal started
        if not started:
            bars.enter_context(bar)
            started = True
        bar.update(task, completed=arrived, total=total)

    return progress
