"""Whether a process that left word of itself has ended."""

import os
import secrets
import socket
from datetime import UTC, datetime, timedelta
from functools import cache

import psutil

_CLOCK_SLACK = timedelta(seconds=1)
"""When a process started, the system tells to a second or so."""


def own_name() -> str:
    """This process as the records name it: `host:number:mark`; no other that has its number has its mark."""
    number = os.getpid()
    return f"{socket.gethostname()}:{number}:{_mark(number)}"


@cache
def _mark(number: int) -> str:  # noqa: ARG001  (a fork of this process has a mark of its own)
    return secrets.token_hex(4)


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
    """Whether the process `host:number:mark` has ended for sure: of another machine's, nobody here knows.

    One that had the number of this process is gone: in a container, each run has that of the one before. Of
    others only the number is looked at: a clock that was set would make a living one that began later.
    """
    host, number, mark = [*name.split(":"), ""][:3]
    if (host, int(number)) == (socket.gethostname(), os.getpid()):
        return mark != _mark(os.getpid())
    return has_ended(host, int(number)) is True
