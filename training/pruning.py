"""Pruning: old models that nothing refers to any more are removed, and it is said what is kept and why."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from processor.errors import BadModel
from processor.prediction import archive
from processor.prediction.archive import ModelFolder
from processor.prediction.promotions import Promotion, models_before, read_promotions
from processor.results.database import database_file, open_read_only, reading
from processor.results.publish import sync_folder
from processor.results.schema import models as model_rows
from processor.results.schema import scans
from processor.settings import LoadedSettings, shipped_archive
from training.staging import Notice, locked, remove_folder, unheard, writable

KEEP = 5
SHIPPED = "SHIPPED"
"""Beside the models that came with the program: their names, one a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model of the archive; `kept` says why it stays, and is empty where it goes."""

    name: str
    created_at: str
    megabytes: float
    kept: str


def prune(
    models: Path,
    settings: LoadedSettings,
    *,
    keep: int = KEEP,
    dry_run: bool = False,
    notice: Notice = unheard,
) -> list[Candidate]:
    """Removes the models that nothing needs, but for the `keep` newest; a `dry_run` only names them.

    Needed is what is in use, was in use before it, is named in recognition.model, read a scan in the results
    database, or came with the program; where there is no database, all that was ever in use. What cannot be
    verified stays: nobody can say what it is. `notice` hears of a missing database and a damaged record.

    Raises BadModel where CURRENT, BadDatabase where the database cannot be read: nothing is removed then.
    """
    with locked(models):
        listed = judge_models(models, needed(models, settings, notice), keep)
        for found in listed:
            if not found.kept and not dry_run:
                _remove(models / found.name)
        return listed


def needed(models: Path, settings: LoadedSettings, notice: Notice = unheard) -> dict[str, str]:
    """The names that must stay, each with its reason. Raises BadModel and BadDatabase."""
    current = archive.current_name(models)
    record = read_promotions(models, notice)
    reasons: dict[str, str] = {}
    if not database_is_there(settings):
        # It may have been moved away, and its records would name models that nobody could find any more.
        reasons = dict.fromkeys(_ever_used(record), "was in use, and there is no database to say for what")
        file = database_file(settings.database_url)
        notice(f"There is no database {file}: every model that was ever in use stays.")
    reasons |= dict.fromkeys(shipped_names(), "came with the program")
    reasons |= dict.fromkeys(used_names(settings), "read scans that are in the database")
    reasons |= dict.fromkeys(models_before(record, current)[:1], "was in use before")
    pinned = settings.values.recognition.model
    return {**reasons, pinned: "named in recognition.model", current: "in use"}


def _ever_used(record: Sequence[Promotion]) -> set[str]:
    names = {name for promotion in record for name in (promotion.name, promotion.previous)}
    return {name for name in names if name is not None}


def judge_models(models: Path, reasons: Mapping[str, str], keep: int) -> list[Candidate]:
    """Every model of the archive, the newest first, damaged ones at the end."""
    whole: list[ModelFolder] = []
    damaged: list[Candidate] = []
    for name in archive.model_names(models):
        try:
            whole.append(archive.verify(models / name))
        except BadModel:
            size = _megabytes(models / name)
            damaged.append(Candidate(name=name, created_at="", megabytes=size, kept="cannot be verified"))
    whole.sort(key=lambda model: (model.manifest["created_at"], model.name), reverse=True)
    candidates = [
        Candidate(
            name=model.name,
            created_at=model.manifest["created_at"],
            megabytes=_megabytes(model.path),
            kept=reasons.get(model.name) or _why_kept(model.path, place < keep),
        )
        for place, model in enumerate(whole)
    ]
    return candidates + damaged


def used_names(settings: LoadedSettings) -> set[str]:
    """The models that any record of the results database names; none where there is no database yet.

    Raises BadDatabase where there is one that cannot be read.
    """
    if not database_is_there(settings):
        return set()
    # The names of models stand in the same columns since the first version.
    engine = open_read_only(settings.database_url, older=True)
    try:
        with reading(engine) as connection:
            known = connection.scalars(select(model_rows.c.name)).all()
            stamped = connection.scalars(select(scans.c.model).distinct()).all()
    finally:
        engine.dispose()
    return {name for name in (*known, *stamped) if name is not None}


def database_is_there(settings: LoadedSettings) -> bool:
    """Whether there is a results database; one on a server is taken to be there."""
    file = database_file(settings.database_url)
    return file is None or file.exists()


def shipped_names() -> list[str]:
    """The models that came with the program; where their list is missing, all that stand beside it."""
    shipped = shipped_archive()
    if shipped is None:
        return []
    try:
        return (shipped / SHIPPED).read_text("utf-8").split()
    except OSError:
        return archive.model_names(shipped)


def _why_kept(folder: Path, is_new: bool) -> str:
    if folder.is_symlink():
        return "is a link to another folder"
    return "among the newest" if is_new else ""


def _megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*")) / 1e6


def _remove(folder: Path) -> None:
    """Takes the name away in one step; what is left where it dies now, a later command clears."""
    gone = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    with writable(folder):
        folder.rename(gone)
        sync_folder(folder.parent)
        remove_folder(gone)
