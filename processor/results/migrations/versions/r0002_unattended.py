"""What a daemon that is left alone needs: scans that wait, the files that were published, who runs."""

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

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds columns with values that a program of before leaves right: it may still write meanwhile."""
    op.add_column("scans", Column("not_before", DateTime(timezone=True)))
    op.add_column("scans", Column("faults", Integer, nullable=False, server_default=text("0")))
    op.add_column("scans", Column("kills", Integer, nullable=False, server_default=text("0")))
    op.create_index("scans_by_due", "scans", ["state", "not_before"])
    op.create_index("scans_by_content", "scans", ["sha256"])
    op.drop_index("numbers_by_status", "numbers", if_exists=True)
    op.create_index("numbers_by_certainty", "numbers", ["status", "confidence"])
    op.create_table(
        "outputs",
        Column("id", Integer, primary_key=True),
        Column("scan_id", Integer, ForeignKey("scans.id", ondelete="CASCADE"), nullable=False),
        Column("file", Text, nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("bytes", BigInteger, nullable=False),
        UniqueConstraint("scan_id", "file", name="one_row_an_output"),
    )
    op.create_table(
        "daemons",
        Column("id", Integer, primary_key=True),
        Column("host", Text, nullable=False),
        Column("pid", Integer, nullable=False),
        Column("once", Boolean, nullable=False),
        Column("started_at", DateTime(timezone=True), nullable=False),
        Column("beat_at", DateTime(timezone=True), nullable=False),
        Column("state", String(16), nullable=False),
        Column("facts", JSON, nullable=False),
    )
