"""The record of promotions: which model was in use since when, and which gates were overridden for it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMOTIONS = "PROMOTIONS"
"""One JSON document a line, of the promotions of one archive; `training` appends to it."""

_SHOWN_BYTES = 80

PROMOTE, ROLLBACK = "promote", "rollback"


def _unheard(text: str) -> None:
    """The notice of who wants none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """At `at` (UTC, ISO 8601) `name` took the place of `previous`.

    `gates` are those that were measured, `forced` the names of those that failed and were overridden.
    """

    at: str
    kind: str
    name: str
    previous: str | None
    gates: Sequence[dict[str, Any]] = ()
    forced: Sequence[str] = ()


def read_promotions(archive: Path, notice: Callable[[str], object] = _unheard) -> list[Promotion]:
    """All promotions of `archive`, the oldest first.

    Lines that are damaged or cut short are passed over, and `notice` hears which; so is a record that cannot
    be read at all.
    """
    file = archive / PROMOTIONS
    if file.exists() and not file.is_file():
        # A pipe would be waited for.
        notice(
            f"{file} is no file, and is passed over. Move it away: the record of promotions belongs there."
        )
        return []
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        notice(f"{file} cannot be read, and is passed over: {error.strerror}. Check its permissions.")
        return []
    found = [_parse(line) if line else None for line in lines]
    for number, (line, promotion) in enumerate(zip(lines, found, strict=True), start=1):
        if line and promotion is None:
            notice(f"{file}: line {number} is damaged, and is passed over: {_shown(line)}. Remove the line.")
    return [promotion for promotion in found if promotion is not None]


def models_before(promotions: Sequence[Promotion], current: str | None) -> list[str]:
    """The models that were in use before `current`, the latest first, each once.

    A rollback takes back what was promoted after the model it went to, so that one after another leads
    further back, not forth again. A `current` that is not the last of the record was set by hand: what the
    record says last was before it.
    """
    used: list[str] = []
    for promotion in promotions:
        if promotion.previous is not None and used[-1:] != [promotion.previous]:
            used.append(promotion.previous)
        if promotion.kind == ROLLBACK and promotion.name in used[:-1]:
            while used[-1] != promotion.name:
                used.pop()
        elif used[-1:] != [promotion.name]:
            used.append(promotion.name)
    return [name for name in dict.fromkeys(reversed(used)) if name != current]


def _parse(line: bytes) -> Promotion | None:
    try:
        row = json.loads(line)
        # A lone surrogate is valid JSON, and breaks the terminal it is printed to.
        json.dumps(row, ensure_ascii=False).encode()
        found = Promotion(**row)
    except (ValueError, TypeError, RecursionError):
        return None
    named = all(isinstance(value, str) for value in (found.at, found.kind, found.name))
    listed = _holds_only(found.forced, str) and _holds_only(found.gates, dict)
    return found if named and listed and isinstance(found.previous, str | None) else None


def _holds_only(value: object, kind: type) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(part, kind) for part in value)


def _shown(line: bytes) -> str:
    return repr(line[:_SHOWN_BYTES].decode("utf-8", "replace"))
