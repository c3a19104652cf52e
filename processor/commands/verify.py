"""`processor verify`: whether every record, original and published file agree; mends what can be mended."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from processor.commands import start
from processor.commands.console import Words
from processor.commands.printing import print_entries, print_json, print_line, print_pairs
from processor.commands.progression import progress_bar
from processor.errors import BadDatabase, Exit, Transient
from processor.intake.queue import recover
from processor.results.database import open_database
from processor.results.findings import Finding, Holdings
from processor.results.publish import HASH_DIGITS
from processor.results.repair import mend, note_hashes
from processor.results.verification import SECOND_LOOK_SECONDS, Report, Verification, count_scans
from processor.settings import LoadedSettings


def verify(
    settings: LoadedSettings,
    *,
    repair: bool,
    as_json: bool,
    words: Words,
    pause_seconds: float = SECOND_LOOK_SECONDS,
) -> Exit:
    """Prints what is off; with `repair`, what was mended and what is still off then. Raises BadDatabase."""
    started = time.monotonic()
    mended: list[Finding] = []
    database = open_database(settings.database_url, create=False)
    try:
        holdings = Holdings(
            database=database, inbox=settings.inbox.resolve(), results=settings.results.resolve()
        )
        if repair:
            note_hashes(holdings)
        report = _look(holdings, words, pause_seconds)
        # What one round mends can bring another finding to light: a scan put back makes numbers.csv wait.
        while repair and (done := _mend(holdings, report, mended, words)):
            mended += done
            report = _look(holdings, words, pause_seconds)
    except Transient as fault:
        # Here it is the database alone that can be locked or full: there is nothing to try again later.
        raise BadDatabase(fault.message, fault.remedy) from fault
    finally:
        database.dispose()
    document = _document(report, mended, time.monotonic() - started)
    print_json(document) if as_json else _print(document, words)
    return Exit.BAD_DATABASE if report.findings else Exit.DONE


def _look(holdings: Holdings, words: Words, pause_seconds: float) -> Report:
    with _bar(words, count_scans(holdings)) as advance:
        return Verification(
            holdings,
            staging=holdings.results / start.STAGING,
            stale=start.STALE_STAGING,
            advance=advance,
            pause_seconds=pause_seconds,
        ).look()


@contextmanager
def _bar(words: Words, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr over the scans that are held against their files, which takes nearly all the time."""
    with progress_bar(words) as progress:
        task = progress.add_task("Comparing scans", total=total)
        yield lambda count: progress.advance(task, count)


def _mend(holdings: Holdings, report: Report, before: Sequence[Finding], words: Words) -> list[Finding]:
    """Mends what can be mended, each finding once; what the disk refuses is named and left."""
    done = []
    for finding in report.findings:
        if finding in before:
            continue
        try:
            if mend(holdings, finding, lambda: recover(holdings.database, datetime.now(UTC))):
                done.append(finding)
        except Transient as fault:
            words.warn(f"{finding.file}: {fault}")
    return done


def _document(report: Report, mended: Sequence[Finding], seconds: float) -> dict[str, Any]:
    looked = report.looked
    return {
        "clean": not report.findings,
        "complete": report.complete,
        **{name: getattr(looked, name) for name in ("scans", "numbers", "files", "bytes")},
        "findings": [_fields(finding) for finding in report.findings],
        "repaired": [_fields(finding) for finding in mended],
        "unreachable": [{"folder": name, "scans": count} for name, count in sorted(looked.away.items())],
        "without_hash": looked.unhashed,
        "seconds": round(seconds, 3),
    }


def _fields(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "remedy": finding.advice}


def _print(document: dict[str, Any], words: Words) -> None:
    for name, told in (("repaired", "repaired"), ("findings", "found")):
        if document[name]:
            print_line(f"{told}:")
            print_entries(_entry(finding, to_do=name == "findings") for finding in document[name])
            print_line()
    print_pairs({name: len(value) if isinstance(value, list) else value for name, value in document.items()})
    if not document["complete"]:
        words.warn("There is more: mend this first, then verify again.")
    for away in document["unreachable"]:
        words.warn(f"{away['folder']} cannot be reached now: {away['scans']} originals were not compared.")
    if document["without_hash"]:
        words.warn(
            f"{document['without_hash']} published files were written by an earlier version, which noted no "
            "hashes: of them only the existence is known, and of a CSV that it says what the records say."
        )


def _entry(finding: dict[str, Any], *, to_do: bool) -> tuple[tuple[object], list[str]]:
    """A hash is shown by its beginning, as in the names of files."""
    pairs = ((name, _SHA256.sub(_short, finding[name])) for name in ("found", "expected"))
    told = [f"{name}: {text}" for name, text in pairs if text]
    of_scan = "" if finding["scan_id"] is None else f" (scan {finding['scan_id']})"
    texts = [f"{finding['file']}{of_scan}", *told, *([finding["remedy"]] if to_do else [])]
    return (finding["kind"],), texts


_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


def _short(found: re.Match[str]) -> str:
    return f"{found[0][:HASH_DIGITS]}…"
