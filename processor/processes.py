"""Whether a process that left word of itself has ended."""

import os
import socket
from datetime import UTC, datetime, timedelta

import psutil

_CLOCK_SLACK = timedelta(seconds=1)
"""When a process started, the system tells to a second or so."""


def own_name() -> str:
    """This process as the records name it: `host:number`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def has_ended(host: str, number: int, seen: datetime | None = None) -> bool | None:
    """Whether the process of this number, `seen` alive then, has ended; `None` for one of another machine.

    Numbers are given out again, and a container's first process has number 1 each time it is started: one
    that began after the other was seen is not the same.
    """
    if host != socket.gethostname():
        return None
    try:
        started = datetime.fromtimestamp(psutil.Process(number).create_time(), UTC)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
    return seen is not None and started > seen + _CLOCK_SLACK


def is_dead(name: str) -> bool:
    """Whether the process `host:number` has ended for sure: of another machine's, nobody here knows.

    Only its number is looked at: a clock that was set would make a living process one that began later.
    """
    host, _, number = name.rpartition(":")
    return has_ended(host, int(number)) is True
