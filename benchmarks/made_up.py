"""A results database as years of work leave it, made by SQL alone, with as many rows as are asked for."""

from sqlalchemy import Connection, Engine, text

from processor.records import Box, DigitReading, NumberReading, PageReading, ScanResult, Status
from processor.results.database import writing

NUMBERS_A_SCAN = 100
DIGITS_A_SCAN = 310
REJECTED_A_SCAN = 10
IN_REVIEW = NUMBERS_A_SCAN // 10

_COUNT = "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {})"
_HASH = f"substr('{'0' * 64}' || CAST(n AS text), length(CAST(n AS text)) + 1)"
_BOX = "10, 20, 30, 40"
_COUNTED = f"""
    UPDATE pages SET number_count = {NUMBERS_A_SCAN}, accepted_count = {NUMBERS_A_SCAN - IN_REVIEW},
        review_count = {IN_REVIEW}, digit_count = {3 * NUMBERS_A_SCAN}, digit_review_count = {3 * IN_REVIEW},
        rejected_count = {REJECTED_A_SCAN}, expected_wrong = (
            SELECT SUM(1 - confidence) FROM numbers
            WHERE numbers.page_id = (SELECT MIN(id) FROM pages) AND status = 'accepted'
        )
"""


def waiting(engine: Engine, scans: int) -> None:
    """Queues so many scans of the folder `/inbox`: `1.png` has the content 1."""
    with writing(engine) as connection:
        _scans(connection, scans, state="queued")
    # Tables that are found empty would be gone through by PostgreSQL until it looks again.
    _analyse(engine, "scans")


def fill(engine: Engine, digits: int) -> None:
    """Stores so many digits, 310 a scan of one page, and some that wait; a tenth of them is in review.

    One scan in a hundred failed.
    """
    scans = max(1, digits // DIGITS_A_SCAN)
    with writing(engine) as connection:
        _believe(connection)
        _scans(connection, scans, state="done")
        connection.execute(text("UPDATE scans SET state = 'failed', error = 'BadScan' WHERE id % 100 = 0"))
        connection.execute(text("UPDATE scans SET state = 'queued', finished_at = NULL WHERE id % 1000 = 1"))
        connection.execute(
            text(
                "INSERT INTO pages (id, scan_id, page, width, height, skew_degrees) "
                "SELECT id, id, 1, 2480, 3508, 0.0 FROM scans"
            )
        )
        connection.execute(
            text(
                f"{_inserting('numbers', 'id, page_id, position, text, digits, confidence, status')} "
                f"{_COUNT.format(NUMBERS_A_SCAN)} "
                f"SELECT (pages.id - 1) * {NUMBERS_A_SCAN} + n, pages.id, n, '123', '123', 0.9 + n / 1100.0, "
                f"CASE WHEN n % 10 = 0 THEN 'review' ELSE 'accepted' END, {_BOX} FROM pages, counted"
            )
        )
        connection.execute(
            text(
                f"{_inserting('digits', 'page_id, number_id, position, digit, confidence, status')} "
                f"{_COUNT.format(3)} "
                f"SELECT page_id, id, n, CAST(n AS text), confidence, status, {_BOX} FROM numbers, counted"
            )
        )
        connection.execute(
            text(
                f"{_inserting('digits', 'page_id, position, confidence, status')} "
                f"{_COUNT.format(REJECTED_A_SCAN)} "
                f"SELECT pages.id, n, 0.5, 'rejected', {_BOX} FROM pages, counted"
            )
        )
        connection.execute(text(_COUNTED))
    _analyse(engine)


def _believe(connection: Connection) -> None:
    """Has a PostgreSQL server look up no reference, which takes most of the time, where it lets us."""
    if connection.dialect.name == "postgresql":
        asked = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if connection.execute(asked).scalar_one():
            connection.execute(text("SET LOCAL session_replication_role = replica"))


def page_of_digits() -> ScanResult:
    """What a worker reads from a page with a hundred numbers of 310 digits in all, and ten marks."""
    box = Box(10, 20, 30, 40)
    digit = DigitReading(digit="7", confidence=0.99, status=Status.ACCEPTED, box=box)
    mark = DigitReading(digit=None, confidence=0.5, status=Status.REJECTED, box=box, reason="speck")
    lengths = [3 + (number < DIGITS_A_SCAN - 3 * NUMBERS_A_SCAN) for number in range(NUMBERS_A_SCAN)]
    numbers = [
        NumberReading(text="7" * n, confidence=0.97, status=Status.ACCEPTED, box=box, digits=(digit,) * n)
        for n in lengths
    ]
    page = PageReading(
        page=1,
        width=2480,
        height=3508,
        dpi=300.0,
        skew_degrees=0.0,
        numbers=tuple(numbers),
        rejected=(mark,) * REJECTED_A_SCAN,
    )
    return ScanResult(
        pages=(page,),
        model="made up",
        settings_digest="0" * 12,
        program_version="0",
        seconds=0.5,
        annotated=(None,),
        staged=(),
    )


def _inserting(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}, x, y, width, height)"


def _scans(connection: Connection, count: int, *, state: str) -> None:
    columns = "source, file, sha256, bytes, state, attempts, queued_at, finished_at, seconds"
    made = "'2026-03-01 12:00:00.000000'"
    if connection.dialect.name == "postgresql":
        made = f"CAST({made} AS timestamptz)"
    ended = "NULL" if state == "queued" else made
    connection.execute(
        text(
            f"INSERT INTO scans ({columns}) {_COUNT.format(count)} "
            f"SELECT '/inbox', CAST(n AS text) || '.png', {_HASH}, 9, '{state}', 0, {made}, {ended}, 0.5 "
            "FROM counted"
        )
    )


def _analyse(engine: Engine, table: str = "") -> None:
    """As each database does by itself, though not at once."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        asked = "ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"
        connection.exec_driver_sql(f"{asked} {table}")
