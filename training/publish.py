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
from processor.prediction.probe import PROBE
from processor.prediction.promotions import PROMOTIONS
from processor.results.publish import write_whole
from processor.settings import LoadedSettings
from training.cards import CARD, card
from training.checkpoints import CHECKPOINTS, STRIP_CHECKPOINTS
from training.licences import LICENCES
from training.probes import make_probe
from training.pruning import SHIPPED
from training.staging import Notice, locked, remove_folder, staged, unheard, writable

WEIGHTS = "weights.safetensors"

MAX_PLOT_BYTES = 2_000_000
MAX_PLOTS = 20
"""A model's folder is copied to every machine that reads: the card holds plots, not albums."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OF_FILES = re.compile(rf"{CURRENT}|{PROMOTIONS}|{SHIPPED}|{re.escape(CARD)}|.*\.npz", re.IGNORECASE)
_PNG = b"\x89PNG\r\n\x1a\n"


def write_run(run: Path, weights: bytes, manifest: Mapping[str, Any]) -> None:
    """Writes a run's weights, probe and manifest, so that the run's folder itself can be loaded.

    Raises BadModel where the network cannot be rebuilt from them, or its weights are not finite.
    """
    probe = make_probe({**manifest, "name": run.name}, weights, run / WEIGHTS)
    write_whole(run / WEIGHTS, weights)
    write_whole(run / PROBE, probe)
    files = {"weights": [entry(WEIGHTS, weights)], "probe": entry(PROBE, probe)}
    write_manifest(run, {**manifest, "name": run.name, **files})


def entry(file: str, content: bytes) -> dict[str, str]:
    """A file as a manifest names it."""
    return {"file": file, "sha256": hashlib.sha256(content).hexdigest()}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    text = json.dumps(dict(manifest), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(folder / MANIFEST, text.encode() + b"\n")


def publish(run: Path, models: Path, name: str, notice: Notice = unheard) -> ModelFolder:
    """Copies the finished run `run` into the archive `models` as `name`, whole or not at all.

    The run is loaded and proves itself first. The folder holds weights, probe, manifest, card and the run's
    plots; its files become read-only. `notice` hears which plots were left out.

    Raises BadCommand where the name is taken or cannot be a folder's, BadModel where the run is damaged.
    """
    refuse_name(models, name)
    # A manifest knows its folder by name: "." and a link have another.
    run = run.resolve()
    _refuse_unfinished(run)
    model = Classifier.load(run).model
    if (run / STRIP_CHECKPOINTS).is_dir():
        notice(f"{run} holds a training of the second reader that is not finished, which is not published.")
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    manifest = {**model.manifest, "name": name, "created_at": created}
    target = models / name
    with locked(models):
        refuse_name(models, name)
        with staged(target) as folder:
            for file in (*model.weights, model.probe):
                write_whole(folder / file.name, file.read_bytes())
            plots = _copy_plots(run, folder, notice)
            write_whole(folder / CARD, card(manifest, plots).encode())
            write_manifest(folder, manifest)
    return archive.verify(target)


def refuse_name(models: Path, name: str) -> None:
    """Raises BadCommand where `name` cannot be a folder's, or is taken in the archive `models`."""
    _check_name(name)
    # Names that differ in case alone are one folder on other systems: an archive must bear being copied.
    if name.lower() in (known.lower() for known in archive.model_names(models)):
        raise BadCommand(f"There is a model {name} in {models} already.", "Published models never change.")


def _check_name(name: str) -> None:
    """Raises BadCommand for what cannot be a folder's name, or is that of a file of the archive."""
    if not _NAME.fullmatch(name):
        raise BadCommand(f"{name!r} cannot be a model's name.", "Use letters, digits, dots and dashes.")
    if _OF_FILES.fullmatch(name):
        raise BadCommand(
            f"{name!r} cannot be a model's name: a file of the archive has it, or may have it.",
            "Choose another.",
        )


def _copy_plots(run: Path, folder: Path, notice: Notice) -> list[str]:
    """Copies the run's PNGs, and returns their names; what is too large or too many is named and left out."""
    copied: list[str] = []
    for file in sorted(run.glob("*.png")):
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_PLOT_BYTES:
            notice(f"{file} is not published: it is no file of at most {MAX_PLOT_BYTES // 1_000_000} MB.")
            continue
        content = file.read_bytes()
        if len(copied) == MAX_PLOTS or not content.startswith(_PNG):
            notice(f"{file} is not published: at most {MAX_PLOTS} PNG images are.")
            continue
        write_whole(folder / file.name, content)
        copied.append(file.name)
    return copied


def own_archive(settings: LoadedSettings) -> Path:
    """The archive that this project may write to; it begins with the models that came with the package.

    The package's own folder is no place for a person's models: an upgrade would lose them. Raises BadCommand.
    """
    own = settings.base / settings.values.paths.models_archive
    shipped = settings.models_archive
    if own.exists() or shipped == own:
        return own
    part = own.with_name(f".{own.name}-{secrets.token_hex(4)}")
    with writable(own):
        try:
            # Leading dots are locks and unfinished work; the record tells of another archive's promotions.
            shutil.copytree(shipped, part, ignore=shutil.ignore_patterns(".*", PROMOTIONS))
            part.rename(own)
        except OSError:
            remove_folder(part)
            # Another command may have made it meanwhile.
            if not own.is_dir():
                raise
    return own


def data_row(source: str, count: int, digest: str, licence: str | None = None) -> dict[str, Any]:
    """One source in a manifest, with the licence under which it was used."""
    return {"source": source, "count": count, "digest": digest, "licence": licence or LICENCES[source]}


def _refuse_unfinished(run: Path) -> None:
    """Raises BadModel where `run` holds a training that was interrupted, or still goes on."""
    if (run / CHECKPOINTS).is_dir() and not (run / MANIFEST).is_file():
        raise BadModel(
            f"{run} holds a training that is not finished: there are checkpoints, and no {MANIFEST} yet.",
            f"Give the `training fit` command again that began it, with --out {run}: it goes on from its "
            "last checkpoint. Publish the run when it has ended.",
        )


def find_run(run: Path) -> ModelFolder:
    """The finished run in the folder `run`, or where that leads. Raises BadModel where there is none yet."""
    run = run.resolve()
    _refuse_unfinished(run)
    if not (run / MANIFEST).is_file():
        raise BadModel(f"{run} holds no finished run.", "Train one with `training fit --out FOLDER`.")
    return archive.verify(run)
