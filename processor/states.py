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


DISMISSED = "Dismissed"
"""Stands as the error of a failed scan that a person took off the list: nobody need do anything about it.

It stays in the state `failed`, so that it may be tried again; where scans are counted it is `ignored`.
"""
