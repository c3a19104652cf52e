"""What a product folder holds, so that two of them can be compared: files by their bytes, rows by words.

Left out is what differs between any two runs: times, ids, how often a scan was tried, and by whom.
"""

import hashlib
import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

Account = dict[str, str]

_TIMES_AND_TRIES = (
    *("queued_at", "started_at", "finished_at", "leased_until", "not_before", "seconds"),
    *("attempts", "faults", "kills", "worker", "source"),
)
_ROWS = {
    "scan": "SELECT s.file AS _file, s.*, f.file AS first FROM scans s "
    "LEFT JOIN scans f ON f.id = s.duplicate_of",
    "page": "SELECT s.file AS _file, p.* FROM pages p JOIN scans s ON s.id = p.scan_id",
    "number": "SELECT s.file AS _file, p.page, n.* FROM numbers n JOIN pages p ON p.id = n.page_id "
    "JOIN scans s ON s.id = p.scan_id",
    "digit": "SELECT s.file AS _file, p.page, n.position AS number, d.* FROM digits d "
    "JOIN pages p ON p.id = d.page_id JOIN scans s ON s.id = p.scan_id "
    "LEFT JOIN numbers n ON n.id = d.number_id",
    "two readings": "SELECT s.file AS _file, p.page, n.position, t.* FROM two_readings t "
    "JOIN numbers n ON n.id = t.number_id JOIN pages p ON p.id = n.page_id JOIN scans s ON s.id = p.scan_id",
    "output": "SELECT s.file AS _file, o.* FROM outputs o JOIN scans s ON s.id = o.scan_id",
}


def account(home: Path) -> Account:
    """Every file below the inbox and the results, and every row, each under a name that tells where it is.

    Rows that say the same twice are numbered, so that a doubled one shows.
    """
    return files(home) | rows(home / "results" / "results.db")


def files(home: Path) -> Account:
    """The files by the hash of their content; reports of failures without what differs between runs."""
    found = {}
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder) / name
            place = path.relative_to(home)
            if place.parts[0] not in ("inbox", "results") or ".staging" in place.parts:
                continue
            if not name.startswith("results.db"):
                found[f"file {str(place)!r}"] = _content(path)
    return found


def rows(database: Path) -> Account:
    """The rows of all scans, without ids and times."""
    found: Account = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for kind, query in _ROWS.items():
            said = Counter(_words(row) for row in connection.execute(query))
            found |= {f"{kind} {words}": f"{count} of it" for words, count in said.items()}
    return found


def states(database: Path) -> dict[str, int]:
    """How many scans there are in each state."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT state, COUNT(*) FROM scans GROUP BY state").fetchall())


def differences(expected: Account, found: Account) -> list[str]:
    """What is missing, what is there besides, and what is there with another content."""
    return sorted(
        [f"lost: {name}" for name in expected.keys() - found.keys()]
        + [f"besides: {name}" for name in found.keys() - expected.keys()]
        + [
            f"{name}: {found[name]}, not {expected[name]}"
            for name in expected.keys() & found.keys()
            if expected[name] != found[name]
        ]
    )


def _words(row: sqlite3.Row) -> str:
    kept = {
        name: row[name]
        for name in row.keys()  # noqa: SIM118  (a row's own iteration gives its values)
        if name not in _TIMES_AND_TRIES and name != "id" and not name.endswith(("_id", "duplicate_of"))
    }
    return json.dumps(kept, ensure_ascii=False, sort_keys=True)


def _content(path: Path) -> str:
    data = path.read_bytes()
    if path.parent.name == "failed" and path.suffix == ".json":
        report = json.loads(data)
        return json.dumps({key: report[key] for key in report if key not in ("when", "original")})
    return hashlib.sha256(data).hexdigest()
