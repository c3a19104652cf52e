"""What reading a source gives, before and after it is split."""

from dataclasses import dataclass

from processor.errors import BadCommand
from training.inks import Inks

NAMED = 3
"""A refusal names so many of the faulty samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """All samples of one source; `skipped` names each that could not be read, and why.

    Where the source does not say who wrote what, `grouped` is false and `inks.groups` mean nothing.
    """

    inks: Inks
    skipped: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    grouped: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """One source's samples to train on, and those kept out for validation (perhaps none)."""

    trained: Inks
    kept: Inks
    skipped: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def mostly_read(where: object, read: int, skipped: list[str]) -> tuple[str, ...]:
    """The names of what was skipped. Raises BadCommand where that is more than what could be read."""
    if len(skipped) > read:
        faults = "; ".join(skipped[:NAMED]) + ("; …" if len(skipped) > NAMED else "")
        raise BadCommand(
            f"{where}: {len(skipped)} of {read + len(skipped)} samples cannot be read: {faults}.",
            "Mend or remove them, or take the source out of the recipe.",
        )
    return tuple(skipped)
