"""Models made for tests: small true networks, and folders whose files, hashes and values can be anything."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from processor.prediction.networks import build
from processor.prediction.probe import PROBE
from training.publish import WEIGHTS, entry, publish, write_run

PARAMETERS = {"classes": 11, "widths": [8, 16], "hidden": 8, "dropout": 0.3}

ACCEPTANCE = [
    {"max_error_rate": rate, "confidence": level} for rate, level in ((0.01, 0.8), (0.001, 0.95), (0.1, 0.3))
]

Tensors = dict[str, torch.Tensor]


def some_tensors(seed: int = 5) -> Tensors:
    """The weights of an untrained network of `PARAMETERS`."""
    torch.manual_seed(seed)
    return build("strided-residual", PARAMETERS).state_dict()


def some_manifest(**changes: Any) -> dict[str, Any]:
    """A manifest without files: `write_run` adds weights, probe and name."""
    return {
        "created_at": "2026-11-22T12:00:00Z",
        "architecture": "strided-residual",
        "parameters": PARAMETERS,
        "input": {"shape": [1, 28, 28], "polarity": "ink is high", "range": [0, 1]},
        "classes": [*"0123456789", "none"],
        "temperature": 1.5,
        "thresholds": {"acceptance": ACCEPTANCE},
        "metrics": {},
        "data": [],
        "recipe": {},
        "parent": None,
        "versions": {},
        **changes,
    }


def add_run(folder: Path, tensors: Tensors | None = None, **changes: Any) -> Path:
    """A finished run in the new folder `folder`."""
    folder.mkdir(parents=True)
    write_run(folder, safetensors.torch.save(tensors or some_tensors()), some_manifest(**changes))
    return folder


def add_published(models: Path, name: str, *, seed: int = 5, **changes: Any) -> Path:
    """A model published in `models`, of a run that is gone afterwards."""
    run = add_run(models.parent / f"run-of-{name}", some_tensors(seed), **changes)
    try:
        return publish(run, models, name).path
    finally:
        shutil.rmtree(run)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Changes a manifest in place; of a published model too, whose files are read-only."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    return overwrite(file, json.dumps(manifest).encode())


def overwrite(file: Path, content: bytes) -> Path:
    """Puts `content` in the place of a file that may be read-only."""
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    return file


def replace_weights(folder: Path, content: bytes) -> None:
    """Other weights under the right hash, beside the probe of those before."""
    overwrite(folder / WEIGHTS, content)
    edit_manifest(folder, lambda manifest: manifest.update(weights=[entry(WEIGHTS, content)]))


def replace_probe(folder: Path, content: bytes) -> None:
    """Another probe under the right hash."""
    overwrite(folder / PROBE, content)
    edit_manifest(folder, lambda manifest: manifest.update(probe=entry(PROBE, content)))
