"""`processor retry`: scans that failed go back into the inbox, and into the queue."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database
from sqlalchemy import select

from processor.commands.console import Words
from processor.commands.printing import print_entries, print_json
from processor.errors import BadCommand, BadScan, Exit, Transient
from processor.intake import queue
from processor.intake.queue import Enqueued
from processor.records import ScanState
from processor.results.database import open_database, reading
from processor.results.findings import Holdings
from processor.results.inventory import place_of
from processor.results.originals import FAILED, find_copy, holds, kept_name, lies_below, own_name, put_back
from processor.results.publish import stored_name
from processor.results.queries import id_of
from processor.results.schema import scans
from processor.settings import LoadedSettings
from processor.states import DISMISSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of a failed scan: `queued`, `put back` to be looked at anew, or `left`, and why."""

    scan_id: int
    file: str
    outcome: str
    message: str = ""


def retry(settings: LoadedSettings, ids: Sequence[str], *, failed: bool, as_json: bool, words: Words) -> Exit:
    """Puts failed scans back; without `ids` or `failed`, lists them. Raises BadDatabase, BadCommand."""
    if ids and failed:
        raise BadCommand(
            "--failed names all scans that failed; ids name some of them.", "Give one or the other."
        )
    database = open_database(settings.database_url, create=False)
    try:
        holdings = Holdings(
            database=database, inbox=settings.inbox.resolve(), results=settings.results.resolve()
        )
        chosen = _named(holdings, ids) if ids else all_failed(database)
        if not ids and not failed:
            print_failed(chosen, as_json=as_json, words=words)
            return Exit.DONE
        retried = [_retry(holdings, row) for row in chosen]
    finally:
        database.dispose()
    _print(retried, as_json=as_json, words=words)
    return Exit.SOME_FAILED if any(one.outcome == "left" for one in retried) else Exit.DONE


def all_failed(database: Database) -> list[Any]:
    """The rows of all scans that failed, without those that were dismissed. Raises BadDatabase."""
    query = select(scans).where(scans.c.state == ScanState.FAILED, scans.c.error.is_distinct_from(DISMISSED))
    query = query.order_by(scans.c.id)
    with reading(database) as connection:
        return list(connection.execute(query).all())


def _named(holdings: Holdings, ids: Sequence[str]) -> list[Any]:
    """The rows of these ids, all of which failed; where one did not, nothing is done. Raises BadCommand."""
    found = {}
    with reading(holdings.database) as connection:
        for text in ids:
            row = connection.execute(select(scans).where(scans.c.id == id_of(text))).one_or_none()
            if row is None:
                raise BadCommand(
                    f"There is no scan with the id {text}.", "`processor retry` lists those that failed."
                )
            if row.state != ScanState.FAILED:
                raise BadCommand(
                    f"Scan {text}, {row.file}, did not fail: it is {row.state}.", _otherwise(row)
                )
            if _folder(holdings, row) != holdings.inbox:
                raise BadCommand(*_elsewhere(row))
            found[row.id] = row
    return [found[number] for number in sorted(found)]


def _retry(holdings: Holdings, row: Any) -> Retried:
    """File first, then row: what is cut off in between, the next look at the inbox finds and queues."""
    source, file = _folder(holdings, row), place_of(row)[1]
    facts = {"scan_id": row.id, "file": row.file}
    if source != holdings.inbox:
        return Retried(**facts, outcome="left", message=" ".join(_elsewhere(row)))
    kept = report = holdings.results / FAILED / kept_name(file, row.sha256)
    if not os.path.lexists(kept):
        kept = find_copy(row.sha256, holdings.results) or kept
    own = own_name(file, row.sha256)
    try:
        if not source.is_dir():
            raise Transient(f"The inbox {source} is not there.", "Bring it back, then retry once more.")
        here = source / own
        if not lies_below(source, here):
            raise BadScan(f"A link leads from {here.parent} out of the inbox.", "Remove the link.")
        if not put_back(kept, here, row.sha256):
            here = source / file
            if not holds(here, row.sha256):
                raise BadScan(f"Its original is not at {kept}.", "Drop the scan into the inbox once more.")
        outcome = _queue(holdings.database, row, source, here)
    except (BadScan, Transient) as fault:
        return Retried(**facts, outcome="left", message=stored_name(str(fault)))
    with suppress(OSError):
        report.with_name(f"{report.name}.json").unlink(missing_ok=True)
    return Retried(**facts, outcome=outcome)


def _folder(holdings: Holdings, row: Any) -> Path:
    """The folder a failed scan goes back to: where it came from.

    Originals are kept for scans of the inbox only, so that one that is kept is of the inbox, wherever that
    lay when the scan failed: everything may have been moved to another folder since.
    """
    source, file = place_of(row)
    kept = holdings.results / FAILED / kept_name(file, row.sha256)
    return holdings.inbox if os.path.lexists(kept) else source


def _queue(database: Database, row: Any, source: Path, here: Path) -> str:
    if not holds(here, row.sha256):
        # It could not be opened, so that its row stands for no content: by its content it is a new scan.
        return "put back"
    file, now = here.relative_to(source).as_posix(), datetime.now(UTC)
    if here == place_of(row)[0] / file and file == row.file:
        return "queued" if queue.retry(database, [row.id], now) else "read meanwhile"
    became = queue.enqueue(database, source=source, file=file, sha256=row.sha256, bytes=row.bytes, now=now)
    return "queued" if became in (Enqueued.QUEUED, Enqueued.PENDING) else "read meanwhile"


def _otherwise(row: Any) -> str:
    if row.state == ScanState.DONE:
        return f"To read it once more: `processor reprocess {row.id}`."
    if row.state == ScanState.DUPLICATE:
        return f"Scan {row.duplicate_of} has the same content."
    return "It is read when its turn comes."


def _elsewhere(row: Any) -> tuple[str, str]:
    return (
        f"Scan {row.id}, {row.file}, is not of the inbox: it lies in {row.source}.",
        "`processor run --once` on that folder, or on the file, tries it again.",
    )


def print_failed(rows: Sequence[Any], *, as_json: bool, words: Words) -> None:
    """Lists scans that failed, with their ids and reasons."""
    columns = ("id", "file", "source", "error", "message", "attempts", "finished_at")
    if as_json:
        print_json({"failed": [{name: getattr(row, name) for name in columns} for row in rows]})
        return
    if not rows:
        words.say("No scan has failed.")
        return
    print_entries(((row.id,), (f"{row.file}{_failed_at(row)}", row.message)) for row in rows)
    words.say("`processor retry ID` tries some of them again, `processor retry --failed` all.")
    words.say("`processor dismiss ID` takes one off this list that nobody need try again.")


def _failed_at(row: Any) -> str:
    return f", failed at {row.finished_at:%Y-%m-%d %H:%M} UTC" if row.finished_at else ""


def _print(retried: Sequence[Retried], *, as_json: bool, words: Words) -> None:
    counts = {name: sum(one.outcome == name for one in retried) for name in ("queued", "put back", "left")}
    if as_json:
        counted = {name.replace(" ", "_"): count for name, count in counts.items()}
        print_json({**counted, "scans": [asdict(one) for one in retried]})
        return
    if not retried:
        words.say("No scan has failed.")
        return
    print_entries(((one.scan_id, one.outcome), (one.file, one.message)) for one in retried)
    if len(retried) > counts["left"]:
        words.say("A daemon reads them when it next looks at the inbox; else `processor run --once` does.")
