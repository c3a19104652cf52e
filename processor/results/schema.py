"""The tables of the results database and the two views for people who query."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    TableClause,
    Text,
    TypeDecorator,
    UniqueConstraint,
    case,
    column,
    event,
    select,
    table,
    text,
)
from sqlalchemy.types import TypeEngine

from processor.results.publish import stored_name


class UtcTime(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database (SQLite: sortable text without a zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None if dialect.name == "sqlite" else UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class FileName(TypeDecorator[str]):
    """A path as text: a name whose bytes are no UTF-8 cannot be bound, so it is stored escaped.

    It is sorted by its bytes, as SQLite does; PostgreSQL's order is that of a language, where none is named.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text(collation="C") if dialect.name == "postgresql" else self.impl_instance

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return stored_name(value) if value is not None else None


class Said(TypeDecorator[str]):
    """A message: a NUL in it, which PostgreSQL's text has not, is shown as a sign for it there."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\0", "␀") if value is not None and dialect.name == "postgresql" else value


def key() -> TypeEngine[int]:
    """The type of keys: SQLite's integers have 64 bits, and an archive has more than 2³¹ digits."""
    return Integer().with_variant(BigInteger(), "postgresql")


def word(length: int) -> TypeEngine[str]:
    """The type of a name that a model brings: PostgreSQL would insist on its length, SQLite does not."""
    return String(length).with_variant(Text(), "postgresql")


REVISIONS = ("0001", "0002", "0003")
"""The numbers that the tables bore one after the other; the last is that of those below."""

metadata = MetaData()

scans = Table(
    "scans",
    metadata,
    Column("id", key(), primary_key=True),
    Column("source", FileName, nullable=False),
    Column("file", FileName, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Text),
    Column("message", Said),
    Column("queued_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("leased_until", UtcTime),
    Column("worker", Text),
    Column("seconds", Float),
    Column("model", word(200), ForeignKey("models.name")),
    Column("settings_digest", String(64)),
    Column("program_version", String(64)),
    Column("duplicate_of", key(), ForeignKey("scans.id")),
    # A fault of the surroundings makes a scan wait; null: it may be claimed at once.
    Column("not_before", UtcTime),
    # Faults of the surroundings, and workers that died while they read it, since it was queued.
    Column("faults", Integer, nullable=False, default=0, server_default=text("0")),
    Column("kills", Integer, nullable=False, default=0, server_default=text("0")),
    UniqueConstraint("source", "file", "sha256", name="one_row_a_place_and_content"),
    # `status` counts the scans of each state, sums up their seconds, and looks for the one that waits longest
    # and the last that failed: each index holds all that one of these asks for.
    Index("scans_by_state", "state", "attempts", "id", "seconds"),
    Index("scans_by_due", "state", "not_before", "queued_at"),
    Index("scans_by_finish", "state", "finished_at"),
    # The unique one below leaves duplicates out, so that a look for all rows of a content cannot use it.
    Index("scans_by_content", "sha256"),
    Index("scans_by_file", "file"),
    Index("scans_by_first", "duplicate_of"),
)
_IS_FIRST = scans.c.state != "duplicate"
_one_reading = Index("one_reading_a_content", scans.c.sha256, unique=True, sqlite_where=_IS_FIRST)


@event.listens_for(scans, "before_create")
def _leave_duplicates_out(_: Table, connection: Connection, **__: object) -> None:
    """Gives PostgreSQL the same condition, when the table is made there.

    Named above, it would import all drivers of PostgreSQL, which each `processor status` would wait for.
    """
    if connection.dialect.name == "postgresql":
        _one_reading.dialect_kwargs["postgresql_where"] = _IS_FIRST


COUNTS = (
    *("number_count", "accepted_count", "review_count"),
    *("digit_count", "digit_review_count", "rejected_count", "expected_wrong"),
)
"""What a page says of its rows, written with them; what is corrected, triggers count."""

pages = Table(
    "pages",
    metadata,
    Column("id", key(), primary_key=True),
    Column("scan_id", key(), ForeignKey("scans.id", ondelete="CASCADE"), nullable=False),
    Column("page", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("dpi", Float),
    Column("skew_degrees", Float, nullable=False),
    Column("form", Text),
    Column("annotated", Text),
    # Null where a program of before wrote the page.
    *(Column(name, Float if name == "expected_wrong" else Integer) for name in COUNTS),
    UniqueConstraint("scan_id", "page", name="one_row_a_page"),
    # `status` sums them up: the index holds all that it asks for.
    Index("pages_by_counts", *COUNTS),
)


def _box() -> list[Column[int]]:
    return [Column(name, Integer, nullable=False) for name in ("x", "y", "width", "height")]


numbers = Table(
    "numbers",
    metadata,
    Column("id", key(), primary_key=True),
    Column("page_id", key(), ForeignKey("pages.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("digits", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("status", String(16), nullable=False),
    Column("field", Text),
    *_box(),
    Column("reason", Text),
    UniqueConstraint("page_id", "position", name="one_row_a_number"),
    Index("numbers_by_certainty", "status", "confidence"),
)

digits = Table(
    "digits",
    metadata,
    Column("id", key(), primary_key=True),
    Column("page_id", key(), ForeignKey("pages.id", ondelete="CASCADE"), nullable=False),
    Column("number_id", key(), ForeignKey("numbers.id", ondelete="CASCADE")),
    Column("position", Integer, nullable=False),
    Column("digit", String(1)),
    Column("confidence", Float, nullable=False),
    Column("second", word(8)),
    Column("second_confidence", Float),
    Column("third", word(8)),
    Column("third_confidence", Float),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    *_box(),
    # What the network takes it for, also where it is no digit, or where a person says that it is another.
    Column("looks_like", word(8)),
    Index("digits_by_page", "page_id", "number_id", "position"),
    Index("digits_by_number", "number_id", "position"),
    Index("digits_by_status", "status"),
)

# A correction is a person's work: it outlives the row it was made on when a scan is read anew.
corrections = Table(
    "corrections",
    metadata,
    Column("id", key(), primary_key=True),
    Column("digit_id", key(), ForeignKey("digits.id", ondelete="SET NULL"), index=True),
    Column("number_id", key(), ForeignKey("numbers.id", ondelete="SET NULL"), index=True),
    Column("was", Text),
    Column("now", Text),
    Column("at", UtcTime, nullable=False),
    Column("by", Text),
)

models = Table(
    "models",
    metadata,
    Column("name", word(200), primary_key=True),
    Column("sha256", String(64)),
    Column("manifest", JSON),
    Column("first_used_at", UtcTime, nullable=False),
)

# A file that was published for a scan that is done: what `processor verify` holds against the disk.
outputs = Table(
    "outputs",
    metadata,
    Column("id", key(), primary_key=True),
    Column("scan_id", key(), ForeignKey("scans.id", ondelete="CASCADE"), nullable=False),
    Column("file", FileName, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    UniqueConstraint("scan_id", "file", name="one_row_an_output"),
)

# One row a `processor run` that runs now, which it renews with every beat of its loop.
daemons = Table(
    "daemons",
    metadata,
    Column("id", key(), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("once", Boolean, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("beat_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("facts", JSON, nullable=False),
)

# What CURRENT named last, where that could not be used.
refused_models = Table(
    "refused_models",
    metadata,
    Column("id", key(), primary_key=True),
    Column("name", word(200)),
    Column("reason", Said, nullable=False),
    Column("in_use", word(200), nullable=False),
    Column("at", UtcTime, nullable=False),
)

# What each of the two readings of a number says by itself; a number that was read once has no row.
two_readings = Table(
    "two_readings",
    metadata,
    Column("number_id", key(), ForeignKey("numbers.id", ondelete="CASCADE"), primary_key=True),
    Column("first", Text, nullable=False),
    Column("first_confidence", Float),
    Column("second", Text, nullable=False),
    Column("second_confidence", Float, nullable=False),
    Column("winner", String(16), nullable=False),
)

# What was corrected has no reason to be looked at any more, whoever corrected it.
_OPEN = case((numbers.c.status == "review", numbers.c.reason))

READINGS_QUERY = (
    select(
        *(scans.c.file, pages.c.page, numbers.c.position, numbers.c.text, numbers.c.digits),
        *(numbers.c.confidence, numbers.c.status, numbers.c.field),
        *(numbers.c.x, numbers.c.y, numbers.c.width, numbers.c.height),
        *(scans.c.model, scans.c.id.label("scan_id"), _OPEN.label("reason")),
    )
    .select_from(scans)
    .join(pages, pages.c.scan_id == scans.c.id)
    .join(numbers, numbers.c.page_id == pages.c.id)
)
DIGIT_READINGS_QUERY = (
    select(
        *(scans.c.file, pages.c.page, digits.c.position, digits.c.digit, digits.c.confidence),
        *(digits.c.status, digits.c.reason, digits.c.x, digits.c.y, digits.c.width, digits.c.height),
        *(digits.c.number_id, scans.c.id.label("scan_id")),
    )
    .select_from(scans)
    .join(pages, pages.c.scan_id == scans.c.id)
    .join(digits, digits.c.page_id == pages.c.id)
)


def _view(name: str, query: Select[Any]) -> TableClause:
    return table(name, *(column(c.name, c.type) for c in query.selected_columns))


readings = _view("readings", READINGS_QUERY)
digit_readings = _view("digit_readings", DIGIT_READINGS_QUERY)

VIEWS: dict[TableClause, Select[Any]] = {readings: READINGS_QUERY, digit_readings: DIGIT_READINGS_QUERY}
