"""Models for tests: the shipped one under other names, whole, changed or damaged in one way."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from processor.prediction.archive import CURRENT, MANIFEST
from processor.results.publish import write_whole
from processor.settings import shipped_archive

SURE = 0.999999
"""A confidence that hardly a digit reaches: with such a threshold a model accepts nothing."""


def shipped_model() -> Path:
    archive = shipped_archive()
    assert archive is not None
    return archive / (archive / CURRENT).read_text().strip()


def copy_model(archive: Path, name: str, **changes: Any) -> Path:
    """The shipped model as `name` in `archive`, with `changes` to its manifest."""
    shipped, folder = shipped_model(), archive / name
    folder.mkdir(parents=True)
    manifest = json.loads((shipped / MANIFEST).read_text())
    for file in (*(entry["file"] for entry in manifest["weights"]), manifest["probe"]["file"]):
        shutil.copyfile(shipped / file, folder / file)
    (folder / MANIFEST).write_text(json.dumps({**manifest, "name": name, **changes}))
    return folder


def accepting_from(confidence: float) -> dict[str, Any]:
    """The change by which a model accepts digits from `confidence` on, at any error rate."""
    return {"thresholds": {"acceptance": [{"max_error_rate": 0.01, "confidence": confidence}]}}


def name_current(archive: Path, name: str) -> None:
    """What a promotion does in the end: CURRENT is replaced in one step."""
    write_whole(archive / CURRENT, f"{name}\n".encode())


def weights_of(folder: Path) -> Path:
    return folder / str(json.loads((folder / MANIFEST).read_text())["weights"][0]["file"])


def damage(folder: Path) -> None:
    """Weights that are not those whose hash the manifest holds."""
    file = weights_of(folder)
    file.write_bytes(file.read_bytes()[:-8] + b"damaged!")


def fill_with_nan(folder: Path) -> None:
    """A model whose hashes all agree, and which only loading finds out."""
    file = weights_of(folder)
    tensors = safetensors.numpy.load_file(file)
    for tensor in tensors.values():
        if np.issubdtype(tensor.dtype, np.floating):
            tensor.fill(np.nan)
    file.write_bytes(safetensors.numpy.save(tensors))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["weights"][0]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))
