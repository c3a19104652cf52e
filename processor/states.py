"""How far a scan, a digit or a number has come, as the records of the database tell it.

Apart from the other records, which bring NumPy along: a look at the database has no use for it.
"""

from enum import StrEnum


class Status(StrEnum):
    """How far a digit or a number can be trusted."""

    ACCEPTED = "accepted"
    REVIEW = "review"
    REJECTED = "rejected"
    CORRECTED = "corrected"


class ScanState(StrEnum):
    """Where a scan stands in the queue."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DUPLICATE = "duplicate"
