"""A model's manifest: read within limits, and every value checked that a later step would trip over."""

import hashlib
import json
import math
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from processor.errors import BadModel

MANIFEST = "manifest.json"

REQUIRED_KEYS = (
    "name",
    "created_at",
    "architecture",
    "parameters",
    "input",
    "classes",
    "temperature",
    "thresholds",
    "weights",
    "probe",
    "metrics",
    "data",
    "recipe",
    "parent",
    "versions",
)


def input_of(planes: int) -> dict[str, Any]:
    """What this program feeds a network that looks at `planes` of a glyph: its own ink, or all about it, too.

    A model that was made for other glyphs would read nonsense.
    """
    return {"shape": [planes, 28, 28], "polarity": "ink is high", "range": [0, 1]}


PLANES = (1, 2)
"""A network looks at a mark's own ink, or also at all ink about it: `parameters.planes`, else 1."""


def planes_of(parameters: Mapping[str, Any]) -> int:
    """How many planes of a glyph the network of these parameters looks at."""
    return int(parameters.get("planes", PLANES[0]))


MAX_MANIFEST_BYTES = 1_000_000
MAX_FILE_BYTES = 500_000_000
"""A larger file is no model of digits: it is refused before it is read into memory."""

MAX_PARAMETER = 10_000
"""No width or depth of a network is larger; a damaged one must not cost hours or all memory to refuse."""

MAX_DEPTH = 32
"""Deeper nested, a manifest is none: whatever compares, stores or prints it later would run out of stack."""

TEMPERATURES = 0.01, 100.0
"""Calibration finds one between 0.1 and 10; far beyond, the probabilities are no numbers any more."""

REMEDY = "Publish the model again, or choose another with `training promote` or [recognition] model."

_LONGEST_WHOLE_NUMBER = 18
_LEAST_SHARE = 1e-9


def read_manifest(file: Path) -> dict[str, Any]:
    """The checked manifest in `file`. Raises BadModel with the file, the key and the value that is wrong."""
    content = read_limited(file, MAX_MANIFEST_BYTES)
    try:
        manifest = json.loads(
            content.decode(), parse_constant=_refuse_number, parse_float=_finite, parse_int=_whole
        )
        # A lone surrogate is valid JSON, and breaks the terminal, the database and whatever it is written to.
        json.dumps(manifest, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadModel(f"{file} is not valid JSON: {error}.", REMEDY) from None
    if not _is_shallow(manifest):
        raise BadModel(f"{file} is nested deeper than {MAX_DEPTH} levels.", REMEDY)
    missing = [key for key in REQUIRED_KEYS if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise BadModel(f"{file} lacks {', '.join(missing)}.", REMEDY)
    _check_values(manifest, file)
    return dict(manifest)


def read_limited(file: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises BadModel for anything else: a link may lead anywhere and change unseen, a pipe never ends.
    """
    _check_regular(file, limit)
    try:
        with file.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise BadModel(f"{file} cannot be read: {error.strerror}.", REMEDY) from None
    if len(content) > limit:
        raise _too_large(file, limit)
    return content


def read_hashed(file: Path, sha256: str) -> bytes:
    """The content of `file`, whose hash was compared: what is loaded is what was hashed. Raises BadModel."""
    content = read_limited(file, MAX_FILE_BYTES)
    _compare(file, hashlib.sha256(content).hexdigest(), sha256)
    return content


def check_hash(file: Path, sha256: str) -> None:
    """Compares the hash of `file` without holding it in memory. Raises BadModel."""
    _check_regular(file, MAX_FILE_BYTES)
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadModel(f"{file} cannot be read: {error.strerror}.", REMEDY) from None
    _compare(file, found, sha256)


def _check_regular(file: Path, limit: int) -> None:
    try:
        found = file.lstat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise BadModel(f"{file} cannot be read: {getattr(error, 'strerror', error)}.", REMEDY) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        raise BadModel(f"{file} is {kind}: a model's files lie in its own folder.", REMEDY)
    if found.st_size > limit:
        raise _too_large(file, limit)


def _too_large(file: Path, limit: int) -> BadModel:
    return BadModel(f"{file} is larger than {limit // 1_000_000} MB.", REMEDY)


def _compare(file: Path, found: str, expected: str) -> None:
    if found != expected:
        raise BadModel(f"{file} has sha256 {found[:12]}…, its manifest says {expected[:12]}….", REMEDY)


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _whole(text: str) -> int:
    return int(text) if len(text) <= _LONGEST_WHOLE_NUMBER else int(_refuse_number(f"{text[:20]}…"))


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "a name"),
    "created_at": (str, "a moment"),
    "architecture": (str, "a name"),
    "parameters": (dict, "an object"),
    "thresholds": (dict, "an object with rows under `acceptance`"),
    "metrics": (dict, "an object"),
    "data": (list, "a list"),
    "recipe": (dict, "an object"),
    "parent": ((str, type(None)), "a name or null"),
    "versions": (dict, "an object"),
}


def _check_values(manifest: dict[str, Any], where: Path) -> None:
    for key, (kind, expected) in _TYPES.items():
        _expect(isinstance(manifest[key], kind), where, key, manifest[key], expected)
    if manifest["name"] != where.parent.name:
        raise BadModel(f"{where} says it is {manifest['name']!r}: the folder was renamed.", REMEDY)
    planes = manifest["parameters"].get("planes", PLANES[0])
    _expect(type(planes) is int and planes in PLANES, where, "parameters.planes", planes, "1 or 2")
    expected_input = input_of(int(planes))
    for key, right, expected in (
        ("classes", _are_classes, "the ten digits first, each class once"),
        ("input", lambda value: value == expected_input, f"{expected_input}"),
        ("temperature", lambda value: _is_within(value, *TEMPERATURES), "a number from 0.01 to 100"),
        ("weights", _are_entries, "a list of file and sha256"),
        ("probe", _is_entry, "a file and its sha256"),
        ("parameters", _is_bounded, f"no number beyond {MAX_PARAMETER}"),
    ):
        _expect(right(manifest[key]), where, key, manifest[key], expected)
    rows = manifest["thresholds"].get("acceptance")
    _expect(
        _are_acceptances(rows),
        where,
        "thresholds.acceptance",
        rows,
        "rows of max_error_rate, confidence, up to 1",
    )


def _expect(right: bool, where: Path, key: str, value: object, expected: str) -> None:
    if not right:
        shown = f"{value!r}"
        shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
        raise BadModel(f"{where}: {key} = {shown}, expected {expected}.", REMEDY)


def _are_classes(value: object) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    return value[:10] == list("0123456789") and len(set(value)) == len(value)


def _is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_shallow(value: object) -> bool:
    """Level by level, because a function that calls itself fails on what it is to find."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [part for whole in level for part in _parts(whole)]
    return not level


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_bounded(value: object) -> bool:
    if isinstance(value, dict | list):
        return all(_is_bounded(part) for part in _parts(value))
    return not isinstance(value, int | float) or abs(value) <= MAX_PARAMETER


def _are_acceptances(rows: object) -> bool:
    return isinstance(rows, list) and bool(rows) and all(_is_acceptance(row) for row in rows)


def _is_acceptance(row: object) -> bool:
    values = [row.get(key) for key in ("max_error_rate", "confidence")] if isinstance(row, dict) else [None]
    return all(_is_within(value, _LEAST_SHARE, 1) for value in values)


def _are_entries(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_entry(entry) for entry in value)


def _is_entry(entry: object) -> bool:
    """A file beside the manifest: a path elsewhere would let a manifest name any file of the machine."""
    if not isinstance(entry, dict):
        return False
    file, sha256 = entry.get("file"), entry.get("sha256")
    return isinstance(file, str) and Path(file).name == file and isinstance(sha256, str)
