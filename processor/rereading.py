"""Scans that were read before are read again, by another model: to see what would change, or to store it."""

import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.endings import ATTEMPTS, used
from processor.engines.tasks import Engine, Outcome, ScanTask
from processor.errors import BadScan, DigitInboxError, Transient
from processor.filing import as_published
from processor.prediction.archive import ModelFolder
from processor.results.comparison import Pair, compare
from processor.results.originals import find_original
from processor.results.replacement import (
    Corrected,
    StoredScan,
    corrected_numbers,
    replace_reading,
    stored_reading,
)

WAIT_SECONDS = 0.5
"""How long the loop sleeps while workers read, before it looks at the stop sign again."""


@dataclass(frozen=True, slots=True)
class Reread:
    """A scan that was read again: what was compared, or the fault because of which its records stay."""

    scan: StoredScan
    pairs: tuple[Pair, ...] = ()
    fault: DigitInboxError | None = None


class Rereading:
    """One pass over scans that were read before; with `stores`, their records become the new reading."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        *,
        model: ModelFolder,
        results: Path,
        staging: Path,
        stores: bool,
    ) -> None:
        self._database = database
        self._engine = engine
        self._model = model
        self._results = results
        self._staging = staging
        self._stores = stores
        self._attempts: Counter[int] = Counter()
        self._under_way: dict[int, tuple[StoredScan, Corrected]] = {}

    def read(self, scans: Sequence[StoredScan], stopped: Callable[[], bool]) -> Iterator[Reread]:
        """Reads the scans and tells of each as it ends; once `stopped`, only of those under way.

        Raises BadModel, BadSettings or BadDatabase where going on is useless.
        """
        waiting = deque(scans)
        while True:
            while waiting and self._engine.free > 0 and not stopped():
                scan = waiting.popleft()
                try:
                    self._submit(scan)
                except (BadScan, Transient) as fault:
                    yield Reread(scan, fault=fault)
            if not self._under_way:
                return
            for outcome in self._engine.wait(WAIT_SECONDS):
                scan, corrected = self._under_way.pop(outcome.task.id)
                if isinstance(outcome.result, Transient) and self._attempts[scan.id] < ATTEMPTS:
                    waiting.append(scan)
                else:
                    yield self._settle(scan, corrected, outcome)
                shutil.rmtree(outcome.task.staging, ignore_errors=True)

    def _submit(self, scan: StoredScan) -> None:
        source = find_original(scan.source, scan.file, scan.sha256, self._results, copies=True)
        corrected = corrected_numbers(self._database, scan) if self._stores else ()
        self._attempts[scan.id] += 1
        staging = self._staging / f"{scan.id}-{self._attempts[scan.id]}"
        staging.mkdir()
        self._engine.submit(
            ScanTask(
                id=scan.id,
                source=source,
                file=scan.file,
                sha256=scan.sha256,
                staging=staging,
                model=self._model.path,
                corrected=corrected,
            )
        )
        self._under_way[scan.id] = (scan, corrected)

    def _settle(self, scan: StoredScan, corrected: Corrected, outcome: Outcome) -> Reread:
        result = outcome.result
        if isinstance(result, DigitInboxError):
            if not isinstance(result, BadScan | Transient):
                raise result
            return Reread(scan, fault=result)
        try:
            pairs = compare(stored_reading(self._database, scan), result.pages)
            if self._stores:
                replace_reading(
                    self._database,
                    scan,
                    result,
                    published=[as_published(staged, self._results) for staged in result.staged],
                    corrected=corrected,
                    model=used(self._model),
                    results=self._results,
                    now=datetime.now(UTC),
                )
        except (BadScan, Transient) as fault:
            return Reread(scan, fault=fault)
        return Reread(scan, tuple(pairs))
