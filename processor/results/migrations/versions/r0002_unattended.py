"""What a daemon that is left alone needs: scans that wait, the files that were published, who runs.

And why a person must look at a number."""

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"

_READINGS = """
    SELECT scans.file, pages.page, numbers.position, numbers.text, numbers.digits, numbers.confidence,
        numbers.status, numbers.field, numbers.x, numbers.y, numbers.width, numbers.height,
        scans.model, scans.id AS scan_id,
        CASE WHEN (numbers.status = 'review') THEN numbers.reason END AS reason
    FROM scans JOIN pages ON pages.scan_id = scans.id JOIN numbers ON numbers.page_id = pages.id
"""


def _key() -> TypeEngine[int]:
    return Integer().with_variant(BigInteger(), "postgresql")


def _path() -> TypeEngine[str]:
    return Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds columns with values that a program of before leaves right: it may still write meanwhile."""
    op.add_column("scans", Column("not_before", DateTime(timezone=True)))
    op.add_column("scans", Column("faults", Integer, nullable=False, server_default=text("0")))
    op.add_column("scans", Column("kills", Integer, nullable=False, server_default=text("0")))
    op.create_index("scans_by_due", "scans", ["state", "not_before"])
    op.create_index("scans_by_content", "scans", ["sha256"])
    op.drop_index("numbers_by_status", "numbers", if_exists=True)
    op.create_index("numbers_by_certainty", "numbers", ["status", "confidence"])
    op.add_column("numbers", Column("reason", Text))
    # A view cannot be given another column everywhere: it is made anew.
    op.execute("DROP VIEW readings")
    op.execute(f"CREATE VIEW readings AS {_READINGS}")
    op.create_table(
        "outputs",
        Column("id", _key(), primary_key=True),
        Column("scan_id", _key(), ForeignKey("scans.id", ondelete="CASCADE"), nullable=False),
        Column("file", _path(), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("bytes", BigInteger, nullable=False),
        UniqueConstraint("scan_id", "file", name="one_row_an_output"),
    )
    op.create_table(
        "daemons",
        Column("id", _key(), primary_key=True),
        Column("host", Text, nullable=False),
        Column("pid", Integer, nullable=False),
        Column("once", Boolean, nullable=False),
        Column("started_at", DateTime(timezone=True), nullable=False),
        Column("beat_at", DateTime(timezone=True), nullable=False),
        Column("state", String(16), nullable=False),
        Column("facts", JSON, nullable=False),
    )
