"""`processor run`: the checks before the loop in `daemon`, what it is made of, and the summary after it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database

from processor.characters import visible
from processor.commands import start
from processor.commands.console import Words, print_json
from processor.commands.progression import Progression, signals
from processor.custody import Custody
from processor.daemon import Daemon
from processor.engines.local import LocalEngine
from processor.engines.tasks import Engine
from processor.errors import DigitInboxError, Exit
from processor.metrics import exported
from processor.patience import Stop
from processor.pulse import Pulse
from processor.results.database import open_database
from processor.results.originals import FAILED, PROCESSED
from processor.results.publish import remove_leftovers
from processor.results.tally import Tally
from processor.settings import LoadedSettings
from processor.succession import Succession

MODELS = "models"
"""Beside the staged outputs of scans, whose folders are numbers: the copies of the models that read them."""


def run(
    settings: LoadedSettings,
    paths: Sequence[Path],
    *,
    once: bool,
    as_json: bool,
    words: Words,
    metrics_port: int | None = None,
) -> Exit:
    """Reads what lies at `paths` (none: the inbox), and, unless `once`, what arrives until it is stopped.

    Everything that would stop a later scan is checked before the first one is touched.
    Raises BadSettings, BadModel, BadDatabase, BadCommand.
    """
    started = time.monotonic()
    stop = Stop()
    try:
        with signals(stop, words), Progression(words, once) as listener:
            start.check_settings(settings)
            start.check_folders(settings)
            places = start.places(settings, paths)
            model = start.check_model(settings)
            database = open_database(settings.database_url)
            with (
                closing_pool(database),
                start.staging(settings.results) as staging,
                exported(metrics_port, database, settings.results) as metrics,
            ):
                pulse = Pulse(database, once=once, metrics=metrics)
                custody = Custody(
                    database,
                    inbox=settings.inbox.resolve(),
                    results=settings.results,
                    staging=staging,
                    listener=listener,
                )
                engine = LocalEngine(settings, settings.values.workers.resolved_count())
                with under_care(engine, custody, pulse):
                    _remove_leftovers(settings.results)
                    succession = Succession(
                        settings,
                        model,
                        folder=staging / MODELS,
                        engine=engine,
                        database=database,
                        listener=listener,
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
                    if not once:
                        watched = ", ".join(str(place.path) for place in places)
                        words.say(f"Watching {watched}; Ctrl-C stops.", "run.watching")
                    daemon.once() if once else daemon.watch()
    except KeyboardInterrupt:
        words.warn("Interrupted: the scans under way were given back to the queue.", "run.interrupted")
        return Exit.INTERRUPTED
    counts = report(custody.tally, time.monotonic() - started, succession.in_use.name)
    if as_json:
        print_json(counts)
    else:
        _say_summary(counts, settings, words)
    left = counts["pending"] or custody.owes
    return Exit.SOME_FAILED if once and (counts["failed"] or (left and not stop.asked)) else Exit.DONE


def report(tally: Tally, seconds: float, model: str) -> dict[str, Any]:
    """The counts of one run, as `--json` prints them. Raises BadDatabase where they contradict each other."""
    found = tally.summary()
    counts = asdict(found)
    return {
        **counts,
        **found.trust(),
        "seconds": round(seconds, 3),
        "pages_per_second": round(counts["pages"] / seconds, 3) if seconds > 0 else 0.0,
        "model": model,
    }


@contextmanager
def under_care(engine: Engine, custody: Custody, pulse: Pulse) -> Iterator[None]:
    """However it ends, no worker is left, and no scan is held by a process that does not read it.

    The sign of life is taken away unless a fault ended it, which it then tells of.
    """
    well = True
    try:
        yield
    except DigitInboxError:
        well = False
        raise
    finally:
        engine.close()
        custody.give_back()
        if well:
            pulse.end()


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


def _side_by_side(counts: dict[str, Any]) -> list[tuple[object, ...]]:
    """What became of the scans on the left, what was read on the right."""
    scans = ("seen", "done", "failed", "duplicate", "ignored", "pending")
    read = ("pages", "numbers", "digits", "review", "rejected", "seconds")
    # Beside the numbers to look at, `review` alone would be taken for their count.
    told = {"review": "digits in review", "rejected": "rejected marks"}
    rows = zip(scans, read, strict=True)
    return [(left, counts[left], told.get(right, right), counts[right]) for left, right in rows]


def _trust(counts: dict[str, Any]) -> str:
    accepted = (
        f"Accepted: {counts['accepted']} of {counts['numbers']} numbers ({counts['accepted_share']:.0%})"
    )
    told = f"{accepted}, of which {counts['expected_error']:.2%} are expected to be wrong."
    left = counts["numbers"] - counts["accepted"]
    return f"{told} To look at: {left} (`processor results --status review`)." if left else told


def _say_summary(counts: dict[str, Any], settings: LoadedSettings, words: Words) -> None:
    words.table(("scans", "", "read", ""), _side_by_side(counts))
    results = settings.results
    if counts["numbers"]:
        words.say(_trust(counts))
    if counts["pages"]:
        annotated = (
            ""
            if settings.values.outputs.annotated == "none"
            else f"   Annotated pages: {results / 'annotated'}"
        )
        words.say(f"Numbers: {results / 'numbers.csv'}{annotated}")
    if counts["failed"]:
        words.say(f"What failed, and why: {results / 'failed'}")
    words.say(f"Database: {visible(settings.database_url)}")
