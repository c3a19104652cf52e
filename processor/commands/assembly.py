"""What a run is made of: put together once all that could stop it is checked, taken apart however it ends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.accounts import Listener
from processor.commands import start
from processor.custody import Custody
from processor.daemon import Daemon
from processor.engines.choice import choose_engine
from processor.engines.tasks import Engine
from processor.errors import DigitInboxError
from processor.intake.places import Place
from processor.metrics import exported
from processor.patience import Stop
from processor.prediction.archive import ModelFolder
from processor.pulse import Pulse
from processor.results.database import open_database
from processor.results.originals import FAILED, PROCESSED
from processor.results.publish import remove_leftovers
from processor.settings import LoadedSettings
from processor.succession import Succession

MODELS = "models"
"""Beside the staged outputs of scans, whose folders are numbers: the copies of the models that read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that may begin, over these places; what it did is in its custody, also once it is taken apart."""

    daemon: Daemon
    custody: Custody
    succession: Succession
    places: Sequence[Place]


@contextmanager
def assembled(
    settings: LoadedSettings,
    paths: Sequence[Path],
    *,
    once: bool,
    listener: Listener,
    stop: Stop,
    metrics_port: int | None,
    engine: Engine | None = None,
) -> Iterator[Run]:
    """A run over `paths` (none: the inbox), and what it stands on while it lasts.

    Another `engine` reads than the one that the settings name, where it is given.
    Raises BadSettings, BadModel, BadDatabase, BadCommand.
    """
    places, model, database = _checked(settings, paths)
    results = settings.results
    with _founded(database, results, metrics_port, once=once) as (staging, pulse):
        custody = Custody(
            database,
            inbox=settings.inbox.resolve(),
            results=results,
            staging=staging,
            limits=settings.values.limits,
            listener=listener,
        )
        engine = engine or choose_engine(settings, folders=(staging, *{place.root for place in places}))
        with under_care(engine, custody, pulse):
            _remove_leftovers(results)
            succession = Succession(
                settings, model, folder=staging / MODELS, engine=engine, database=database, listener=listener
            )
            daemon = Daemon(
                settings,
                places,
                custody=custody,
                engine=engine,
                listener=listener,
                stop=stop,
                succession=succession,
                pulse=pulse,
            )
            yield Run(daemon=daemon, custody=custody, succession=succession, places=places)


def _checked(
    settings: LoadedSettings, paths: Sequence[Path]
) -> tuple[Sequence[Place], ModelFolder, Database]:
    """Everything that would stop a later scan is checked before the first one is touched."""
    start.check_settings(settings)
    start.check_folders(settings)
    places = start.places(settings, paths)
    model = start.check_model(settings)
    return places, model, open_database(settings.database_url)


@contextmanager
def _founded(
    database: Database, results: Path, metrics_port: int | None, *, once: bool
) -> Iterator[tuple[Path, Pulse]]:
    """A folder for unfinished outputs and a sign of life, which others may be shown on a port."""
    with (
        closing_pool(database),
        start.staging(results) as staging,
        exported(metrics_port, database, results) as metrics,
    ):
        yield staging, Pulse(database, once=once, metrics=metrics)


@contextmanager
def under_care(engine: Engine, custody: Custody, pulse: Pulse) -> Iterator[None]:
    """However it ends, no worker is left, and no scan is held by a process that does not read it.

    The sign of life is taken away unless a fault ended it, which it then tells of.
    """
    fault: DigitInboxError | None = None
    try:
        yield
    except DigitInboxError as error:
        fault = error
        raise
    finally:
        engine.close()
        custody.give_back()
        if fault is None:
            pulse.end()
        else:
            pulse.fail(str(fault))


@contextmanager
def closing_pool(database: Database) -> Iterator[None]:
    """Lets go of all connections at its end: a database whose folder is to be unmounted must not be held."""
    try:
        yield
    finally:
        database.dispose()


def _remove_leftovers(results: Path) -> None:
    """What runs that were killed left half-written, long enough ago that no run beside this one writes it."""
    for folder in (results, *(results / name for name in ("annotated", "csv", PROCESSED, FAILED))):
        remove_leftovers(folder, start.STALE_STAGING.total_seconds())
