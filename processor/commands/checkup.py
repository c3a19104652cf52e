"""The checks of `processor doctor`, which change nothing: what the settings name is there and can be used."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from processor.commands import start
from processor.engines.choice import choose_engine
from processor.errors import BadModel, Exit
from processor.intake.watcher import Watcher
from processor.prediction.archive import CURRENT, find_model
from processor.settings import ENV_PREFIX, LoadedSettings
from processor.trust import doubt

CLOCK_SECONDS = 5.0
"""What two clocks may differ by."""


class Level(StrEnum):
    """How grave it is: a fault stops a run, a warning does not."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: what was found, and, where it is not in order, what to do."""

    name: str
    found: str
    level: Level = Level.OK
    remedy: str = ""
    exit_code: Exit = Exit.DONE


def settings_found(settings: LoadedSettings) -> Iterator[Check]:
    """Which file the settings are from, and what of them the environment says otherwise."""
    start.check_settings(settings)
    if settings.file is None:
        where = f"no settings.toml from {settings.base} upward: every setting has its default"
        yield warning("settings", where, "Write one with `processor config init`, or name one.")
    else:
        yield Check(name="settings", found=str(settings.file))
    named = sorted(name for name, origin in settings.origins.items() if origin.startswith(ENV_PREFIX))
    if named:
        yield Check(name="environment", found=f"sets {', '.join(named)}")


def folders(settings: LoadedSettings) -> Iterator[Check]:
    """The inbox and the results: there, apart, writable, with room, on one file system."""
    inbox, results = settings.inbox.resolve(), settings.results.resolve()
    there = []
    for name, folder in (("inbox", inbox), ("results", results)):
        if not folder.exists():
            yield warning(name, f"{folder} is not there yet", "`processor run` makes it; is the name right?")
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            said = f"{folder} may not be read and written by this user"
            yield fault(name, said, "Mend its permissions.", Exit.BAD_SETTINGS)
        else:
            there.append(folder)
            yield Check(name=name, found=str(folder))
    if results in there:
        start.check_folders(settings)
        free = shutil.disk_usage(results).free / 1e6
        least = settings.values.limits.min_free_mb
        yield Check(name="disk space", found=f"{free:.0f} MB are free, {least:g} MB must be")
    if there == [inbox, results]:
        yield _file_systems(inbox, results)


def _file_systems(inbox: Path, results: Path) -> Check:
    if inbox.stat().st_dev == results.stat().st_dev:
        return Check(name="file system", found="originals are moved by renaming them")
    said = "the inbox and the results lie on two file systems: each original is copied"
    return warning("file system", said, "Lay both on one, if moving takes long.")


def model(settings: LoadedSettings) -> Iterator[Check]:
    """The model is there, its hashes are right, and a worker that loads it computes what its maker did."""
    folder = find_model(settings.models_archive, settings.values.recognition.model)
    engine = choose_engine(settings, 1, folders=[folder.path])
    try:
        engine.examine(folder.path)
        while (verdict := engine.verdict()) is None:
            engine.wait(0.5)
    finally:
        engine.close()
    if verdict.fault is not None:
        raise verdict.fault
    yield Check(name="model", found=f"{folder.name}: hashes right, loaded by a worker, probe computed right")


def rights(settings: LoadedSettings) -> Iterator[Check]:
    """Whether others than this user could change what decides what is read."""
    archive, name = settings.models_archive, settings.values.recognition.model
    found = []
    if settings.file is not None:
        found.append(doubt("settings", [settings.file.parent, settings.file]))
    with suppress(BadModel):  # the look at the model says so
        folder = find_model(archive, name).path
        found.append(doubt("model", [archive, archive / CURRENT, folder, *folder.iterdir()]))
    said = [text for text in found if text is not None]
    for text in said:
        yield warning("rights", text, "chmod go-w")
    if not said:
        yield Check(name="rights", found="nobody else can change the settings or the model")


def events(settings: LoadedSettings) -> Iterator[Check]:
    """Whether the file system announces a file that is made in the inbox."""
    inbox, intake = settings.inbox.resolve(), settings.values.intake
    if not inbox.is_dir():
        return
    with Watcher([inbox], intake.recursive, intake.watch) as watcher:
        (watch,) = watcher.watches
    if watch.mode == "native" and watch.canary != "lost":
        yield Check(name="events", found=f"{inbox} announces new files")
    elif watch.why is None and intake.watch == "polling":
        yield Check(name="events", found=f"{inbox} is listed regularly, as intake.watch says")
    else:
        said = watch.why or f"no event came of a file made in {inbox}"
        remedy = f"New files are found by listing, within {intake.rescan_seconds:g} s."
        yield warning("events", said, remedy)


def warning(name: str, found: str, remedy: str) -> Check:
    """What a run goes on with, though not as well."""
    return Check(name=name, found=found, level=Level.WARNING, remedy=remedy)


def fault(name: str, found: str, remedy: str, exit_code: Exit) -> Check:
    """What a run would end with."""
    return Check(name=name, found=found, level=Level.FAULT, remedy=remedy, exit_code=exit_code)
