"""`processor status`: what the database holds."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select

from processor.commands.console import print_json, print_pairs
from processor.errors import BadModel
from processor.prediction.archive import current_name
from processor.results.database import open_database, reading
from processor.results.queries import summary
from processor.results.schema import scans
from processor.settings import LoadedSettings


def status(settings: LoadedSettings, *, as_json: bool) -> None:
    """Prints the counts over the whole database. Raises BadDatabase."""
    counts = counted(settings)
    print_json(counts) if as_json else print_pairs(counts)


def counted(settings: LoadedSettings) -> dict[str, Any]:
    """The counts of all scans; `seconds` is the reading time of those that are done. Raises BadDatabase."""
    database = open_database(settings.database_url, create=False)
    try:
        counts = asdict(summary(database))
        with reading(database) as connection:
            seconds = connection.execute(select(func.coalesce(func.sum(scans.c.seconds), 0.0))).scalar_one()
    finally:
        database.dispose()
    return {
        **counts,
        "seconds": round(seconds, 3),
        "pages_per_second": round(counts["pages"] / seconds, 3) if seconds > 0 else 0.0,
        "model": _model_in_use(settings),
    }


def _model_in_use(settings: LoadedSettings) -> str | None:
    """The model that the next scan would be read with; `None` where there is none, which stops no query."""
    name = settings.values.recognition.model
    try:
        return current_name(settings.models_archive) if name == "current" else name
    except BadModel:
        return None
