"""What must be right before the first scan is touched, and which places a run looks at."""

import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from processor.errors import BadCommand, BadDatabase, BadSettings
from processor.intake.places import Place
from processor.prediction.archive import CURRENT, ModelFolder, find_model
from processor.processes import has_ended
from processor.results.address import engine_of, sqlite_file
from processor.settings import LoadedSettings
from processor.trust import doubt, lies_within

log = logging.getLogger(__name__)

STAGING = ".staging"
STALE_STAGING = timedelta(days=1)


def check_settings(settings: LoadedSettings) -> None:
    """Warns where others than this user could change the settings."""
    if settings.file is not None:
        _warn_of_others("settings", [settings.file.parent, settings.file])


def check_folders(settings: LoadedSettings) -> None:
    """Makes the folders that the settings name by default, and tries the results for real.

    Raises BadSettings where one is missing, not writable, inside the other, or short of space, and where the
    database lies in the inbox.
    """
    inbox, results = settings.inbox.resolve(), settings.results.resolve()
    if lies_within(inbox, results) or lies_within(results, inbox):
        raise BadSettings(
            f"paths.inbox = {inbox} and paths.results = {results} lie one inside the other: "
            "annotated pages would be read as scans.",
            "Put them side by side.",
        )
    _refuse_database_in(inbox, settings.database_url)
    _make(results, "paths.results")
    _try_writing(results)
    free = shutil.disk_usage(results).free / 1e6
    least = settings.values.limits.min_free_mb
    if free < least:
        raise BadSettings(
            f"Only {free:.0f} MB are free below {results}; limits.min_free_mb asks for {least:g}.",
            "Make room, or lower limits.min_free_mb.",
        )


def check_model(settings: LoadedSettings) -> ModelFolder:
    """The model that will read, its hashes compared. Raises BadModel."""
    archive = settings.models_archive
    model = find_model(archive, settings.values.recognition.model)
    _warn_of_others(f"model {model.name}", [archive, archive / CURRENT, model.path, *model.path.iterdir()])
    return model


def places(settings: LoadedSettings, paths: Sequence[Path]) -> list[Place]:
    """Where a run looks: the inbox, or what was named on the command line.

    What lies in the inbox belongs to it, however it was named. Raises BadSettings where the inbox cannot be
    used, BadCommand where a path does not exist or may not be read.
    """
    inbox = settings.inbox.resolve()
    if not paths:
        _make(inbox, "paths.inbox")
        return [Place(inbox, inbox)]
    found = []
    for path in paths:
        if path.is_dir():
            folder = path.resolve()
            if not os.access(folder, os.R_OK | os.X_OK):
                raise BadCommand(f"The folder {path} may not be read.", "Check its permissions.")
            found.append(Place(folder, inbox if folder.is_relative_to(inbox) else folder))
            if inbox.is_relative_to(folder) and inbox != folder and inbox.is_dir():
                found.append(Place(inbox, inbox))
        elif os.path.lexists(path):
            found.append(_file_place(path, inbox))
        else:
            raise BadCommand(f"{path} does not exist.", "Name a scan, or a folder of scans.")
    return found


@contextmanager
def staging(results: Path) -> Iterator[Path]:
    """A folder for unfinished outputs, on the file system of the results; gone when the block ends."""
    parent = results / STAGING
    parent.mkdir(exist_ok=True)
    for left in parent.iterdir():
        if _is_left_behind(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{socket.gethostname()}-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_database_in(inbox: Path, url: str) -> None:
    """Whoever may drop files into the inbox could put another database in its place."""
    try:
        file = sqlite_file(engine_of(url))
    except BadDatabase:
        return  # whoever opens it tells why that cannot be
    if file is not None and lies_within(file.parent, inbox):
        raise BadSettings(
            f"database.url = {url} lies in the inbox {inbox}: whoever drops scans there could replace it.",
            "Put it elsewhere, or leave it out: it lies in the results then.",
        )


def _is_left_behind(folder: Path) -> bool:
    """Whether the run that made it was killed: a service that ends again and again would fill the disk.

    On this machine its process tells, unless another one has that number by now, which started later. A run
    on another machine touches its folder while it lives.
    """
    try:
        touched = folder.stat().st_mtime
    except FileNotFoundError:
        return False
    if time.time() - touched > STALE_STAGING.total_seconds():
        return True
    host, number, _ = ["", "", *folder.name.rsplit("-", 2)][-3:]
    return number.isdecimal() and has_ended(host, int(number), datetime.fromtimestamp(touched, UTC)) is True


def _warn_of_others(what: str, paths: Iterable[Path]) -> None:
    """Whoever may change them decides what is read, where the results go, and what is taken for a digit."""
    if (text := doubt(what, paths)) is not None:
        log.warning("%s", text, extra={"event": "start.open_to_others"})


def _file_place(path: Path, inbox: Path) -> Place:
    place = path.parent.resolve() / path.name
    if place.is_relative_to(inbox):
        return Place(place, inbox, str(place.relative_to(inbox)))
    root = Path(path.anchor) if path.is_absolute() else Path.cwd()
    return Place(root / path, root, str(path))


def _make(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.scandir(folder).close()
    except OSError as error:
        raise BadSettings(
            f"{name} = {folder} cannot be used: {error.strerror}.",
            "Name another folder, or mend its permissions.",
        ) from None


def _try_writing(folder: Path) -> None:
    """Tries it: permission bits say nothing about a read-only mount or an access list."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadSettings(
            f"paths.results = {folder} is not writable: {error.strerror}.",
            "Mend its permissions, or name another.",
        ) from None
