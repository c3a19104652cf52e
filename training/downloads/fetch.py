"""A data set into the data folder: what is there stays, what is missing comes whole or not at all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from processor.errors import Transient
from processor.results.publish import write_whole
from training.downloads.faults import (
    Broken,
    NotFetched,
    Stale,
    Unreachable,
    Unwritable,
    WrongContent,
)
from training.downloads.parts import Part
from training.downloads.transfer import Patience, Progress, receive


class Content(Protocol):
    """Decides whether bytes are the published data, and in which form they are kept."""

    @property
    def limit_bytes(self) -> int: ...

    def accept(self, data: bytes) -> bytes:
        """The bytes to keep. Raises WrongContent."""


@dataclass(frozen=True, slots=True)
class Published:
    """A file of a data set: its place below the data folder, its content, and who has it.

    `mirrored` are the names that a mirror may have it under, `saved` those that a person may save it as;
    `by_hand` says what to do where nobody can be reached.
    """

    file: str
    content: Content
    addresses: tuple[str, ...]
    by_hand: str
    mirrored: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()

    def from_mirror(self, base: str) -> "Published":
        """The same file, to be had from the folder `base` of one server and from nowhere else."""
        return replace(
            self, addresses=tuple(f"{base.rstrip('/')}/{name}" for name in self.mirrored or (self.file,))
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is in its place: it was there, or came from `address`."""

    path: Path
    state: Literal["present", "fetched"]
    bytes: int
    address: str | None = None


@dataclass
class Fetcher:
    """Brings published files into `folder`; `say` hears of every address that failed."""

    folder: Path
    force: bool = False
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None] = lambda text: None
    progress: Progress = lambda arrived, total: None
    _unreachable: dict[str, str] = field(default_factory=dict)

    def fetch(self, published: Published) -> Fetched:
        """Puts one file in its place, unless it is there.

        Raises NotFetched with everything that was tried, Unwritable and BadSettings where the disk refuses.
        """
        target = self.folder / published.file
        there = self._there(published, target)
        if there is not None:
            return there
        troubles: list[NotFetched] = []
        sources: list[Path | str] = [self.folder / name for name in published.saved]
        for source in (*sources, *published.addresses):
            try:
                kept = self._kept(published, source, target)
            except NotFetched as error:
                troubles.append(error)
                if source != published.addresses[-1] and not isinstance(error, Unreachable):
                    self.say(f"{published.file}: {error.message}; trying the next address.")
                continue
            if kept is not None:
                _write(target, kept)
                Part(target).discard()
                return Fetched(target, "fetched", len(kept), str(source))
        raise _failure(published, troubles, self.folder)

    def _there(self, published: Published, target: Path) -> Fetched | None:
        """The file that is there already. Raises NotFetched where it is another one, and stays."""
        try:
            data = _read(target, published.content)
            if data is None:
                return None
            if published.content.accept(data) != data:
                raise WrongContent("its content is right, but packed in a way that is not read")
        except WrongContent as error:
            if self.force:
                return None
            raise NotFetched(
                f"{target} is there, but {error.message}.", "Move it away, or replace it with --force."
            ) from None
        return Fetched(target, "present", len(data))

    def _kept(self, published: Published, source: Path | str, target: Path) -> bytes | None:
        """The bytes to keep, from an address or a file that a person saved (`None`: there is none)."""
        if isinstance(source, str):
            return self._from_address(published.content, source, Part(target))
        try:
            data = _read(source, published.content)
            return None if data is None else published.content.accept(data)
        except WrongContent as error:
            raise WrongContent(f"{source} is not it: {error.message}") from None

    def _from_address(self, content: Content, address: str, part: Part) -> bytes:
        """Asks until the file is whole; an attempt that brought it further than ever is not counted."""
        host = urlsplit(address).netloc
        if host in self._unreachable:
            raise Unreachable(self._unreachable[host])
        attempt, furthest = 1, part.size
        while True:
            try:
                return self._attempt(content, address, part)
            except Unreachable as error:
                self._unreachable[host] = error.message
                self.say(f"{error.message[0].upper()}{error.message[1:]}.")
                raise
            except (Broken, Stale) as error:
                if part.size >= furthest + self.patience.window_bytes:
                    attempt, furthest = 0, part.size
                elif attempt >= self.patience.attempts:
                    raise
                self.say(f"{error.message}; asking again.")
                if isinstance(error, Broken):
                    time.sleep(self.patience.pause_seconds * 2 ** max(attempt - 1, 0))
            attempt += 1

    def _attempt(self, content: Content, address: str, part: Part) -> bytes:
        continued = part.origin(address) is not None
        try:
            receive(address, part, content.limit_bytes, self.patience, self.progress)
        except (Broken, Stale) as error:
            # The length that the server announced may be the lie, and everything may be there.
            whole = _accepted(content, part)
            if whole is not None:
                return whole
            if isinstance(error, Stale):
                part.discard()
            raise
        except WrongContent:
            part.discard()
            raise
        try:
            return content.accept(part.read())
        except WrongContent as error:
            part.discard()
            if continued:
                raise Stale(f"{address} does not continue what had arrived: {error.message}") from None
            raise WrongContent(f"{address} has another file: {error.message}") from None


def _failure(published: Published, troubles: list[NotFetched], folder: Path) -> NotFetched:
    tried = "".join(f"\n  {trouble.message}" for trouble in troubles)
    remedy = published.by_hand.format(folder=folder)
    if all(isinstance(trouble, Unreachable) for trouble in troubles):
        remedy = f"No server can be reached: is there a network, and is a proxy needed for it? {remedy}"
    return NotFetched(f"{published.file} was not fetched:{tried}", remedy)


def _accepted(content: Content, part: Part) -> bytes | None:
    if not part.size:
        return None
    try:
        return content.accept(part.read())
    except WrongContent:
        return None


def _read(file: Path, content: Content) -> bytes | None:
    """The bytes of `file`, `None` where there is none. Raises NotFetched, WrongContent."""
    try:
        if not file.exists():
            return None
        if file.stat().st_size > content.limit_bytes:
            raise WrongContent(f"it has {file.stat().st_size:,} bytes, which is too many")
        return file.read_bytes()
    except OSError as error:
        raise NotFetched(f"{file} cannot be read: {error.strerror}.", "Move it away.") from None


def _write(target: Path, data: bytes) -> None:
    try:
        write_whole(target, data)
    except Transient as error:
        raise Unwritable(error.message, "Make room, and run it again: what has arrived is kept.") from None
