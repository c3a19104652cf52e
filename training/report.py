"""The report of a run: what it was made from, how it went and what came out, as JSON and as pictures."""

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from processor import __version__
from processor.prediction import glyphs
from processor.prediction.classifier import Classifier
from processor.results.publish import write_whole
from training import clusters, evaluate, plots
from training.course import Trained
from training.inks import Inks, Labels
from training.sources import Corpus

REPORT = "report.json"
CURVES, CONFUSION, MISTAKES = PICTURES = ("learning-curves.png", "confusion.png", "worst-mistakes.png")


def write_report(
    run: Path,
    classifier: Classifier,
    trained: Trained,
    corpus: Corpus,
    *,
    data: Path,
    circumstances: Mapping[str, Any],
) -> None:
    """Writes `report.json` and three pictures into `run`.

    Confusion and mistakes are those on the validation part of `corpus`, the samples as they are.
    `circumstances` are added as they stand: device, seconds, memory.
    """
    manifest = classifier.model.manifest
    images = glyphs.batch([image for inks in corpus.validation for image in inks.images])
    labels = np.concatenate([inks.labels for inks in corpus.validation])
    probabilities = classifier.probabilities(images)
    counts = confusion_counts(labels, probabilities.argmax(axis=1), len(classifier.classes))
    rows = evaluate.side_by_side(classifier, corpus, data)
    report = {
        "name": manifest["name"],
        "recipe": manifest["recipe"],
        "parent": manifest["parent"],
        "data": data_rows(corpus),
        "epochs": [epoch.row() for epoch in trained.epochs],
        "early_stop": {
            "patience": manifest["recipe"]["schedule"]["patience"],
            "stopped_early": trained.stopped_early,
            "kept_epoch": trained.best_epoch,
        },
        "in_source": [row for row in rows if row["relation"] == "in-source"],
        "cross_source": [row for row in rows if row["relation"] == "cross-source"],
        "confusion": {"classes": list(classifier.classes), "counts": counts.tolist()},
        "temperature": manifest["temperature"],
        "thresholds": manifest["thresholds"],
        "metrics": manifest["metrics"],
        "resumed": trained.resumed,
        "threads": trained.threads,
        "versions": versions(),
        **circumstances,
    }
    write_whole(run / CURVES, plots.learning_curves(trained.epochs, trained.best_epoch))
    write_whole(run / CONFUSION, plots.confusion(counts, classifier.classes))
    write_whole(run / MISTAKES, plots.worst_mistakes(images, labels, probabilities, classifier.classes))
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(run / REPORT, text.encode() + b"\n")


def data_rows(corpus: Corpus) -> list[dict[str, Any]]:
    """Each source: what of it was trained on, what was kept out, how many could not be read."""
    trained = [
        {**_row(pool.inks, "trained on"), "skipped": len(pool.skipped), "licence": pool.licence}
        for pool in corpus.pools
    ]
    return trained + [_row(inks, "kept out") for inks in corpus.validation]


def _row(inks: Inks, part: str) -> dict[str, Any]:
    """`groups` are the writers, strips or clusters that a split never parts, for each digit."""
    return {
        "source": inks.source,
        "part": part,
        "count": len(inks),
        "digest": inks.digest(),
        "groups": len(np.unique(inks.groups)),
        "groups_per_digit": clusters.describe(inks.groups, inks.labels),
    }


def confusion_counts(labels: Labels, read: Labels, classes: int) -> Labels:
    """(classes, classes): how many of the true class of a row were read as the class of a column."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, read), 1)
    return counts


def versions() -> dict[str, str]:
    """This program, and what it computes with."""
    names = ("torch", "torchvision", "numpy", "opencv-python-headless", "safetensors")
    found = {name: metadata.version(name) for name in names}
    return {"digit-inbox": __version__, "python": platform.python_version(), **found}
