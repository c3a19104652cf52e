"""A training run from recipe to a loadable folder: gather, train, calibrate, measure, report."""

import json
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import nn

from processor import __version__
from processor.commands.console import Words
from processor.commands.progression import progress_bar
from processor.errors import BadCommand
from processor.prediction.archive import MANIFEST, ModelFolder
from processor.prediction.classifier import Classifier, softmax
from processor.prediction.manifests import input_of, planes_of
from processor.prediction.probe import PROBE
from processor.prediction.strip_reader import StripReader
from processor.records import Glyphs, StagedFile
from processor.results import publish as outputs
from processor.results.publish import write_whole
from processor.settings import LoadedSettings
from training import calibrate, evaluate, fit
from training.checkpoints import CHECKPOINTS, Checkpoints, held, stopped_at_once
from training.course import Epoch, Trained, train
from training.inks import NONE
from training.interruption import Stop, signals
from training.kept import kept_digits
from training.memory import Peak
from training.places import placed, portable
from training.publish import WEIGHTS, data_row, find_run, write_manifest, write_run
from training.recipe import Recipe, Schedule, recorded_recipe
from training.report import PICTURES, REPORT, write_report
from training.sources import Corpus, gather
from training.starting import CLASSES, Start, begin_from, find_device
from training.stock import Stock
from training.strip_run import inherit, measure, recalibrate_strips, second_reader

HISTORY = "history.json"
UNFINISHED = ".unfinished"
SAMPLES = ".samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One `training fit`: what to train on which data, and where the result goes.

    `samples` is the most of each digit (-1: all), `start` the folder of the model to begin with, `settings`
    those of the project whose corrections or model a source asks for. With `restart`, checkpoints that are
    there are thrown away.
    """

    recipe: Recipe
    data: Path
    run: Path
    samples: int = -1
    workers: int = 1
    device: str = "auto"
    start: Path | None = None
    settings: LoadedSettings | None = None
    restart: bool = False


def fit_run(order: Order, words: Words) -> ModelFolder:
    """Trains, and writes the finished run into its folder; goes on where one like it was interrupted there.

    Raises BadCommand where the folder holds anything else or data are missing, Interrupted where a person
    stops it.
    """
    run = order.run.absolute()
    recipe, start = order.recipe, None
    if order.start is not None:
        recipe, start = begin_from(recipe, order.start)
    device = find_device(order.device)
    refuse_used(run)
    with signals() as stop, held(run / CHECKPOINTS), _without_samples(run):
        try:
            if order.restart:
                Checkpoints(run / CHECKPOINTS, {}).remove()
            corpus = _gather(order, recipe, words)
            checkpoints = Checkpoints(run / CHECKPOINTS, _origin(recipe, corpus, order.samples, start))
            words.say(_beginning(corpus, device))
            peak = Peak()
            with progress_bar(words, transient=False) as bar, stop.patiently():
                trained = train(
                    recipe,
                    corpus,
                    _Console(words, bar, recipe.schedule, stop, peak),
                    workers=order.workers,
                    device=device,
                    start=None if start is None else start.weights,
                    checkpoints=checkpoints,
                )
            base = None if order.settings is None else order.settings.base
            manifest = _manifest(recipe, corpus, order.samples, start, base)
            model = _finish(run, trained, corpus, manifest, order, device, peak, words)
            checkpoints.remove()
            return model
        except KeyboardInterrupt:
            raise stopped_at_once(run / CHECKPOINTS) from None


def refuse_used(run: Path) -> None:
    """Raises BadCommand where `run` holds more than what an interrupted training left."""
    if not run.exists():
        return
    if not run.is_dir():
        raise BadCommand(f"{run} is not a folder.", "Name another with --out.")
    names = {file.name for file in run.iterdir() if not file.name.startswith(".")}
    if MANIFEST in names:
        raise BadCommand(f"{run} holds a finished run.", "Name another folder with --out.")
    # A run that was killed while it was written has everything but its manifest.
    if names - {CHECKPOINTS, HISTORY, WEIGHTS, PROBE, REPORT, *PICTURES}:
        raise BadCommand(f"{run} is not empty.", "Name another folder with --out.")


@contextmanager
def _without_samples(run: Path) -> Iterator[None]:
    """Removes what the processes of a training shared."""
    try:
        yield
    finally:
        # Windows keeps a file as long as it is mapped; the next training here writes over it.
        with suppress(PermissionError):
            (run / SAMPLES).unlink(missing_ok=True)


def _gather(order: Order, recipe: Recipe, words: Words) -> Corpus:
    words.say(f"Gathering {len(recipe.source)} sources from {order.data} …")
    stock = Stock(order.run / SAMPLES)
    corpus = gather(
        recipe, order.data, order.samples, settings=order.settings, notice=words.say, moved=stock.take
    )
    for remark in corpus.remarks():
        words.say(remark)
    corpus.require_validation()
    return corpus


def _beginning(corpus: Corpus, device: torch.device) -> str:
    count = sum(len(pool.inks) for pool in corpus.pools)
    where = "" if device.type == "cpu" else f", on {torch.cuda.get_device_name(device)}"
    return f"Training on {count} samples of {len(corpus.pools)} sources{where}."


def _origin(recipe: Recipe, corpus: Corpus, samples: int, start: Start | None) -> dict[str, Any]:
    """All that decides the result: a checkpoint made from anything else is of another training."""
    return {
        **recipe.model_dump(mode="json", exclude={"name"}),
        "samples": samples,
        "data": {p.inks.source: f"{len(p.inks)} samples, digest {p.inks.digest()}" for p in corpus.pools},
        "validation": {i.source: f"{len(i)} samples, digest {i.digest()}" for i in corpus.validation},
        "started_from": None if start is None else f"{start.name}, sha256 {start.sha256[:12]}",
        "versions": {"digit-inbox": __version__, "torch": str(torch.__version__)},
    }


class _Console:
    """Shows a training to a person, and hands on what that person asks for."""

    def __init__(self, words: Words, bar: Progress, plan: Schedule, stop: Stop, peak: Peak) -> None:
        self._words, self._bar, self._stop, self._peak = words, bar, stop, peak
        self._epochs = plan.epochs
        self._task = bar.add_task("training", total=plan.epochs * plan.batches_per_epoch)

    def begins(self, done: int, epochs: Sequence[Epoch]) -> None:
        self._bar.update(self._task, completed=done)
        if done:
            self._words.say(f"Going on after {done} batches; {len(epochs)} epochs are done:")
        for epoch in epochs:
            self._say(epoch)

    def steps(self) -> None:
        self._bar.advance(self._task)

    def ends(self, epoch: Epoch) -> None:
        self._peak.look()
        self._say(epoch)

    def _say(self, epoch: Epoch) -> None:
        self._words.say(
            f"epoch {epoch.epoch}/{self._epochs}  loss {epoch.loss:.4f}  train {epoch.train_accuracy:.2%}  "
            f"validation {epoch.validation_accuracy:.2%}  {epoch.seconds:.0f} s"
        )

    def warn(self, text: str) -> None:
        self._words.warn(text)

    def stops(self) -> bool:
        return self._stop.asked


def _finish(
    run: Path,
    trained: Trained,
    corpus: Corpus,
    manifest: Mapping[str, Any],
    order: Order,
    device: torch.device,
    peak: Peak,
    words: Words,
) -> ModelFolder:
    """Calibrates, measures and reports in a folder aside; the run is finished once its manifest is there."""
    started = time.monotonic()
    if trained.stopped_early:
        words.say(f"Stopped early: the weights are those of epoch {trained.best_epoch}.")
    aside = run / UNFINISHED / run.name
    shutil.rmtree(aside.parent, ignore_errors=True)
    write_run(aside, _weights(trained.network), manifest)
    calibrate_run(aside, corpus, order.recipe.schedule.seed, words)
    if order.start is not None:
        inherit(order.start, find_run(aside))
    measure_run(find_run(aside), order.data, words)
    history = [epoch.row() for epoch in trained.epochs]
    write_whole(run / HISTORY, json.dumps(history, indent=2).encode() + b"\n")
    seconds = {"training": sum(epoch.seconds for epoch in trained.epochs)}
    circumstances = {
        "device": device.type,
        "workers": order.workers,
        "peak_memory_mb": peak.mb,
        "seconds": {**seconds, "measuring": time.monotonic() - started},
    }
    classifier = Classifier.load(aside)
    write_report(run, classifier, trained, corpus, data=order.data, circumstances=circumstances)
    for file in sorted(aside.iterdir(), key=lambda file: file.name == MANIFEST):
        outputs.publish(StagedFile(staged=file, target=run / file.name))
    shutil.rmtree(aside.parent)
    return find_run(run)


def calibrate_run(run: Path, corpus: Corpus, seed: int, words: Words) -> ModelFolder:
    """Writes temperature and thresholds, measured on what `corpus` keeps out, into the run's manifest.

    The temperature is that of digits as they come, so that a confidence is true of an ordinary page; the
    thresholds are those of worse ones as well, which `seed` draws, so that they hold on a bad page.
    """
    model, classifier = find_run(run), Classifier.load(run)
    digits = kept_digits(corpus.validation, corpus.shares)
    words.say(f"Calibrating on {digits.parts()} …")
    images, labels = digits.as_they_come()
    temperature = round(calibrate.fit_temperature(classifier.logits(images), labels, digits.weights), 4)

    def scored(images: Glyphs) -> NDArray[np.float32]:
        return softmax(classifier.logits(images) / np.float32(temperature))

    images, labels = fit.validation_glyphs(corpus.validation, seed)
    figures = evaluate.mixed_figures(scored(images), labels)
    others = labels == NONE
    worn, truth = fit.validation_glyphs(digits.inks, seed)
    rows = calibrate.acceptances(
        scored(np.concatenate([worn, images[others]])),
        np.concatenate([truth, labels[others]]),
        weights=np.concatenate([np.tile(digits.weights, 2), np.ones(int(others.sum()))]),
    )
    metrics = {**model.manifest["metrics"], "validation": figures}
    values = {"temperature": temperature, "thresholds": {"acceptance": rows}, "metrics": metrics}
    write_manifest(run, {**model.manifest, **values})
    return find_run(run)


def recalibrate(
    run: Path,
    data: Path,
    words: Words,
    settings: LoadedSettings | None = None,
    *,
    own: Path | None = None,
    table: Path | None = None,
) -> ModelFolder:
    """Calibrates a finished run again, on the validation part of the sources its manifest names.

    Its second reader, where it has one, is calibrated on strips that it was not trained on: one's `own`, with
    their numbers in `table`, or the cheque strips that every training keeps out. What the manifest says of
    test sets rests on temperatures and thresholds, so it is measured again, too.
    """
    recorded, samples = recorded_recipe(find_run(run).manifest["recipe"], str(run / MANIFEST))
    recipe = placed(recorded, Path.cwd() if settings is None else settings.base, str(run / MANIFEST))
    words.say(f"Gathering {len(recipe.source)} sources from {data} …")
    corpus = gather(recipe, data, samples, settings=settings, notice=words.say)
    model = calibrate_run(run, corpus, recipe.schedule.seed, words)
    return measure_run(recalibrate_strips(model, data, words, own, table), data, words)


def measure_run(model: ModelFolder, data: Path, words: Words) -> ModelFolder:
    """Writes the figures on all test sets below `data`, of both readers, into the run's manifest."""
    words.say("Measuring …")
    figures = evaluate.measure(Classifier.load(model.path), data)
    if second_reader(model.path) is not None:
        figures |= measure(StripReader.load(model.path), data)
    metrics = {**model.manifest["metrics"], **figures}
    write_manifest(model.path, {**model.manifest, "metrics": metrics})
    return find_run(model.path)


def _manifest(
    recipe: Recipe, corpus: Corpus, samples: int, start: Start | None, base: Path | None
) -> Mapping[str, Any]:
    """A manifest before calibration: temperature 1, and a threshold that accepts nothing.

    Paths of sources are told relative to `base`, the folder of the settings.
    """
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "architecture": recipe.network.architecture,
        "parameters": recipe.network.parameters,
        "input": input_of(planes_of(recipe.network.parameters)),
        "classes": list(CLASSES),
        "temperature": 1.0,
        "thresholds": {"acceptance": [{"max_error_rate": 0.01, "confidence": 1.0}]},
        "metrics": {},
        "data": [
            *(data_row(p.inks.source, len(p.inks), p.inks.digest(), p.licence) for p in corpus.pools),
            *([] if start is None else start.inherited()),
        ],
        "recipe": {**portable(recipe, base), "samples": samples},
        "parent": None if start is None else start.name,
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
