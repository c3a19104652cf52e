"""Which names are scans: not hidden, not temporary, of a kind we know, and not left out by the settings."""

import os
import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from pathlib import Path

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".pdf"}
    | {".heic", ".heif", ".hif"}
)
"""Kinds that may hold a scan. What a file really is, its content decides."""

_TEMPORARY = frozenset({".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download"})
"""What programs put at the end of a name, or before its suffix, while they write."""

_SYSTEMS_OWN = frozenset({"thumbs.db", "desktop.ini"})

# Folders that network storage, archives and recycle bins keep for themselves; thumbnails look like scans.
_FOREIGN_FOLDERS = frozenset(
    {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found"}
)


def is_scan_name(name: str) -> bool:
    """Whether a file of this name may be a scan.

    Hidden names are those of rsync (`.form.jpg.Ab12Cd`), Syncthing and macOS, too; `~$form.pdf` is a lock.
    """
    if _is_hidden(name):
        return False
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (Path("a/.png").suffix differs)
    if suffix.lower() not in SUFFIXES:
        return False
    return os.path.splitext(stem)[1].lower() not in _TEMPORARY  # noqa: PTH122


def is_no_scan_name(name: str) -> bool:
    """Whether a person would wonder why a file of this name is not read: it is of another kind.

    Nobody wonders about what is hidden, unfinished, or the system's own.
    """
    if _is_hidden(name) or name.lower() in _SYSTEMS_OWN:
        return False
    return os.path.splitext(name)[1].lower() not in SUFFIXES | _TEMPORARY  # noqa: PTH122


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "~")) or name.endswith("~")


def is_foreign_folder(name: str) -> bool:
    """Whether a folder of this name belongs to the system, not to people."""
    return name.startswith(".") or name.lower() in _FOREIGN_FOLDERS


class Ignored:
    """The patterns of `intake.ignore`.

    One without a slash is compared with the file's name, one with a slash with its path below the inbox,
    where `*` goes through folders; `old/` is all that lies in the folder `old`. Capital and small letters are
    alike: scanners and shares write the same name in both ways.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        self._names = _compiled(p for p in self.patterns if "/" not in p)
        self._paths = _compiled(_below(p) for p in self.patterns if "/" in p)
        self._told = False

    def __contains__(self, file: str) -> bool:
        """Whether `file`, a path below the inbox with `/` between its parts, is left out."""
        folded = file.casefold()
        if any(pattern.match(folded) for pattern in self._paths):
            return True
        name = folded.rpartition("/")[2]
        return any(pattern.match(name) for pattern in self._names)

    def tell_of_all(self, folder: Path, warn: Callable[[str], None]) -> None:
        """Warns, once, that every scan in `folder` is left out: a `*` too many looks like an idle daemon."""
        if not self._told:
            said = ", ".join(repr(pattern) for pattern in self.patterns)
            warn(f"intake.ignore = {said} leaves out every scan that lies in {folder}.")
        self._told = True


def _below(pattern: str) -> str:
    pattern = pattern.removeprefix("./").lstrip("/")
    return f"{pattern}*" if pattern.endswith("/") else pattern


def _compiled(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(translate(pattern.casefold())) for pattern in patterns)
