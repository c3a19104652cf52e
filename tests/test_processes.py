"""Processes that left word of themselves: the same, another with its number, one elsewhere, none."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from processor.processes import had_number_of_this, has_ended, is_dead, own_name

HERE = socket.gethostname()


def test_a_process_that_runs_has_not_ended() -> None:
    assert has_ended(HERE, os.getpid(), datetime.now(UTC)) is False
    assert has_ended(HERE, os.getpid()) is False
    assert is_dead(own_name()) is False


def test_a_process_that_is_gone_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert has_ended(HERE, process.pid, datetime.now(UTC)) is True
    assert is_dead(f"{HERE}:{process.pid}") is True


def test_its_number_may_be_that_of_a_later_one() -> None:
    """But whoever knows no time of it, or may not trust the clock, takes it for the same."""
    began = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    assert has_ended(HERE, os.getpid(), began - timedelta(minutes=1)) is True
    assert is_dead(own_name()) is False


@pytest.mark.parametrize("mark", ["", ":0badcafe"])
def test_another_may_have_or_have_had_the_number_of_this_process(mark: str) -> None:
    """In a container the run before, or one in a second container of the same name."""
    other = f"{HERE}:{os.getpid()}{mark}"
    assert (had_number_of_this(other), is_dead(other)) == (True, False)
    assert not had_number_of_this(own_name())
    assert not had_number_of_this(f"{HERE}:{os.getpid() + 1}{mark}")
    assert not had_number_of_this(f"elsewhere:{os.getpid()}{mark}")


def test_a_fork_is_another_process() -> None:
    ours, (read, write) = own_name(), os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, own_name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 1000).decode()
    assert ours.split(":")[2] != theirs.split(":")[2]
    assert is_dead(theirs) is True
    assert not had_number_of_this(theirs)


def test_of_another_machine_nobody_here_knows() -> None:
    assert has_ended("another.host", os.getpid(), datetime.now(UTC)) is None
    assert is_dead(f"another.host:{os.getpid()}:0badcafe") is False
