"""The scans in the hands of a run: each is held by a lease, which is prolonged until the scan is let go."""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.engines.tasks import ScanTask
from processor.errors import Away, BadDatabase, LeaseLost, Transient
from processor.intake import queue
from processor.intake.queue import Job
from processor.prediction.archive import ModelFolder
from processor.results.ledger import PublishedFile

LEASE_SECONDS = 60.0
"""How long a claimed scan belongs to a process that shows no sign of life."""

RENEWED_SECONDS = LEASE_SECONDS / 6
"""One that lives prolongs its leases about so often."""


@dataclass(slots=True)
class Claim:
    """A claimed scan and the folder of what is made of it; `published` once its files have their names.

    `fault` is what they could not be published for, until the queue holds it.
    """

    job: Job
    model: ModelFolder | None
    staging: Path
    published: tuple[PublishedFile, ...] | None = None
    fault: Transient | None = None


class Claims:
    """By the folder of each: one scan can be under way twice, where its lease was lost and it came back."""

    def __init__(self, database: Database, staging: Path) -> None:
        self._database = database
        self._staging = staging
        self._claims: dict[Path, Claim] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims.values())

    def next(self, sources: Collection[Path], model: ModelFolder | None) -> Claim | None:
        """Claims the next scan of these folders, to be read with `model`; `None` where none waits.

        Raises Away, BadDatabase.
        """
        job = queue.claim(self._database, datetime.now(UTC), LEASE_SECONDS, sources=sources)
        if job is None:
            return None
        claim = Claim(job, model, self._staging / f"{job.id}-{job.attempts}")
        self._claims[claim.staging] = claim
        return claim

    def of(self, task: ScanTask) -> Claim:
        """The claim that a task was made of."""
        return self._claims[task.staging]

    def hold(self, claim: Claim) -> None:
        """Makes sure that the scan is still held, and for a while. Raises LeaseLost, Away, BadDatabase."""
        queue.hold(self._database, claim.job, datetime.now(UTC), LEASE_SECONDS)

    def prolong(self) -> None:
        """Prolongs all leases that are not lost yet. Raises Away, BadDatabase."""
        for claim in self:
            queue.heartbeat(self._database, claim.job, datetime.now(UTC), LEASE_SECONDS)

    def let_go(self, claim: Claim) -> None:
        """Forgets a scan that was dealt with, and removes what is left of its unfinished files."""
        self._claims.pop(claim.staging, None)
        shutil.rmtree(claim.staging, ignore_errors=True)

    def give_back(self) -> None:
        """Puts all scans back in the queue.

        What cannot be put back now, the next run takes from a process that is gone.
        """
        for claim in self:
            try:
                queue.give_back(self._database, claim.job)
            except LeaseLost:
                # It was committed the moment before, or another process has it.
                continue
            except (Away, BadDatabase):
                break
        self._claims.clear()
