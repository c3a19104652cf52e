"""The second reader of a run: trained, measured, and put beside the weights of the run's network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from processor.commands.console import Words
from processor.errors import BadCommand
from processor.prediction import strip_reader
from processor.prediction.archive import ModelFolder
from processor.prediction.manifests import read_hashed
from processor.prediction.strip_networks import StripNetwork
from processor.prediction.strip_reader import STRIPS, StripReader
from processor.results.publish import write_whole
from training import datasets
from training.alignment import known_pages
from training.progress import progress
from training.publish import entry, find_run, write_manifest
from training.recipe import load_recipe
from training.sources.builtin import Shelf
from training.strip_corpus import StripCorpus, shipped_corpus, with_own
from training.strip_fit import StripPlan, train_reader, whole_right
from training.strip_sources import known_strips

MEASURED = "cheque-strips-held-out"
"""Where the figures of the strips that nothing is trained on stand in a manifest."""

REFRESH_STEPS = 300
REFRESH_RATE = 1e-3
"""A refresh is short and gentle: the reader can read already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripOrder:
    """What to train: the run to put the reader into, the data, and for a refresh a model to `start` from and
    strips of one's own, `own/` with their numbers in `table`."""

    run: Path
    data: Path
    plan: StripPlan
    workers: int = 1
    start: Path | None = None
    own: Path | None = None
    table: Path | None = None


def train_strips(order: StripOrder, words: Words) -> ModelFolder:
    """Trains a second reader and puts it into the finished run. Raises BadCommand, BadModel."""
    model = find_run(order.run)
    start = None if order.start is None else _network(order.start)
    words.say("Gathering strips …")
    corpus = _corpus(order, words)
    real = sum(len(strips) for strips, _ in corpus.known)
    words.say(f"Training on drawn numbers and {real} real strips; {len(corpus.validation)} are kept out.")
    torch.set_num_threads(1)
    with progress(words) as bar:
        task = bar.add_task("", total=order.plan.steps)

        def step(number: int, loss: float, _network: StripNetwork) -> bool:
            bar.update(task, completed=number, description=f"loss {loss:.3f}")
            return True

        content = train_reader(corpus, order.plan, start=start, workers=order.workers, onlooker=step)
    figures = measure(StripReader.from_bytes(content, order.run / STRIPS), order.data)
    return put(model, content, figures)


def put(model: ModelFolder, content: bytes, figures: dict[str, Any]) -> ModelFolder:
    """Writes the reader `content` beside the weights of the run `model`, with `figures` into its manifest."""
    write_whole(model.path / STRIPS, content)
    others = [row for row in model.manifest["weights"] if row["file"] != STRIPS]
    metrics = {**model.manifest["metrics"], **figures}
    write_manifest(
        model.path,
        {**model.manifest, "weights": [*others, entry(STRIPS, content)], "metrics": metrics},
    )
    return find_run(model.path)


def inherit(start: Path, model: ModelFolder) -> ModelFolder:
    """Gives the run `model` the second reader of the model in `start`, where it began, if that has one."""
    content = _content(start)
    return model if content is None else put(model, content, {})


def measure(reader: StripReader, data: Path) -> dict[str, Any]:
    """The share of the strips kept out of every training that are read without a fault, where they are."""
    folder = data / "orand-car-a"
    if not folder.is_dir():
        return {}
    held = datasets.held_out_strips(folder)
    pages = known_pages(folder, folder / "truth.csv")
    known = known_strips(page for page in pages if page[0] in held)
    return {MEASURED: {"count": len(known), "right": round(whole_right(reader, known), 5)}}


def _corpus(order: StripOrder, words: Words) -> StripCorpus:
    shelf = Shelf(order.data, load_recipe("default"))
    rng = np.random.default_rng((order.plan.seed, 1))
    strips = shelf.strips if (order.data / "orand-car-a").is_dir() else ([], [])
    corpus = shipped_corpus(order.data, shelf.mnist[0], strips, rng, words.say)
    if order.own is None:
        return corpus
    table = order.table or order.own / "truth.csv"
    return with_own(corpus, order.own, table, notice=words.say)


def _network(folder: Path) -> StripNetwork:
    content = _content(folder)
    if content is None:
        raise BadCommand(
            f"{folder} has no second reader to start from.", "Leave --start out, or name another model."
        )
    return strip_reader.network_of(content, folder / STRIPS)


def _content(folder: Path) -> bytes | None:
    model = find_run(folder)
    hashes = {row["file"]: row["sha256"] for row in model.manifest["weights"]}
    return read_hashed(model.path / STRIPS, hashes[STRIPS]) if STRIPS in hashes else None


def shorter(plan: StripPlan, steps: int | None, seed: int | None, refresh: bool) -> StripPlan:
    """`plan` with what was asked for; a refresh takes few steps, and small ones."""
    if refresh:
        plan = replace(plan, steps=REFRESH_STEPS, learning_rate=REFRESH_RATE)
    return replace(plan, steps=steps or plan.steps, seed=plan.seed if seed is None else seed)
