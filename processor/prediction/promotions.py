"""The record of promotions: which model was in use since when, and which gates were overridden for it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMOTIONS = "PROMOTIONS"
"""One JSON document a line, of the promotions of one archive; `training` appends to it."""

PROMOTE, ROLLBACK = "promote", "rollback"


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


def read_promotions(archive: Path) -> list[Promotion]:
    """All promotions of `archive`, the oldest first; a line that a crash cut short is passed over."""
    try:
        lines = (archive / PROMOTIONS).read_bytes().splitlines()
    except OSError:
        return []
    return [found for line in lines if (found := _parse(line)) is not None]


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
        found = Promotion(**row)
    except (ValueError, TypeError, RecursionError):
        return None
    named = isinstance(found.name, str) and isinstance(found.at, str)
    listed = isinstance(found.forced, list | tuple) and isinstance(found.gates, list | tuple)
    return found if named and listed and isinstance(found.previous, str | None) else None
