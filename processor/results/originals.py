"""Where originals go once their records are committed, and the report beside one that failed."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path, PurePosixPath

from processor.errors import BadScan, DigitInboxError, Transient
from processor.fingerprints import blocks, sha256_of, stands_for
from processor.results.publish import (
    HASH_DIGITS,
    move_original,
    output_name,
    own_stem,
    stored_name,
    sync_folder,
    whole,
    write_whole,
)

PROCESSED = "processed"
FAILED = "failed"

# The suffix of a file that a person named may hold anything; it is kept where it is a plain one.
_PLAIN_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")


def kept_name(file: str, sha256: str) -> str:
    """The name an original is kept under: `<stem>-<hash><suffix>`."""
    suffix = Path(file).suffix
    return output_name(file, sha256) + (suffix if _PLAIN_SUFFIX.fullmatch(suffix) else "")


def lies_below(root: Path, path: Path) -> bool:
    """Whether no folder between `root` and `path` is a link by now; those that are not there are none.

    Asked just before something is moved from there or to there.
    """
    folders = path.relative_to(root).parents
    return not any((root / folder).is_symlink() for folder in folders if folder.parts)


def move_processed(path: Path, file: str, sha256: str, results: Path) -> None:
    """Moves a scan that was read (or known already) out of the inbox. Raises Transient."""
    _move(path, results / PROCESSED / kept_name(file, sha256), sha256)


def move_failed(path: Path, file: str, sha256: str, results: Path) -> None:
    """Moves a scan that failed out of the inbox, beside its report. Raises Transient."""
    _move(path, results / FAILED / kept_name(file, sha256), sha256)


def take_from_processed(file: str, sha256: str, results: Path) -> None:
    """Moves a failed scan to the failed ones, unless it is there, from where a copy of it is kept.

    Raises Transient.
    """
    failed = results / FAILED / kept_name(file, sha256)
    if os.path.lexists(failed):
        return
    if (copy := find_copy(sha256, results)) is not None:
        move_original(copy, failed, sha256=sha256)


def is_kept_as_failed(file: str, sha256: str, results: Path) -> bool:
    """Whether a scan failed before, and lies among the failed ones since."""
    return os.path.lexists(results / FAILED / kept_name(file, sha256))


def own_name(file: str, sha256: str) -> str:
    """The name that a scan had before it was kept under `<stem>-<hash><suffix>`.

    Whoever takes a failed scan back into the inbox by hand leaves it that name.
    """
    path = PurePosixPath(file)
    stem = own_stem(path.stem, sha256)
    return str(path.with_name(stem + path.suffix)) if stem != path.stem else file


def report_failure(
    path: Path, file: str, sha256: str, error: DigitInboxError, when: datetime, results: Path
) -> None:
    """Writes `failed/<name><suffix>.json`: what is wrong with the scan, and what to do. Raises Transient."""
    write_report(
        path,
        file,
        sha256,
        error=type(error).__name__,
        message=error.message,
        remedy=error.remedy,
        when=when,
        results=results,
    )


def write_report(
    path: Path,
    file: str,
    sha256: str,
    *,
    error: str,
    message: str,
    remedy: str,
    when: datetime,
    results: Path,
) -> None:
    """The same for a failure that the records tell of. Raises Transient."""
    report = {
        "file": stored_name(file),
        "original": stored_name(str(path)),
        "sha256": sha256,
        "error": error,
        "message": stored_name(message),
        "remedy": stored_name(remedy),
        "when": when.isoformat(timespec="seconds"),
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    write_whole(_report(file, sha256, results), text.encode())


def withdraw_failure(file: str, sha256: str, results: Path) -> None:
    """Takes away what tells of a failure of a scan that was read now.

    The report goes; an original that still lies beside it (it was copied back, not moved) joins those that
    were read. What cannot be moved stays: the scan was read all the same.
    """
    left = results / FAILED / kept_name(file, sha256)
    with suppress(OSError, Transient):
        left.with_name(f"{left.name}.json").unlink(missing_ok=True)
        if left.is_file():
            move_original(left, results / PROCESSED / left.name)


def content_of(path: Path) -> str | None:
    """The sha256 of a file; `None` where there is none, or none that may be read."""
    try:
        if not path.is_file():  # a pipe of that name would be waited for, for ever
            return None
        with path.open("rb") as stream:
            return sha256_of(stream)
    except OSError:
        return None


def holds(path: Path, sha256: str) -> bool:
    """Whether the file at `path` is the scan of this fingerprint: by its content, or as it lay unread."""
    return stands_for(path, sha256) or content_of(path) == sha256


def put_back(kept: Path, target: Path, sha256: str) -> bool:
    """Moves a failed original to `target` in the inbox, never over another file; whether it lies there now.

    Where the same content lies there already, that is the scan, and the kept one stays. Raises BadScan where
    something else lies there, Transient where the disk refuses.
    """
    if not os.path.lexists(kept):
        return holds(target, sha256)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_move(kept, target)
    except FileExistsError:
        if not holds(target, sha256):
            raise BadScan(
                f"Another file lies at {target} by now.", "Move it away, or let it be read first."
            ) from None
    except OSError as error:
        raise Transient(
            f"{kept} cannot be put back to {target}: {error.strerror or error}.",
            "Mend that, then retry it once more.",
        ) from error
    return True


def _link_or_move(kept: Path, target: Path) -> None:
    """A link is refused where there is a file, in one step; file systems without links get a look first."""
    try:
        os.link(kept, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        move_original(kept, target)
    else:
        sync_folder(target.parent)
        kept.unlink()


def kept_copies(sha256: str, results: Path) -> Iterator[Path]:
    """What is kept of this content under any name; the folder is listed only once that is asked for."""
    yield from sorted((results / PROCESSED).glob(f"*-{sha256[:HASH_DIGITS]}*"))


def find_kept(file: str, sha256: str, results: Path) -> Path | None:
    """The content of a scan where it lies among the processed ones under its own name, else `None`."""
    kept = results / PROCESSED / kept_name(file, sha256)
    return kept if content_of(kept) == sha256 else None


def find_copy(sha256: str, results: Path) -> Path | None:
    """The content of a scan where it lies among the processed ones under any name, else `None`."""
    return next((path for path in kept_copies(sha256, results) if content_of(path) == sha256), None)


def find_original(source: Path, file: str, sha256: str, results: Path, *, copies: bool = False) -> Path:
    """Where the content of a scan that was read lies now: in its place, or among the processed ones.

    With `copies` also under the name of one, or the one that the scan was given while it was read.

    Raises BadScan where it is missing, or was changed since.
    """
    changed = None
    places = (results / PROCESSED / kept_name(file, sha256), source / file)
    for path in chain(places, kept_copies(sha256, results) if copies else ()):
        if content_of(path) == sha256:
            return path
        if os.access(path, os.R_OK) and path.is_file():
            changed = path
    if changed is not None:
        raise BadScan(
            f"{file}: {changed} was changed after it was read.",
            "Put the scan back as it was, or leave it out.",
        )
    raise BadScan(
        f"{file}: the original is neither in {source} nor in {results / PROCESSED}.",
        "Put the scan back, or leave it out.",
    )


def _report(file: str, sha256: str, results: Path) -> Path:
    return results / FAILED / f"{kept_name(file, sha256)}.json"


def _move(path: Path, target: Path, sha256: str) -> None:
    if not path.is_symlink():
        move_original(path, target, sha256=sha256)
        return
    if stands_for(path, sha256):
        return  # what is too large to be read is not copied either
    # A link that moves to another folder may point nowhere there: its content is kept, and the link goes. One
    # that took the place of the scan since, and leads to anything else, stays.
    try:
        if path.exists() and not (path.is_file() and _copied(path, target, sha256)):
            return
        path.unlink()
    except OSError as error:
        raise Transient(
            f"{path} cannot be moved: {error.strerror}.", "Check the rights of its folder."
        ) from None


class _OtherContent(Exception):
    """What was copied is not what was read."""


def _copied(path: Path, target: Path, sha256: str) -> bool:
    """Copies what the link `path` leads to, if that holds the content `sha256`; tells whether it does."""
    with suppress(_OtherContent):
        with path.open("rb") as stream, whole(target) as copy:
            digest = hashlib.sha256()
            for block in blocks(stream):
                digest.update(block)
                copy.write(block)
            if digest.hexdigest() != sha256:
                raise _OtherContent
        return True
    return False
