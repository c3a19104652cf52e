"""Whether a file can be read, and is still the one that was listed."""

from pathlib import Path

from processor.errors import BadScan, ContentChanged, Transient
from processor.fingerprints import sha256_of
from processor.intake.opening import open_regular
from processor.intake.sweep import Found


def is_as_listed(found: Found) -> bool:
    """Whether the file still has the size and the time of change that it had when it was listed.

    Raises FileNotFoundError.
    """
    try:
        facts = found.path.stat()
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (found.size, found.mtime_ns)


def try_reading(path: Path, file: str, fault: str) -> None:
    """Tries once more what could not be read when it was listed, for `fault`.

    Raises ContentChanged where it can be read by now, BadScan where that has to be mended, Transient.
    """
    try:
        with open_regular(path) as stream:
            sha256_of(stream)
    except (FileNotFoundError, PermissionError):
        raise BadScan(f"{file} {fault}.", "Make the file readable, then drop it in again.") from None
    except OSError as error:
        raise Transient(f"{path} cannot be read: {error.strerror}.", "It is tried again.") from None
    raise ContentChanged(f"{path} can be read by now.")
