"""`processor dismiss`: failed scans that nobody need try again go off the list; their originals stay."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database
from sqlalchemy import select

from processor.commands.console import Words
from processor.commands.printing import print_entries, print_json
from processor.commands.retry import all_failed, print_failed
from processor.errors import BadCommand, Exit
from processor.intake import queue
from processor.records import ScanState
from processor.results.database import open_database, reading
from processor.results.inventory import place_of
from processor.results.originals import FAILED, holds, kept_name
from processor.results.queries import id_of
from processor.results.schema import scans
from processor.settings import LoadedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which failed scans: by id, all, or all in whose place another content was read since."""

    ids: Sequence[str] = ()
    failed: bool = False
    mended: bool = False

    def check(self) -> None:
        """Raises BadCommand where more than one way is taken."""
        if sum(map(bool, (self.ids, self.failed, self.mended))) > 1:
            raise BadCommand("Ids, --failed and --mended name scans in three ways.", "Take one of them.")

    @property
    def none(self) -> bool:
        return not (self.ids or self.failed or self.mended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    """What became of a failed scan: `dismissed`, or `left` where its original was to be deleted, and why."""

    scan_id: int
    file: str
    outcome: str
    message: str = ""


def dismiss(settings: LoadedSettings, wanted: Wanted, *, delete: bool, as_json: bool, words: Words) -> Exit:
    """Takes failed scans off the list; without `wanted`, lists them. Raises BadDatabase, BadCommand."""
    wanted.check()
    if delete and wanted.none:
        raise BadCommand("--delete deletes the originals of scans that are named.", "Name them by id.")
    database = open_database(settings.database_url, create=False)
    try:
        chosen = _chosen(database, wanted)
        if wanted.none:
            print_failed(chosen, as_json=as_json, words=words)
            return Exit.DONE
        queue.dismiss(database, [row.id for row in chosen])
    finally:
        database.dispose()
    failed = settings.results / FAILED
    dismissed = [_settled(row, failed, delete=delete) for row in chosen]
    _print(dismissed, as_json=as_json, words=words)
    return Exit.SOME_FAILED if any(one.outcome == "left" for one in dismissed) else Exit.DONE


def _chosen(database: Database, wanted: Wanted) -> list[Any]:
    if wanted.mended:
        return _mended(database)
    return _named(database, wanted.ids) if wanted.ids else all_failed(database)


def _mended(database: Database) -> list[Any]:
    """Those in whose place a later content was read: somebody mended the file, and dropped it in again."""
    later = scans.alias("later")
    with reading(database) as connection:
        read = select(later.c.id, later.c.source, later.c.file).where(later.c.state == ScanState.DONE)
        return [
            row
            for row in all_failed(database)
            if connection.execute(
                read.where(later.c.source == row.source, later.c.file == row.file, later.c.id > row.id)
            ).first()
        ]


def _named(database: Database, ids: Sequence[str]) -> list[Any]:
    """The rows of these ids, all of which failed; where one did not, nothing is done. Raises BadCommand."""
    found = {}
    with reading(database) as connection:
        for text in ids:
            row = connection.execute(select(scans).where(scans.c.id == id_of(text))).one_or_none()
            if row is None or row.state != ScanState.FAILED:
                what = f"Scan {text} did not fail." if row else f"There is no scan with the id {text}."
                raise BadCommand(what, "`processor dismiss` lists those that failed.")
            found[row.id] = row
    return [found[number] for number in sorted(found)]


def _settled(row: Any, failed: Path, *, delete: bool) -> Dismissed:
    """Deletes, or tells where its original is kept; the row says already that nobody misses it."""
    kept = failed / kept_name(place_of(row)[1], row.sha256)
    facts = {"scan_id": row.id, "file": row.file}
    if not delete:
        told = f"Its original is kept: {kept}" if kept.is_file() else ""
        return Dismissed(**facts, outcome="dismissed", message=told)
    if kept.is_file() and not holds(kept, row.sha256):
        return Dismissed(**facts, outcome="left", message=f"{kept} holds something else by now.")
    try:
        for path in (kept, kept.with_name(f"{kept.name}.json")):
            path.unlink(missing_ok=True)
    except OSError as error:
        return Dismissed(**facts, outcome="left", message=f"{kept} cannot be deleted: {error.strerror}.")
    return Dismissed(**facts, outcome="dismissed", message="Its original and its report are deleted.")


def _print(dismissed: Sequence[Dismissed], *, as_json: bool, words: Words) -> None:
    if as_json:
        counts = {name: sum(one.outcome == name for one in dismissed) for name in ("dismissed", "left")}
        print_json({**counts, "scans": [asdict(one) for one in dismissed]})
    elif dismissed:
        print_entries(((one.scan_id, one.outcome), (one.file, one.message)) for one in dismissed)
    else:
        words.say("No scan is like that.")
