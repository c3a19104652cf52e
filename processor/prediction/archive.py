"""The model archive: folders of weights and manifest, found and verified without loading a network."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from processor.errors import BadModel
from processor.prediction.manifests import (
    MANIFEST,
    REMEDY,
    REQUIRED_KEYS,
    check_hash,
    read_limited,
    read_manifest,
)

__all__ = [
    "CURRENT",
    "MANIFEST",
    "REQUIRED_KEYS",
    "Acceptance",
    "ModelFolder",
    "current_name",
    "find_model",
    "list_models",
    "model_names",
    "verify",
]

CURRENT = "CURRENT"
"""The file that names the model in use."""

_MAX_CURRENT_BYTES = 4096
_NOT_TRAINED = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Above this confidence the accepted digits of the validation set held this error rate."""

    max_error_rate: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A verified model: `manifest` as published, `weights` and `probe` files whose hashes were compared."""

    path: Path
    manifest: Mapping[str, Any]
    weights: tuple[Path, ...]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def probe(self) -> Path:
        """Glyphs and the scores that the network gave them when it was written."""
        return self.path / str(self.manifest["probe"]["file"])

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

    def weights_count(self) -> int:
        """How many numbers were trained, from the heads of the weights files; running statistics are not."""
        shapes = (_shapes(file).items() for file in self.weights)
        return sum(
            math.prod(shape) for found in shapes for name, shape in found if not name.endswith(_NOT_TRAINED)
        )

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
    if name not in model_names(archive):
        known = ", ".join(model_names(archive)) or "none"
        raise BadModel(
            f"There is no model {name!r} in {archive}.",
            f"It holds: {known}. Set [recognition] model, or promote one with `training promote NAME`.",
        )
    return verify(folder)


def current_name(archive: Path) -> str:
    """The name in CURRENT; raises BadModel where there is none."""
    file = archive / CURRENT
    try:
        name = read_limited(file, _MAX_CURRENT_BYTES).decode().strip()
    except BadModel as error:
        raise BadModel(
            error.message,
            "Name the folder in [paths] models_archive, or promote a model with `training promote NAME`.",
        ) from None
    except UnicodeDecodeError:
        raise BadModel(f"{file} is no text.", "Promote a model with `training promote NAME`.") from None
    if not name:
        raise BadModel(f"{file} is empty.", "Promote a model with `training promote NAME`.")
    return name


def verify(folder: Path) -> ModelFolder:
    """Reads the manifest and compares the weights and the probe with its hashes.

    Raises BadModel with the file and the key or hash that is wrong.
    """
    manifest = read_manifest(folder / MANIFEST)
    for entry in (*manifest["weights"], manifest["probe"]):
        check_hash(folder / entry["file"], entry["sha256"])
        _shapes(folder / entry["file"])
    return ModelFolder(folder, manifest, tuple(folder / entry["file"] for entry in manifest["weights"]))


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The tensors' shapes by name, from the head of a safetensors file. Raises BadModel where it is none."""
    try:
        with safe_open(file, framework="numpy") as tensors:
            names = tensors.keys()
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{file} is no safetensors file: {error}.", REMEDY) from None


def list_models(archive: Path) -> list[ModelFolder | BadModel]:
    """Every model of the archive by name; a damaged one is listed as the error that says what is wrong."""
    models: list[ModelFolder | BadModel] = []
    for name in model_names(archive):
        try:
            models.append(verify(archive / name))
        except BadModel as error:
            models.append(error)
    return models


def model_names(archive: Path) -> list[str]:
    """The names of all models of the archive, whole or damaged; a leading dot marks unfinished work."""
    try:
        return sorted(f.name for f in archive.iterdir() if f.is_dir() and not f.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadModel(f"{archive} cannot be read: {error.strerror}.", "Check its permissions.") from None
