"""Where originals go once their records are committed, and the report beside one that failed."""

import hashlib
import json
import re
import shutil
from datetime import datetime
from pathlib import Path

from processor.errors import BadScan, DigitInboxError, Transient
from processor.results.publish import move_original, output_name, stored_name, whole, write_whole

PROCESSED = "processed"
FAILED = "failed"

# The suffix of a file that a person named may hold anything; it is kept where it is a plain one.
_PLAIN_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")


def kept_name(file: str, sha256: str) -> str:
    """The name an original is kept under: `<stem>-<hash><suffix>`."""
    suffix = Path(file).suffix
    return output_name(file, sha256) + (suffix if _PLAIN_SUFFIX.fullmatch(suffix) else "")


def move_processed(path: Path, file: str, sha256: str, results: Path) -> None:
    """Moves a scan that was read (or known already) out of the inbox. Raises Transient."""
    _move(path, results / PROCESSED / kept_name(file, sha256))


def move_failed(path: Path, file: str, sha256: str, results: Path) -> None:
    """Moves a scan that failed out of the inbox, beside its report. Raises Transient."""
    _move(path, results / FAILED / kept_name(file, sha256))


def report_failure(
    path: Path, file: str, sha256: str, error: DigitInboxError, when: datetime, results: Path
) -> None:
    """Writes `failed/<name><suffix>.json`: what is wrong with the scan, and what to do. Raises Transient."""
    report = {
        "file": stored_name(file),
        "original": stored_name(str(path)),
        "sha256": sha256,
        "error": type(error).__name__,
        "message": stored_name(error.message),
        "remedy": stored_name(error.remedy),
        "when": when.isoformat(timespec="seconds"),
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    write_whole(_report(file, sha256, results), text.encode())


def withdraw_failure(file: str, sha256: str, results: Path) -> None:
    """Removes the report of a scan that failed once and was read now."""
    _report(file, sha256, results).unlink(missing_ok=True)


def find_original(source: Path, file: str, sha256: str, results: Path) -> Path:
    """Where the content of a scan that was read lies now: in its place, or among the processed ones.

    Raises BadScan where it is missing, or was changed since.
    """
    changed = None
    for path in (results / PROCESSED / kept_name(file, sha256), source / file):
        try:
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == sha256:
                    return path
            changed = path
        except OSError:
            continue
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


def _move(path: Path, target: Path) -> None:
    if not path.is_symlink():
        move_original(path, target)
        return
    # A link that moves to another folder may point nowhere there: its content is kept, and the link goes.
    try:
        if path.exists():
            with path.open("rb") as stream, whole(target) as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)
        path.unlink()
    except OSError as error:
        raise Transient(
            f"{path} cannot be moved: {error.strerror}.", "Check the rights of its folder."
        ) from None
