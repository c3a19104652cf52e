"""Which model reads: the one in use, until the one that CURRENT names has proved that it can."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.accounts import Listener
from processor.endings import ATTEMPTS
from processor.engines.tasks import Engine
from processor.errors import BadModel, DigitInboxError, Transient, to_write_again
from processor.prediction.archive import CURRENT, MANIFEST, ModelFolder, find_model, verify
from processor.results.ledger import note_refusal, withdraw_refusal
from processor.settings import LoadedSettings

NAME_BYTES = 1024
"""More of CURRENT than any folder's name can have is not looked at."""

Files = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """What CURRENT says (`None`: nothing), and the name, size, time and number of each file it leads to.

    It costs a few system calls, and differs after a promotion as after the repair of a damaged model.
    """

    name: str | None
    files: Files


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A model whose hashes agree, while a worker tries whether it loads."""

    model: ModelFolder
    sign: Sign
    attempt: int


class Succession:
    """Hands out the model that reads, and lets another take over between two scans.

    Models are read from copies of their own: what happens to the archive afterwards cannot reach scans
    under way, nor a worker that takes the place of a killed one. What is refused is said once and noted in
    the database, and the model in use works on.
    """

    def __init__(
        self,
        settings: LoadedSettings,
        first: ModelFolder,
        *,
        folder: Path,
        engine: Engine,
        database: Database,
        listener: Listener,
    ) -> None:
        """`first` reads until CURRENT names another; copies lie below `folder`.

        Raises BadModel, Transient, BadDatabase.
        """
        self._archive = settings.models_archive
        self._follows = settings.values.recognition.model == "current"
        self._folder = folder
        self._engine = engine
        self._database = database
        self._listener = listener
        self._numbers = count(1)
        self._retired: list[ModelFolder] = []
        self._judged: Sign | None = None
        self._candidate: _Candidate | None = None
        self._refused: tuple[str | None, str] | None = None
        self.in_use = self._copy(first)
        withdraw_refusal(database)

    @property
    def examines(self) -> bool:
        """Whether a worker is trying the next model, so that no scan should be handed out."""
        return self._candidate is not None

    def wants_a_turn(self) -> bool:
        """Whether CURRENT leads to something not judged yet, or a judgement is due."""
        return self.examines or (self._follows and self._sign() != self._judged)

    def settled(self) -> bool:
        """Whether the next scan may be handed out, to be read with `in_use`; asked before each.

        Scans wait while the next model is tried: one that comes after a promotion is never read by the
        model of before, unless the promoted one is refused. Raises Transient, BadDatabase.
        """
        if not self._follows:
            return True
        if self._candidate is not None:
            verdict = self._engine.verdict()
            if verdict is None:
                return False
            candidate, self._candidate = self._candidate, None
            self._decide(candidate, verdict.fault)
        if self._candidate is None and (sign := self._sign()) != self._judged:
            self._consider(sign)
        return self._candidate is None

    def named(self, fault: DigitInboxError, model: ModelFolder | None = None) -> DigitInboxError:
        """`fault` with the path of the published model instead of that of its copy, which nobody knows."""
        copy = model or self.in_use
        published = str(self._archive / copy.name)
        return type(fault)(fault.message.replace(str(copy.path), published), fault.remedy)

    def drop_retired(self, under_way: Collection[Path]) -> None:
        """Removes the copies of earlier models that none of the scans `under_way` is read with."""
        for model in [model for model in self._retired if model.path not in under_way]:
            self._retired.remove(model)
            _remove(model)

    def _consider(self, sign: Sign) -> None:
        try:
            model = find_model(self._archive, "current")
            if model.manifest == self.in_use.manifest:
                self._accept(sign)
                return
            copy = self._copy(model)
        except BadModel as error:
            self._refuse(sign, error)
            return
        self._examine(_Candidate(copy, sign, attempt=1))

    def _examine(self, candidate: _Candidate) -> None:
        try:
            self._engine.examine(candidate.model.path)
        except Transient:
            # It is considered anew, with another copy, once a worker can be started.
            _remove(candidate.model)
            raise
        self._candidate = candidate

    def _decide(self, candidate: _Candidate, fault: DigitInboxError | None) -> None:
        if fault is None:
            self._retired.append(self.in_use)
            self.in_use = candidate.model
            self._accept(candidate.sign)
            self._listener.say(f"The model {self.in_use.name} reads from now on.")
        elif isinstance(fault, Transient) and candidate.attempt < ATTEMPTS:
            # The worker may have been killed for a reason that is not the model's.
            self._examine(_Candidate(candidate.model, candidate.sign, candidate.attempt + 1))
        else:
            _remove(candidate.model)
            self._refuse(candidate.sign, self.named(fault, candidate.model))

    def _accept(self, sign: Sign) -> None:
        if self._refused is not None:
            withdraw_refusal(self._database)
            self._refused = None
        self._judged = sign

    def _refuse(self, sign: Sign, error: DigitInboxError) -> None:
        refused = (sign.name, str(error))
        if refused != self._refused:
            note_refusal(
                self._database,
                name=sign.name,
                reason=str(error),
                in_use=self.in_use.name,
                now=datetime.now(UTC),
            )
            named = f"The model {sign.name}" if sign.name else f"What {CURRENT} says"
            self._listener.warn(f"{named} is refused, and {self.in_use.name} reads on: {error}")
        self._refused = refused
        self._judged = sign

    def _sign(self) -> Sign:
        file = self._archive / CURRENT
        try:
            if not file.is_file():
                # A pipe would be waited for.
                return Sign(None, ())
            with file.open("rb") as stream:
                # No path and no database takes a NUL.
                name = stream.read(NAME_BYTES).decode("utf-8", "replace").replace("\0", "\ufffd").strip()
        except OSError:
            return Sign(None, ())
        # A path elsewhere is refused by the archive; here it must not lead anywhere.
        return Sign(name or None, _files(self._archive / name) if Path(name).name == name else ())

    def _copy(self, model: ModelFolder) -> ModelFolder:
        """A verified copy of a model, of the same name. Raises BadModel, Transient."""
        target = self._folder / str(next(self._numbers)) / model.name
        try:
            target.mkdir(parents=True)
            for file in (model.path / MANIFEST, *model.weights, model.probe):
                shutil.copyfile(file, target / file.name)
            return verify(target)
        except FileNotFoundError as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise BadModel(f"{error.filename} vanished.", "Publish the model again.") from None
        except OSError as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise Transient(
                f"The model {model.name} cannot be copied to {target}: {error.strerror}.",
                to_write_again(error),
            ) from None
        except BadModel as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise BadModel(
                f"{model.path} changed while it was loaded: {error.message}", error.remedy
            ) from None


def _files(folder: Path) -> Files:
    try:
        found = sorted(folder.iterdir())
        states = [(file.name, file.lstat()) for file in found]
    except OSError:
        return ()
    return tuple((name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in states)


def _remove(model: ModelFolder) -> None:
    shutil.rmtree(model.path.parent, ignore_errors=True)
