"""What has arrived of a file: kept beside its place as `NAME.part`, with a note of where it came from."""

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from processor.errors import BadSettings
from training.downloads.faults import Unwritable

_NO_FOLDER = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes of a part came from, and the server's mark of that version of the file."""

    address: str
    etag: str = ""
    modified: str = ""

    @property
    def condition(self) -> str:
        """For `If-Range`: a strong entity tag, or a date, or nothing (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Part:
    """The part of `target` that has arrived. Raises what `disk_faults` does."""

    def __init__(self, target: Path) -> None:
        self.file = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")

    def origin(self, address: str) -> Origin | None:
        """What is known of the part, where it came from `address` and can be continued from there."""
        try:
            note = json.loads(self._note.read_text("utf-8"))
            origin = Origin(**note)
        except (OSError, ValueError, TypeError):
            return None
        texts = all(isinstance(value, str) for value in asdict(origin).values())
        return origin if texts and origin.address == address and self.size > 0 else None

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.is_file() else 0

    def read(self) -> bytes:
        with disk_faults(self.file):
            return self.file.read_bytes()

    def begin(self, origin: Origin) -> None:
        """Empties the part; the note is written last, so that it never speaks of somebody else's bytes."""
        with disk_faults(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._note.unlink(missing_ok=True)
            self.file.write_bytes(b"")
            self._note.write_text(json.dumps(asdict(origin)), "utf-8")

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], None]]:
        """Adds to the end of the part; the faults of whoever is read from pass through as they are."""
        with disk_faults(self.file):
            stream = self.file.open("ab")

        def append(chunk: bytes) -> None:
            with disk_faults(self.file):
                stream.write(chunk)
                # What waits in a buffer is lost to whoever is killed.
                stream.flush()

        try:
            yield append
        finally:
            with disk_faults(self.file):
                stream.close()

    def discard(self) -> None:
        with disk_faults(self.file):
            self._note.unlink(missing_ok=True)
            self.file.unlink(missing_ok=True)


@contextmanager
def disk_faults(file: Path) -> Iterator[None]:
    """Turns a fault of the disk into Unwritable, or BadSettings where the folder takes no file at all."""
    try:
        yield
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror or error}."
        if error.errno in _NO_FOLDER:
            raise BadSettings(message, "Name another folder with --data or training.data.") from None
        raise Unwritable(message, "Make room, and run it again: what has arrived is kept.") from None
