"""Into service and back: a model is promoted through gates, and a rollback needs no gate but the probe."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from processor.errors import BadCommand, BadModel, DigitInboxError, Exit
from processor.prediction import archive
from processor.prediction.archive import CURRENT, ModelFolder
from processor.prediction.classifier import Classifier
from processor.prediction.promotions import (
    PROMOTE,
    PROMOTIONS,
    ROLLBACK,
    Promotion,
    models_before,
    read_promotions,
)
from processor.prediction.strip_reader import STRIPS, StripReader
from processor.results.publish import sync_folder, write_whole
from training.frozen import frozen_sets, frozen_strips
from training.gates import Gate, Lack, calibration, judge, judge_strips
from training.inks import Inks
from training.staging import Notice, locked, unheard, writable
from training.strip_sets import StripSet


class NotPromoted(DigitInboxError):
    """A candidate is worse than the model in use, which stays."""

    exit_code = Exit.SOME_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The model in use after a promotion, and the gates that were measured for it."""

    model: ModelFolder
    previous: str | None
    gates: tuple[Gate | Lack, ...] = ()

    @property
    def overridden(self) -> tuple[Gate | Lack, ...]:
        return tuple(gate for gate in self.gates if not gate.passed)


def promote(
    models: Path,
    name: str,
    *,
    sets: Mapping[str, Inks] | None = None,
    strips: Sequence[StripSet] = (),
    force: bool = False,
    notice: Notice = unheard,
) -> Decision:
    """Makes the published model `name` the one in use, unless it is worse on a frozen set or one of `sets`.

    So is its second reader judged, where the model in use has one, on the frozen strips and on `strips`.
    With `force` the gates are measured all the same, and what is overridden is recorded. Without a usable
    model in use there is nothing to be worse than, and no gate.

    Raises BadModel where the model cannot be loaded, NotPromoted where a gate is shut.
    """
    with locked(models):
        candidate = Classifier.load(archive.find_model(models, name).path)
        previous, current = _in_use(models, notice)
        if current is not None and current.name == candidate.name:
            return Decision(model=candidate.model, previous=previous)
        gates: tuple[Gate | Lack, ...] = ()
        if current is not None:
            frozen = frozen_sets(models)
            gates = (
                *judge(candidate, current, {**frozen, **(sets or {})}),
                *_second_readers_judged(candidate.model, current.model, models, strips, notice),
            )
            for line in calibration(candidate, current, frozen):
                notice(line)
        decision = Decision(model=candidate.model, previous=previous, gates=gates)
        if decision.overridden and not force:
            raise _refusal(decision)
        _switch(models, decision, PROMOTE)
        return decision


def _second_readers_judged(
    candidate: ModelFolder, current: ModelFolder, models: Path, strips: Sequence[StripSet], notice: Notice
) -> list[Gate | Lack]:
    # The candidate's is loaded even where there is nothing to be worse than: it must be one that reads.
    theirs = second_reader_of(candidate)
    try:
        ours = second_reader_of(current)
    except BadModel as error:
        notice(f"The second reader in use cannot be compared with: {error.message}")
        return []
    both = theirs is not None and ours is not None
    return judge_strips(theirs, ours, [*frozen_strips(models).values(), *strips] if both else [])


def second_reader_of(model: ModelFolder) -> StripReader | None:
    """The second reader of a verified model, None where it has none. Raises BadModel."""
    named = any(row["file"] == STRIPS for row in model.manifest["weights"])
    return StripReader.load(model.path) if named else None


def rollback(models: Path, notice: Notice = unheard) -> Decision:
    """Goes back to the model that was in use before, by the record; again, further back.

    Models that are gone or damaged are named and passed over. Raises BadCommand where none is left.
    """
    with locked(models):
        current = _name_in_use(models)
        for name in models_before(read_promotions(models, notice), current):
            try:
                model = Classifier.load(archive.find_model(models, name).path).model
            except BadModel as error:
                notice(f"{name} is passed over: {error.message}")
                continue
            decision = Decision(model=model, previous=current)
            _switch(models, decision, ROLLBACK)
            return decision
    raise BadCommand(
        f"{models / PROMOTIONS} names no usable model that was in use before {current or 'now'}.",
        "Look at `training list`, and promote one by its name.",
    )


def _in_use(models: Path, notice: Notice) -> tuple[str | None, Classifier | None]:
    """The name in CURRENT, and its model where it can be used."""
    name = _name_in_use(models)
    try:
        return name, Classifier.load(archive.find_model(models, "current").path)
    except BadModel as error:
        notice(f"No gate is measured, because no model in use can be compared with: {error.message}")
        return name, None


def _name_in_use(models: Path) -> str | None:
    try:
        return archive.current_name(models)
    except BadModel:
        return None


def _switch(models: Path, decision: Decision, kind: str) -> None:
    """Replaces CURRENT in one step, then records it: a crash between loses the line, not the model.

    Where the record cannot be written, CURRENT stays.
    """
    promotion = Promotion(
        at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        kind=kind,
        name=decision.model.name,
        previous=decision.previous,
        gates=[gate.row() for gate in decision.gates],
        forced=[gate.name for gate in decision.overridden],
    )
    record = models / PROMOTIONS
    if record.exists() and not record.is_file():
        raise BadCommand(f"{record} is no file.", "It is the record of promotions: move away what is there.")
    with writable(record), record.open("ab+") as stream:
        with writable(models / CURRENT):
            write_whole(models / CURRENT, f"{decision.model.name}\n".encode())
        _append(stream, promotion)
        sync_folder(models)


def _append(stream: BinaryIO, promotion: Promotion) -> None:
    """Appends a line to a record, durably; the caller holds the lock. Raises OSError."""
    line = json.dumps(asdict(promotion), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    if stream.tell():
        stream.seek(-1, os.SEEK_END)
        # What a crash cut short must not swallow this line too.
        line = line if stream.read(1) == b"\n" else b"\n" + line
    stream.write(line)
    stream.flush()
    os.fsync(stream.fileno())


def _refusal(decision: Decision) -> NotPromoted:
    shut = "\n".join(f"  {gate}" for gate in decision.overridden)
    return NotPromoted(
        f"{decision.model.name} is worse than {decision.previous}, which stays in use:\n{shut}",
        "Look at both with `training evaluate`, or override these gates with --force.",
    )
