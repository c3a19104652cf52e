"""Checkpoints: what a training needs to go on as if it had never been stopped."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from torch import Tensor

from processor.errors import BadCommand
from processor.results.publish import write_whole
from training.interruption import Interrupted

KEPT = 2
"""So many checkpoints are kept: where the newest is damaged, the one before it still serves."""

CHECKPOINTS = "checkpoints"
"""The folder of a run's checkpoints: it goes when the run is finished."""

STRIP_CHECKPOINTS = "strips-checkpoints"
"""The same of the training of a run's second reader."""

EVERY_SECONDS = 30.0
"""At most so much work is lost by a kill."""

_NAME = "batch-"
_SHOWN = 3
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training after `batch` batches: its tensors by name, and everything else as JSON values."""

    batch: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]

    def misfit(self, error: Exception) -> BadCommand:
        """What to raise where a training cannot take it up, because of `error`."""
        reason = str(error).partition("\n")[0].rstrip(":. ")
        return BadCommand(
            f"The checkpoint after {self.batch} batches does not fit this training: {reason}.",
            "Train from the beginning with --restart.",
        )


class Checkpoints:
    """The newest checkpoints of one training, in the folder `folder`.

    Each is a safetensors file and a JSON file that names its hash and is written after it: whatever moment
    a kill comes at, the newest JSON file belongs to a whole checkpoint. `origin` is what the training is made
    from; a checkpoint that was made from anything else would go on to another result, and is refused.
    """

    def __init__(
        self, folder: Path, origin: Mapping[str, Any], *, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._folder = folder
        self._origin = json.loads(json.dumps(origin))
        self._every_seconds = every_seconds
        self._saved_at = time.monotonic()

    def due(self) -> bool:
        """Whether the last checkpoint is `every_seconds` old."""
        return time.monotonic() - self._saved_at >= self._every_seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes `checkpoint` durably, then removes all but the newest. Raises Transient for a full disk."""
        tensors = safetensors.torch.save(dict(checkpoint.tensors))
        content = {
            "format": _FORMAT,
            "batch": checkpoint.batch,
            "state": checkpoint.state,
            "origin": self._origin,
            "tensors": hashlib.sha256(tensors).hexdigest(),
        }
        record = {"content": content, "sha256": _digest(content)}
        file = self._folder / f"{_NAME}{checkpoint.batch:08d}.json"
        write_whole(file.with_suffix(".safetensors"), tensors)
        write_whole(file, json.dumps(record, indent=1).encode() + b"\n")
        self._prune()
        self._saved_at = time.monotonic()

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest whole checkpoint, None where there is none yet; a damaged one is named and removed.

        Raises BadCommand where it is of another training or format, cannot be read, or all are damaged.
        """
        damaged = []
        for file in self._files():
            try:
                found = _read(file)
            except _Damaged as error:
                damaged.append(file)
                warn(f"The checkpoint {file} is damaged: {error}.")
                continue
            self._check_origin(found["origin"])
            for bad in damaged:
                _remove(bad)
            return Checkpoint(found["batch"], found["tensors"], found["state"])
        if damaged:
            raise BadCommand(
                f"No checkpoint in {self._folder} is whole.", "Train from the beginning with --restart."
            )
        return None

    def remove(self) -> None:
        """Removes every checkpoint."""
        for file in self._files():
            _remove(file)
        self._prune()

    def __len__(self) -> int:
        """How many checkpoints there are, whole or not."""
        return len(self._files())

    def _files(self) -> list[Path]:
        return sorted(
            self._folder.glob(f"{_NAME}*.json"), key=lambda file: (len(file.name), file.name), reverse=True
        )

    def _prune(self) -> None:
        """All but the newest; also tensors whose JSON, and parts whose name, never came to be."""
        for file in self._files()[KEPT:]:
            _remove(file)
        kept = {file.stem for file in self._files()}
        for file in [*self._folder.glob(f"{_NAME}*.safetensors"), *self._folder.glob(".*.part")]:
            if file.stem not in kept:
                _discard(file)

    def _check_origin(self, there: Mapping[str, Any]) -> None:
        found = differences(there, self._origin)
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise BadCommand(
                f"{self._folder} holds checkpoints of another training: {'; '.join(found[:_SHOWN])}{more}.",
                "Name another folder, or throw that training away with --restart.",
            )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two nested mappings, a sentence each: `schedule.seed is 2, there it is 1`."""
    old, new = dict(_flat(there)), dict(_flat(here))
    return [
        f"{key} is {new.get(key, 'absent')}, there it is {old.get(key, 'absent')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        items = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(place), inner) for place, inner in enumerate(value, 1)]
    else:
        yield key, json.dumps(value)
        return
    for name, inner in items:
        yield from _flat(inner, f"{key}.{name}" if key else name)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Only one training works with the checkpoints in `folder`, which goes where none are left in it.

    So does the folder around it, where that was made for it and is empty. Raises BadCommand where another
    training works there, or it cannot be written.
    """
    lock = FileLock(folder / ".lock")
    made = [folder] if folder.parent.exists() else [folder, folder.parent]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise BadCommand(
            f"Another training works in {folder.parent}.", "Wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise BadCommand(f"{folder} cannot be written: {error.strerror}.", "Name another folder.") from None
    try:
        yield
    finally:
        lock.release()
        if not len(Checkpoints(folder, {})):
            (folder / ".lock").unlink(missing_ok=True)
            for empty in made:
                if not any(empty.iterdir()):
                    empty.rmdir()


def stopped_at_once(folder: Path) -> Interrupted:
    """What is true of a training that was stopped anywhere: before its first checkpoint nothing was kept."""
    if len(Checkpoints(folder, {})):
        return Interrupted("Stopped at once.", "The same command goes on from its last checkpoint.")
    return Interrupted(
        "Stopped at once, before the first checkpoint: nothing of the training was kept.",
        "The same command begins anew.",
    )


class _Damaged(Exception):
    """One checkpoint cannot be used; the text says why."""


def _read(file: Path) -> dict[str, Any]:
    """The content of a checkpoint's JSON file, with the tensors themselves under `tensors`.

    Raises _Damaged; BadCommand where it is whole, and of another format, or where nobody can say.
    """
    content = _content(file)
    if content.get("format", _FORMAT) != _FORMAT:
        raise BadCommand(
            f"The checkpoint {file} is of format {content['format']}, this program reads {_FORMAT}.",
            "Go on with the program that wrote it, or train from the beginning with --restart.",
        )
    kinds = {"format": int, "batch": int, "state": dict, "origin": dict, "tensors": str}
    missing = [key for key, kind in kinds.items() if not isinstance(content.get(key), kind)]
    if missing:
        raise _Damaged(f"it has no {', '.join(missing)}")
    tensors = _bytes(file.with_suffix(".safetensors"))
    if hashlib.sha256(tensors).hexdigest() != content["tensors"]:
        raise _Damaged("the hash of its tensors is another")
    try:
        return {**content, "tensors": safetensors.torch.load(tensors)}
    except SafetensorError as error:
        raise _Damaged(f"its tensors cannot be read ({error})") from None


def _content(file: Path) -> dict[str, Any]:
    """What the JSON file holds, as its hash says it was written."""
    try:
        record = json.loads(_bytes(file))
        content = record.get("content") if isinstance(record, dict) else None
        if isinstance(content, dict) and record.get("sha256") == _digest(content):
            return content
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"it is not JSON ({error})") from None
    raise _Damaged("its hash is another")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _Damaged(f"{file}: {error.strerror}") from None
    except OSError as error:
        # A share that is away or a right that is missing says nothing of the checkpoint: it is kept.
        if file.is_dir():
            raise _Damaged(f"{file}: is a folder") from None
        raise BadCommand(
            f"The checkpoint {file} cannot be read: {error.strerror}.",
            "Mend that and try again, or train from the beginning with --restart.",
        ) from None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _remove(file: Path) -> None:
    """The JSON goes first: tensors alone are no checkpoint."""
    _discard(file)
    _discard(file.with_suffix(".safetensors"))


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
