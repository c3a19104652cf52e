"""`processor status`: what the database holds."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select

from processor.commands.console import jsonable, print_json, print_line, print_pairs
from processor.errors import BadModel
from processor.prediction.archive import current_name
from processor.results.database import open_database, reading
from processor.results.queries import Fields, refusal, summary
from processor.results.schema import scans
from processor.settings import LoadedSettings


def status(settings: LoadedSettings, *, as_json: bool) -> None:
    """Prints the counts over the whole database. Raises BadDatabase."""
    counts = counted(settings)
    if as_json:
        print_json(counts)
        return
    refused = counts.pop("refused_model")
    print_pairs(counts)
    if refused:
        print_line()
        print_pairs({f"refused_model {name}": jsonable(value) for name, value in refused.items()})


def counted(settings: LoadedSettings) -> dict[str, Any]:
    """The counts of all scans; `seconds` is the reading time of those that are done. Raises BadDatabase."""
    database = open_database(settings.database_url, create=False)
    try:
        found = summary(database)
        refused = refusal(database)
        with reading(database) as connection:
            seconds = connection.execute(select(func.coalesce(func.sum(scans.c.seconds), 0.0))).scalar_one()
    finally:
        database.dispose()
    counts = asdict(found)
    return {
        **counts,
        **found.trust(),
        "seconds": round(seconds, 3),
        "pages_per_second": round(counts["pages"] / seconds, 3) if seconds > 0 else 0.0,
        "model": _model_in_use(settings, refused),
        "refused_model": refused,
    }


def _model_in_use(settings: LoadedSettings, refused: Fields | None) -> str | None:
    """The model that the next scan would be read with; `None` where there is none, which stops no query."""
    name = settings.values.recognition.model
    if name != "current":
        return name
    try:
        named: str | None = current_name(settings.models_archive)
    except BadModel:
        named = None
    # The model of before reads on where a running daemon refused what CURRENT names.
    return str(refused["in_use"]) if refused and refused["name"] == named else named
