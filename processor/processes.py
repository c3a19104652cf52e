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

    Only its number is looked at: a clock that was set would make a living process one that began later.
    """
    host, number, *_ = name.split(":")
    return has_ended(host, int(number)) is True


def had_number_of_this(name: str) -> bool:
    """Whether another process than this one has, or had, its host and its number.

    In a container it is mostly the run before; but a second container may have the same name as the first.
    """
    return name != own_name() and name.split(":")[:2] == own_name().split(":")[:2]
