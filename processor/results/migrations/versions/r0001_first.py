"""The tables as they were before they bore a number.

Versions before made them one after the other, so that a database may hold some of them: what is there stays.
"""

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

_tables = MetaData()


def _key() -> TypeEngine[int]:
    return Integer().with_variant(BigInteger(), "postgresql")


def _path() -> TypeEngine[str]:
    return Text().with_variant(Text(collation="C"), "postgresql")


def _word(length: int) -> TypeEngine[str]:
    return String(length).with_variant(Text(), "postgresql")


def _moment(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _box() -> list[Column[int]]:
    return [Column(name, Integer, nullable=False) for name in ("x", "y", "width", "height")]


Table(
    "scans",
    _tables,
    Column("id", _key(), primary_key=True),
    Column("source", _path(), nullable=False),
    Column("file", _path(), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("message", Text),
    _moment("queued_at", nullable=False),
    _moment("started_at"),
    _moment("finished_at"),
    _moment("leased_until"),
    Column("worker", Text),
    Column("seconds", Float),
    Column("model", _word(200), ForeignKey("models.name")),
    Column("settings_digest", String(64)),
    Column("program_version", String(64)),
    Column("duplicate_of", _key(), ForeignKey("scans.id")),
    UniqueConstraint("source", "file", "sha256", name="one_row_a_place_and_content"),
    Index("scans_by_state", "state", "attempts", "id"),
    Index("scans_by_file", "file"),
    Index("scans_by_finish", "finished_at"),
    Index("scans_by_first", "duplicate_of"),
    Index(
        "one_reading_a_content",
        "sha256",
        unique=True,
        sqlite_where=text("state != 'duplicate'"),
        postgresql_where=text("state != 'duplicate'"),
    ),
)
Table(
    "pages",
    _tables,
    Column("id", _key(), primary_key=True),
    Column("scan_id", _key(), ForeignKey("scans.id", ondelete="CASCADE"), nullable=False),
    Column("page", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("dpi", Float),
    Column("skew_degrees", Float, nullable=False),
    Column("form", Text),
    Column("annotated", Text),
    UniqueConstraint("scan_id", "page", name="one_row_a_page"),
)
Table(
    "numbers",
    _tables,
    Column("id", _key(), primary_key=True),
    Column("page_id", _key(), ForeignKey("pages.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("digits", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("status", String(16), nullable=False),
    Column("field", Text),
    *_box(),
    UniqueConstraint("page_id", "position", name="one_row_a_number"),
    Index("numbers_by_status", "status"),
)
Table(
    "digits",
    _tables,
    Column("id", _key(), primary_key=True),
    Column("page_id", _key(), ForeignKey("pages.id", ondelete="CASCADE"), nullable=False),
    Column("number_id", _key(), ForeignKey("numbers.id", ondelete="CASCADE")),
    Column("position", Integer, nullable=False),
    Column("digit", String(1)),
    Column("confidence", Float, nullable=False),
    Column("second", _word(8)),
    Column("second_confidence", Float),
    Column("third", _word(8)),
    Column("third_confidence", Float),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    *_box(),
    Column("looks_like", _word(8)),
    Index("digits_by_page", "page_id", "number_id", "position"),
    Index("digits_by_number", "number_id", "position"),
    Index("digits_by_status", "status"),
)
Table(
    "corrections",
    _tables,
    Column("id", _key(), primary_key=True),
    Column("digit_id", _key(), ForeignKey("digits.id", ondelete="SET NULL"), index=True),
    Column("number_id", _key(), ForeignKey("numbers.id", ondelete="SET NULL"), index=True),
    Column("was", Text),
    Column("now", Text),
    _moment("at", nullable=False),
    Column("by", Text),
)
Table(
    "models",
    _tables,
    Column("name", _word(200), primary_key=True),
    Column("sha256", String(64)),
    Column("manifest", JSON),
    _moment("first_used_at", nullable=False),
)
Table(
    "refused_models",
    _tables,
    Column("id", _key(), primary_key=True),
    Column("name", _word(200)),
    Column("reason", Text, nullable=False),
    Column("in_use", _word(200), nullable=False),
    _moment("at", nullable=False),
)
Table(
    "two_readings",
    _tables,
    Column("number_id", _key(), ForeignKey("numbers.id", ondelete="CASCADE"), primary_key=True),
    Column("first", Text, nullable=False),
    Column("first_confidence", Float),
    Column("second", Text, nullable=False),
    Column("second_confidence", Float, nullable=False),
    Column("winner", String(16), nullable=False),
)

_VIEWS = {
    "readings": """
        SELECT scans.file, pages.page, numbers.position, numbers.text, numbers.digits, numbers.confidence,
            numbers.status, numbers.field, numbers.x, numbers.y, numbers.width, numbers.height,
            scans.model, scans.id AS scan_id
        FROM scans JOIN pages ON pages.scan_id = scans.id JOIN numbers ON numbers.page_id = pages.id
    """,
    "digit_readings": """
        SELECT scans.file, pages.page, digits.position, digits.digit, digits.confidence,
            digits.status, digits.reason, digits.x, digits.y, digits.width, digits.height,
            digits.number_id, scans.id AS scan_id
        FROM scans JOIN pages ON pages.scan_id = scans.id JOIN digits ON digits.page_id = pages.id
    """,
}


def upgrade() -> None:
    """Makes what is missing."""
    connection = op.get_bind()
    _tables.create_all(connection)
    found = inspect(connection)
    if "looks_like" not in {column["name"] for column in found.get_columns("digits")}:
        op.add_column("digits", Column("looks_like", _word(8)))
    for name in _VIEWS.keys() - set(found.get_view_names()):
        op.execute(f"CREATE VIEW {name} AS {_VIEWS[name]}")
