"""A training run from recipe to a loadable folder: gather, train, calibrate, measure, write."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from processor import __version__
from processor.commands.console import Words
from processor.errors import BadCommand
from processor.prediction import glyphs
from processor.prediction.archive import ModelFolder
from processor.prediction.classifier import Classifier, softmax
from processor.records import Glyphs
from processor.results.publish import write_whole
from processor.settings import LoadedSettings
from training import calibrate, evaluate, fit
from training.inks import NONE, Labels
from training.publish import data_row, find_run, write_manifest, write_run
from training.recipe import Recipe
from training.sources import Corpus, gather

CLASSES = (*"0123456789", "none")


def fit_run(
    recipe: Recipe,
    data: Path,
    run: Path,
    *,
    samples: int,
    workers: int,
    words: Words,
    settings: LoadedSettings | None = None,
) -> ModelFolder:
    """Trains `recipe` on the folder `data` and writes the finished run into the new folder `run`.

    Raises BadCommand where `run` is not empty or data are missing.
    """
    if run.exists() and any(run.iterdir()):
        raise BadCommand(f"{run} is not empty.", "Name another folder with --out.")
    words.say(f"Gathering {len(recipe.source)} sources from {data} …")
    corpus = gather(recipe, data, samples, settings=settings)
    for remark in corpus.remarks():
        words.say(remark)
    corpus.require_validation()
    words.say(
        f"Training on {sum(len(pool.inks) for pool in corpus.pools)} samples of {len(corpus.pools)} sources."
    )
    history: list[fit.Epoch] = []
    with _progress(words) as progress:
        task = progress.add_task("training", total=recipe.schedule.epochs * recipe.schedule.batches_per_epoch)

        def tell(epoch: fit.Epoch) -> None:
            history.append(epoch)
            words.say(_epoch_line(epoch, recipe.schedule.epochs))

        network = fit.train(recipe, corpus, workers=workers, tell=tell, step=lambda: progress.advance(task))
    write_run(run, _weights(network), _manifest(recipe, corpus, samples))
    rows = [epoch.row() for epoch in history]
    write_whole(run / "history.json", json.dumps(rows, indent=2).encode() + b"\n")
    model = calibrate_run(run, *fit.validation_glyphs(corpus.validation, recipe.schedule.seed))
    return measure_run(model, data, words)


def calibrate_run(run: Path, images: Glyphs, labels: Labels) -> ModelFolder:
    """Writes temperature and thresholds measured on `images` (N, 1, 28, 28) into the run's manifest."""
    model = find_run(run)
    logits = Classifier.load(run).logits(images)
    temperature = round(calibrate.fit_temperature(logits, labels), 4)
    probabilities = softmax(logits / np.float32(temperature))
    thresholds = {"acceptance": calibrate.acceptances(probabilities[labels != NONE], labels[labels != NONE])}
    metrics = {**model.manifest["metrics"], "validation": evaluate.mixed_figures(probabilities, labels)}
    write_manifest(
        run, {**model.manifest, "temperature": temperature, "thresholds": thresholds, "metrics": metrics}
    )
    return find_run(run)


def recalibrate(run: Path, data: Path, words: Words, settings: LoadedSettings | None = None) -> ModelFolder:
    """Calibrates a finished run again, on the validation part of the sources its manifest names."""
    values = dict(find_run(run).manifest["recipe"])
    samples = int(values.pop("samples", -1))
    recipe = Recipe.model_validate(values)
    words.say(f"Gathering {len(recipe.source)} sources from {data} …")
    corpus = gather(recipe, data, samples, settings=settings)
    return calibrate_run(run, *fit.validation_glyphs(corpus.validation, recipe.schedule.seed))


def measure_run(model: ModelFolder, data: Path, words: Words) -> ModelFolder:
    """Writes the figures on all test sets below `data` into the run's manifest."""
    words.say("Measuring …")
    figures = evaluate.measure(Classifier.load(model.path), data)
    metrics = {**model.manifest["metrics"], **figures}
    write_manifest(model.path, {**model.manifest, "metrics": metrics})
    return find_run(model.path)


def _manifest(recipe: Recipe, corpus: Corpus, samples: int) -> Mapping[str, Any]:
    """A manifest before calibration: temperature 1, and a threshold that accepts nothing."""
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "architecture": recipe.network.architecture,
        "parameters": recipe.network.parameters,
        "input": {"shape": [1, glyphs.SIZE, glyphs.SIZE], "polarity": "ink is high", "range": [0, 1]},
        "classes": list(CLASSES),
        "temperature": 1.0,
        "thresholds": {"acceptance": [{"max_error_rate": 0.01, "confidence": 1.0}]},
        "metrics": {},
        "data": [data_row(p.inks.source, len(p.inks), p.inks.digest(), p.licence) for p in corpus.pools],
        "recipe": {**recipe.model_dump(mode="json"), "samples": samples},
        "parent": None,
        "versions": {
            "digit-inbox": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
    }


def _weights(network: nn.Module) -> bytes:
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(tensors)


def _epoch_line(epoch: fit.Epoch, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  train {epoch.train_accuracy:.2%}  "
        f"validation {epoch.validation_accuracy:.2%}  {epoch.seconds:.0f} s"
    )


def _progress(words: Words) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=words.console,
        disable=not words.shows_progress,
    )
