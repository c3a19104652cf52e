"""Errors say who must act: every message names the file or setting, the value and the remedy."""

import errno
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of both programs."""

    DONE = 0
    SOME_FAILED = 1
    BAD_COMMAND = 2
    BAD_SETTINGS = 3
    NO_MODEL = 4
    BAD_DATABASE = 5
    INTERRUPTED = 130


class DigitInboxError(Exception):
    """The root: `message` says what is wrong with which file and value, `remedy` what the person can do."""

    exit_code = Exit.SOME_FAILED

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class BadScan(DigitInboxError):
    """The file cannot be read as a scan; retrying does not help, so it goes to `failed/`."""


class Vanished(BadScan):
    """The file was taken away or renamed before it could be read; its content may come under another name."""


class TooLarge(BadScan):
    """The file exceeds the limit of bytes: it was not read, and is known by its place, size and time."""


class Transient(DigitInboxError):
    """The fault may pass by itself (disk full, share away, worker killed): the scan is tried again later."""


class WorkerKilled(Transient):
    """The process that read the scan died: this may pass, or it may be the scan that kills it."""


class ContentChanged(Transient):
    """The file no longer holds what was queued: it was replaced, or is still being written."""


class LeaseLost(Transient):
    """Another process has taken the scan over, and stores it: nothing more is to be done for it here."""


class Away(Transient):
    """What every scan needs is out of reach for a while: none is to blame, and everything waits."""


class NoWorkers(Away):
    """No process that reads can be started, for want of memory, of processes or of open files."""


class DatabaseAway(Away):
    """The database is locked, full or out of reach."""

    exit_code = Exit.BAD_DATABASE


class BadModel(DigitInboxError):
    """A model is missing, damaged or foreign; the one in use stays."""

    exit_code = Exit.NO_MODEL


class BadSettings(DigitInboxError):
    """The settings, or a folder they name, are refused: the program does not start."""

    exit_code = Exit.BAD_SETTINGS


class BadDatabase(DigitInboxError):
    """The results database cannot be used, or its records contradict each other."""

    exit_code = Exit.BAD_DATABASE


class BadCommand(DigitInboxError):
    """The command line asks for something that cannot be."""

    exit_code = Exit.BAD_COMMAND


_FULL = {errno.ENOSPC, errno.EDQUOT, None}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def to_write_again(error: OSError) -> str:
    """What a person can do so that a file can be written; encoders tell of a full disk without its number."""
    if error.errno in _FULL:
        return "Make room."
    if error.errno in _FORBIDDEN:
        return "Mend the permissions of its folder."
    return "Look at the disk or the share that it is on."
