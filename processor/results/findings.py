"""What a verification finds: values that say what is, what should be, and who can mend it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Engine


class Kind(StrEnum):
    """What can be wrong between the records, the originals and the files that were published."""

    DAMAGED = "damaged database"
    REFERENCE = "broken reference"
    LOST = "lost scan"
    GONE = "waiting scan gone"
    DUPLICATE = "wrong duplicate"
    TWICE = "read twice"
    UNREAD = "pages of an unread scan"
    PAGES = "pages missing"
    POSITIONS = "gap in positions"
    SPELLING = "digits differ"
    COUNTS = "counts differ"
    ORIGINAL_MISSING = "original missing"
    ORIGINAL_CHANGED = "original changed"
    ORIGINAL_DUE = "original not moved"
    PICTURE_MISSING = "picture missing"
    PICTURE_CHANGED = "picture changed"
    PICTURE_UNNAMED = "picture without page"
    CSV = "csv differs"
    NUMBERS = "numbers.csv differs"
    REPORT_MISSING = "report missing"
    FAILED_LEFT = "left among the failed"
    ORPHAN = "orphan"
    STAGING = "left in staging"
    PART = "unfinished file"


MENDED = {
    Kind.LOST: "puts it back in the queue",
    Kind.DUPLICATE: "points it at the scan that was read",
    Kind.COUNTS: "counts its numbers and digits anew",
    Kind.ORIGINAL_DUE: "moves it",
    Kind.CSV: "writes it anew from the records",
    Kind.NUMBERS: "writes it anew from the records",
    Kind.REPORT_MISSING: "writes it anew from the records",
    Kind.FAILED_LEFT: "removes the report, and moves the original to the processed ones",
    Kind.STAGING: "removes it",
    Kind.PART: "removes it",
}
"""What `--repair` does about a finding of this kind: what follows from the records, and guesses nothing."""

REMEDIES = {
    Kind.DAMAGED: "Restore a copy of the database, or move it away and read results/processed anew.",
    Kind.REFERENCE: "Restore a copy of the database.",
    Kind.GONE: "Put the scan back in its place; it is read then.",
    Kind.TWICE: "Restore a copy of the database: its index of contents is gone.",
    Kind.UNREAD: "`processor retry` the scan, or drop it in again.",
    Kind.PAGES: "Read it again: `processor reprocess {id}`.",
    Kind.POSITIONS: "Read it again: `processor reprocess {id}`.",
    Kind.SPELLING: "Read it again: `processor reprocess {id}`.",
    Kind.ORIGINAL_MISSING: "Put it back from a copy; the records stay as they are.",
    Kind.ORIGINAL_CHANGED: "Put it back from a copy; the records tell of the content that was read.",
    Kind.PICTURE_MISSING: "Make it anew: `processor reprocess {id}`.",
    Kind.PICTURE_CHANGED: "Make it anew: `processor reprocess {id}`.",
    Kind.PICTURE_UNNAMED: "Read it again: `processor reprocess {id}`.",
    Kind.ORPHAN: "Nobody knows of it: look at it, then move it away.",
}
"""What a person can do about a finding that no rule mends; `{id}` is the scan's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is off; `file` as recorded, or below the results folder; `scan_id` of the scan, if any.

    `repairable` is false also where the kind can be mended in general, and this one would be a guess.
    """

    kind: Kind
    file: str
    found: str
    expected: str
    scan_id: int | None = None
    repairable: bool = False
    remedy: str = ""

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.remedy:
            return self.remedy
        if self.repairable:
            return f"`processor verify --repair` {MENDED[self.kind]}."
        return REMEDIES[self.kind].format(id=self.scan_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What belongs together: the database, the inbox, and the results folder with its staging."""

    database: Engine
    inbox: Path
    results: Path


@dataclass(slots=True)
class Looked:
    """How much was looked at; `away` counts scans of folders that cannot be reached now, `unhashed` outputs
    of an earlier version, which noted no hash of them."""

    scans: int = 0
    numbers: int = 0
    files: int = 0
    bytes: int = 0
    unhashed: int = 0
    away: Counter[str] = field(default_factory=Counter)
