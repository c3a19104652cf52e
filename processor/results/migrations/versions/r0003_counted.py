"""Pages that say how much was read from them, for who asks of ten million digits.

And indexes that hold all that `status` asks of the scans."""

from alembic import op
from sqlalchemy import Column, Float, Integer

from processor.results.triggers import recounting

revision = "0003"
down_revision = "0002"

_COUNTS = (
    *("number_count", "accepted_count", "review_count"),
    *("digit_count", "digit_review_count", "rejected_count", "expected_wrong"),
)
_INDEXES = {
    "scans_by_state": ["state", "attempts", "id", "seconds"],
    "scans_by_due": ["state", "not_before", "queued_at"],
    "scans_by_finish": ["state", "finished_at"],
}
_COUNT = """
    UPDATE pages SET
        (number_count, accepted_count, review_count, expected_wrong) = (
            SELECT COUNT(*), COUNT(*) FILTER (WHERE status = 'accepted'),
                COUNT(*) FILTER (WHERE status = 'review'),
                COALESCE(SUM(1 - confidence) FILTER (WHERE status = 'accepted'), 0.0)
            FROM numbers WHERE numbers.page_id = pages.id
        ),
        (digit_count, digit_review_count, rejected_count) = (
            SELECT COUNT(*) FILTER (WHERE status <> 'rejected'), COUNT(*) FILTER (WHERE status = 'review'),
                COUNT(*) FILTER (WHERE status = 'rejected')
            FROM digits WHERE digits.page_id = pages.id
        )
"""


def upgrade() -> None:
    """Adds columns that stay empty where a program of before writes meanwhile: it is counted by its rows."""
    for name in _COUNTS:
        op.add_column("pages", Column(name, Float() if name == "expected_wrong" else Integer()))
    op.execute(_COUNT)
    op.create_index("pages_by_counts", "pages", list(_COUNTS))
    for name, columns in _INDEXES.items():
        op.drop_index(name, "scans", if_exists=True)
        op.create_index(name, "scans", columns)
    for statement in recounting(op.get_bind().dialect.name):
        op.get_bind().exec_driver_sql(statement)
