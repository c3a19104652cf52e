"""The model archive: folders of weights and manifest, found and verified without loading a network."""

import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processor.errors import BadModel

CURRENT = "CURRENT"
"""The file that names the model in use."""

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
    "metrics",
    "data",
    "recipe",
    "parent",
    "versions",
)

_REMEDY = "Publish the model again, or choose another with `training promote` or [recognition] model."


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Above this confidence the accepted digits of the validation set held this error rate."""

    max_error_rate: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A verified model: `manifest` as published, `weights` files whose hashes were compared."""

    path: Path
    manifest: Mapping[str, Any]
    weights: tuple[Path, ...]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest["classes"])

    @property
    def temperature(self) -> float:
        return float(self.manifest["temperature"])

    @property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """The calibrated thresholds, from the strictest error rate to the loosest."""
        rows = self.manifest["thresholds"]["acceptance"]
        found = (Acceptance(float(row["max_error_rate"]), float(row["confidence"])) for row in rows)
        return tuple(sorted(found, key=lambda acceptance: acceptance.max_error_rate))

    def acceptance_threshold(self, max_error_rate: float) -> float:
        """The confidence from which a digit is accepted so that `max_error_rate` of those are wrong.

        Between two calibrated rates it is interpolated over the logarithm of the rate; beyond the ends it
        is that of the nearest, so a stricter rate than was calibrated is not promised.
        """
        table = self.acceptances
        place = bisect_left([row.max_error_rate for row in table], max_error_rate)
        if place in (0, len(table)):
            return table[min(place, len(table) - 1)].confidence
        below, above = table[place - 1], table[place]
        span = math.log(above.max_error_rate / below.max_error_rate)
        share = math.log(max_error_rate / below.max_error_rate) / span
        return below.confidence + share * (above.confidence - below.confidence)


def find_model(archive: Path, name: str) -> ModelFolder:
    """The verified model `name` of `archive`; `current` follows the file CURRENT.

    Raises BadModel where the archive, its CURRENT or the model is missing or damaged.
    """
    if name == "current":
        name = current_name(archive)
    folder = archive / name
    if name not in _names(archive):
        known = ", ".join(_names(archive)) or "none"
        raise BadModel(
            f"There is no model {name!r} in {archive}.",
            f"It holds: {known}. Set [recognition] model, or promote one with `training promote NAME`.",
        )
    return verify(folder)


def current_name(archive: Path) -> str:
    """The name in CURRENT; raises BadModel where there is none."""
    try:
        name = (archive / CURRENT).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadModel(
            f"{archive / CURRENT} cannot be read: {error}.",
            "Name the folder in [paths] models_archive, or promote a model with `training promote NAME`.",
        ) from None
    if not name:
        raise BadModel(f"{archive / CURRENT} is empty.", "Promote a model with `training promote NAME`.")
    return name


def verify(folder: Path) -> ModelFolder:
    """Reads the manifest and compares the weights with its hashes.

    Raises BadModel with the file and the key or hash that is wrong.
    """
    manifest = _read_manifest(folder / MANIFEST)
    _check_values(manifest, folder)
    weights = []
    for entry in manifest["weights"]:
        file = folder / entry["file"]
        _check_hash(file, entry["sha256"])
        weights.append(file)
    return ModelFolder(folder, manifest, tuple(weights))


def list_models(archive: Path) -> list[ModelFolder | BadModel]:
    """Every model of the archive by name; a damaged one is listed as the error that says what is wrong."""
    models: list[ModelFolder | BadModel] = []
    for name in _names(archive):
        try:
            models.append(verify(archive / name))
        except BadModel as error:
            models.append(error)
    return models


def _names(archive: Path) -> list[str]:
    if not archive.is_dir():
        return []
    return sorted(f.name for f in archive.iterdir() if f.is_dir() and not f.name.startswith("."))


def _read_manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BadModel(f"{file} cannot be read: {error.strerror}.", _REMEDY) from None
    except ValueError as error:
        raise BadModel(f"{file} is not valid JSON: {error}.", _REMEDY) from None
    missing = [key for key in REQUIRED_KEYS if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise BadModel(f"{file} lacks {', '.join(missing)}.", _REMEDY)
    return dict(manifest)


def _check_values(manifest: dict[str, Any], folder: Path) -> None:
    """Refuses what later steps would trip over with a message nobody could act on."""
    where = folder / MANIFEST
    if manifest["name"] != folder.name:
        raise BadModel(f"{where} says it is {manifest['name']!r}: the folder was renamed.", _REMEDY)
    classes = manifest["classes"]
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or classes[:10] != list("0123456789"):
        raise BadModel(f"{where}: classes = {classes!r}, expected the ten digits first.", _REMEDY)
    if not _is_positive(manifest["temperature"]):
        raise BadModel(
            f"{where}: temperature = {manifest['temperature']!r}, expected a number above 0.", _REMEDY
        )
    rows = manifest["thresholds"].get("acceptance") if isinstance(manifest["thresholds"], dict) else None
    if not isinstance(rows, list) or not rows or not all(_is_acceptance(row) for row in rows):
        raise BadModel(
            f"{where}: thresholds.acceptance = {rows!r}, expected rows of max_error_rate and confidence.",
            _REMEDY,
        )
    if not isinstance(manifest["parameters"], dict):
        raise BadModel(f"{where}: parameters = {manifest['parameters']!r}, expected an object.", _REMEDY)
    entries = manifest["weights"]
    if not isinstance(entries, list) or not entries or not all(_is_weights_entry(entry) for entry in entries):
        raise BadModel(f"{where}: weights = {entries!r}, expected a list of file and sha256.", _REMEDY)


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0


def _is_acceptance(row: object) -> bool:
    return (
        isinstance(row, dict)
        and _is_positive(row.get("max_error_rate"))
        and _is_positive(row.get("confidence"))
    )


def _is_weights_entry(entry: object) -> bool:
    """A file beside the manifest: a path elsewhere would let a manifest name any file of the machine."""
    if not isinstance(entry, dict):
        return False
    file, sha256 = entry.get("file"), entry.get("sha256")
    return isinstance(file, str) and Path(file).name == file and isinstance(sha256, str)


def _check_hash(file: Path, expected: str) -> None:
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadModel(f"{file} cannot be read: {error.strerror}.", _REMEDY) from None
    if found != expected:
        raise BadModel(f"{file} has sha256 {found[:12]}…, its manifest says {expected[:12]}….", _REMEDY)
