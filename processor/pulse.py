"""The sign of life of a run: its row in the table `daemons`, renewed by the loop itself and nothing else."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Engine, Row, delete, insert, inspect, select, update

from processor.errors import BadDatabase, Transient
from processor.notices import ServiceManager
from processor.processes import has_ended
from processor.results.database import reading, writing
from processor.results.schema import daemons

BEAT_SECONDS = 5.0

SILENT_SECONDS = 90.0
"""A loop that shows no sign for so long does not work. One that does can be held up between two beats by a
locked database (a transaction waits up to 30 s for another program); large files are hashed beat by beat."""

FORGOTTEN = timedelta(hours=1)
"""A run on another machine, whose processes cannot be asked, is taken for ended after such a silence."""


class DaemonState(StrEnum):
    """What a run does; it is told at once where it begins, pauses or ends."""

    STARTING = "starting"
    WATCHING = "watching"
    READING = "reading"
    PAUSED = "paused"
    STOPPING = "stopping"


_TOLD_AT_ONCE = {DaemonState.STARTING, DaemonState.PAUSED, DaemonState.STOPPING}

Facts = Mapping[str, Any]

ENDED = "ended"
"""The fact that a run leaves which a fault ended: why."""


class Observer(Protocol):
    """Is shown what each beat says."""

    def observe(self, state: DaemonState, facts: Facts, at: datetime) -> None:
        """The state and the facts of the run at this moment."""


class Pulse:
    """Of one run, from its start to its end.

    A database that is locked or away is no fault of the pulse: the loop meets the same and speaks of it. The
    service manager is told first, since it need not care whether the database can be written.
    """

    def __init__(self, database: Engine, *, once: bool, metrics: Observer | None = None) -> None:
        self._database = database
        self._metrics = metrics
        self._manager = ServiceManager()
        self._state = DaemonState.STARTING
        self._next_beat = 0.0
        self._id: int | None = None
        self._identity = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "once": once,
            "started_at": datetime.now(UTC),
        }
        with suppress(Transient, BadDatabase):
            _sweep(database)
            self._write({})

    def beat(self, state: DaemonState, facts: Callable[[], Facts]) -> None:
        """To be called by the loop at every turn: shows that it turns, at most every `BEAT_SECONDS`.

        `facts` are asked for only when they are shown. The first state that is not `starting` means: the
        inbox was listed once, the service is up.
        """
        was, now = self._state, time.monotonic()
        told_at_once = state is not was and not _TOLD_AT_ONCE.isdisjoint({state, was})
        if now < self._next_beat and not told_at_once:
            return
        self._state, self._next_beat = state, now + BEAT_SECONDS
        known = facts()
        notices = {"WATCHDOG": "1", "STATUS": told(state, known)}
        if was is DaemonState.STARTING and state is not was:
            notices["READY"] = "1"
        if state is DaemonState.STOPPING and state is not was:
            notices["STOPPING"] = "1"
        self._manager.tell(**notices)
        if self._metrics is not None:
            self._metrics.observe(state, known, datetime.now(UTC))
        with suppress(Transient, BadDatabase):
            self._write(known)

    def end(self) -> None:
        """Takes the row away: the run ended well."""
        self._manager.tell(STOPPING="1", STATUS="ended")
        with suppress(Transient, BadDatabase), writing(self._database) as connection:
            connection.execute(delete(daemons).where(daemons.c.id == self._id))
            self._id = None

    def fail(self, message: str) -> None:
        """Leaves word of why the run ends, for whoever finds its row without its process."""
        self._manager.tell(STOPPING="1", STATUS=message)
        with suppress(Transient, BadDatabase):
            self._write({ENDED: message})

    def _write(self, facts: Facts) -> None:
        sign = {"beat_at": datetime.now(UTC), "state": self._state.value, "facts": dict(facts)}
        with writing(self._database) as connection:
            renewed = update(daemons).where(daemons.c.id == self._id).values(sign)
            # The row may be gone: the database was put back from a copy, or this run was taken for dead.
            if self._id is None or connection.execute(renewed).rowcount == 0:
                new = insert(daemons).returning(daemons.c.id)
                self._id = connection.execute(new, {**self._identity, **sign}).scalar_one()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """The last sign of life of a run; `lives` tells of its process, `None` where nobody here can know."""

    host: str
    pid: int
    once: bool
    started_at: datetime
    beat_at: datetime
    state: DaemonState
    facts: Facts
    lives: bool | None

    @property
    def end(self) -> str | None:
        """How it ended, where its process is gone."""
        if self.lives is not False:
            return None
        why = self.facts.get(ENDED)
        return f"ended: {why}" if why else "ended without a word"

    def silent(self, now: datetime) -> bool:
        """Whether its loop has not turned for longer than honest work can take."""
        return (now - self.beat_at).total_seconds() > SILENT_SECONDS


def signs(database: Engine) -> list[Sign]:
    """The runs that have not ended well, the oldest first; none where an earlier version made the database.

    Raises Transient, BadDatabase.
    """
    with reading(database) as connection:
        if not inspect(connection).has_table(daemons.name):
            return []
        rows = connection.execute(select(daemons).order_by(daemons.c.id)).all()
    return [
        Sign(
            host=row.host,
            pid=row.pid,
            once=row.once,
            started_at=row.started_at,
            beat_at=row.beat_at,
            state=DaemonState(row.state),
            facts=row.facts or {},
            lives=_lives(row),
        )
        for row in rows
    ]


def told(state: DaemonState, facts: Facts) -> str:
    """One line about a run: `reading; 3 waiting, 2 under way`."""
    counts = [f"{facts[key]} {name}" for key, name in _COUNTS.items() if facts.get(key) is not None]
    text = f"{state.value}; {', '.join(counts)}" if counts else state.value
    why = facts.get("paused") or facts.get("away")
    return f"{text}; {why}" if why else text


_COUNTS = {"waiting": "waiting", "under_way": "under way"}


def _sweep(database: Engine) -> None:
    """Takes away the rows of runs that ended without a word."""
    forgotten = datetime.now(UTC) - FORGOTTEN
    with writing(database) as connection:
        rows = connection.execute(select(daemons)).all()
        dead = [row.id for row in rows if _lives(row) is False or row.beat_at < forgotten]
        connection.execute(delete(daemons).where(daemons.c.id.in_(dead)))


def _lives(row: Row[Any]) -> bool | None:
    """Whether the process that wrote this row still runs; `None` for one on another machine."""
    ended = has_ended(row.host, row.pid, row.started_at)
    return None if ended is None else not ended
