"""Publishing: from the folder of a run to an immutable folder of the archive, and into service."""

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processor.errors import BadCommand, BadModel
from processor.prediction import archive
from processor.prediction.archive import CURRENT, MANIFEST, ModelFolder
from processor.prediction.classifier import Classifier
from processor.results.publish import write_whole
from processor.settings import LoadedSettings

WEIGHTS = "weights.safetensors"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def write_run(run: Path, weights: bytes, manifest: Mapping[str, Any]) -> None:
    """Writes a run's weights and manifest, named and hashed so that the run's folder itself can be loaded."""
    entry = {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()}
    write_whole(run / WEIGHTS, weights)
    write_manifest(run, {**manifest, "name": run.name, "weights": [entry]})


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    text = json.dumps(dict(manifest), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(folder / MANIFEST, text.encode() + b"\n")


def publish(run: Path, models: Path, name: str) -> ModelFolder:
    """Copies the finished run `run` into the archive `models` as `name`, whole or not at all.

    Raises BadCommand where the name is taken or cannot be a folder's, BadModel where the run is damaged.
    """
    target = models / name
    if not _NAME.fullmatch(name) or name.lower() in {"current", CURRENT.lower()}:
        raise BadCommand(f"{name!r} cannot be a model's name.", "Use letters, digits, dots and dashes.")
    if target.exists():
        raise BadCommand(f"There is a model {name} in {models} already.", "Published models never change.")
    model = archive.verify(run)
    staged = models / f".{name}-{secrets.token_hex(4)}"
    staged.mkdir(parents=True)
    try:
        for file in model.weights:
            write_whole(staged / file.name, file.read_bytes())
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        write_manifest(staged, {**model.manifest, "name": name, "created_at": created})
        # A folder takes the place of an empty one only: a model published meanwhile is not overwritten.
        staged.rename(target)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise BadCommand(f"{target} cannot be written: {error.strerror}.", "Check the folder.") from None
    return archive.verify(target)


def own_archive(settings: LoadedSettings) -> Path:
    """The archive that this project may write to; it begins with the models that came with the package.

    The package's own folder is no place for a person's models: an upgrade would lose them. Raises BadCommand.
    """
    own = settings.base / settings.values.paths.models_archive
    shipped = settings.models_archive
    if own.exists() or shipped == own:
        return own
    staged = own.with_name(f".{own.name}-{secrets.token_hex(4)}")
    try:
        shutil.copytree(shipped, staged)
        staged.rename(own)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise BadCommand(f"{own} cannot be written: {error.strerror}.", "Check the folder.") from None
    return own


def promote(models: Path, name: str) -> ModelFolder:
    """Makes the published model `name` the one in use; it is loaded first. Raises BadModel."""
    model = archive.find_model(models, name)
    Classifier.load(model.path)
    write_whole(models / CURRENT, f"{model.name}\n".encode())
    return model


def data_row(source: str, count: int, digest: str) -> dict[str, Any]:
    """One source in a manifest, with the licence under which it was used."""
    return {"source": source, "count": count, "digest": digest, "licence": LICENCES[source]}


_MNIST = "MNIST, CC BY-SA 3.0; writers from QMNIST, BSD"
_CHEQUES = "ORAND-CAR-A (ICFHR 2014), research use; boxes from a public MIT repository"
_OWN = "drawn by this project, MIT"

LICENCES: dict[str, str] = {
    "mnist-train": _MNIST,
    "proposals": _MNIST,
    "pieces": _MNIST,
    "runs": _MNIST,
    "cheque-digits": _CHEQUES,
    "cheque-proposals": _CHEQUES,
    "jc-progjava": "JC-ProgJava, Handwritten Digits Dataset (not in MNIST), CC BY-SA 4.0",
    "omniglot": "Omniglot, MIT",
    "printed-digits": "rendered in DejaVu, STIX, Computer Modern and Hershey fonts",
    "printed-letters": "rendered in DejaVu, STIX, Computer Modern and Hershey fonts",
    "european-forms": _OWN,
    "marks": _OWN,
}


def find_run(run: Path) -> ModelFolder:
    """The finished run in the folder `run`. Raises BadModel where it holds no weights yet."""
    if not (run / MANIFEST).is_file():
        raise BadModel(f"{run} holds no finished run.", "Train one with `training fit --out FOLDER`.")
    return archive.verify(run)
