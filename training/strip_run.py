"""The second reader of a run: trained, calibrated, measured, and put beside the run's network."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from processor import __version__
from processor.commands.console import Words
from processor.commands.progression import progress_bar
from processor.errors import BadCommand
from processor.prediction import strip_reader
from processor.prediction.archive import ModelFolder
from processor.prediction.manifests import read_hashed
from processor.prediction.strip_reader import STRIPS, StripReader
from processor.results.publish import write_whole
from training import plots
from training.alignment import ignore
from training.checkpoints import STRIP_CHECKPOINTS, Checkpoints, held, stopped_at_once
from training.interruption import Stop, signals
from training.judgement import Figures, Numbers, number_figures
from training.publish import entry, find_run, write_manifest
from training.recipe import load_recipe
from training.sources.builtin import Shelf
from training.sources.measured import contents_held_out
from training.strip_corpus import StripCorpus, kept_cheques, own_strips, shipped_corpus, with_own
from training.strip_course import Interval, TrainedStrips, fit_strips
from training.strip_fit import StripPlan, temperature
from training.strip_sets import (
    MEASURED,
    SECOND_READER,
    Notice,
    held_out_set,
    learned_by,
    own_set,
    read_set,
    table_of,
    untrained,
)
from training.strip_sources import KnownStrip, digest_of

STRIP_HISTORY = "strips-history.json"
STRIP_CURVES = "strips-learning-curves.png"

REFRESH_STEPS = 300
REFRESH_RATE = 1e-3
REFRESH_AVERAGING = 0.995
"""A refresh is short and gentle, and averages over fewer steps: the reader can read already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripOrder:
    """What to train: the run to put the reader into, the data, and for a refresh a model to `start` from and
    strips of one's own, `own/` with their numbers in `table`. With `restart`, checkpoints that are there are
    thrown away."""

    run: Path
    data: Path
    plan: StripPlan
    workers: int = 1
    start: Path | None = None
    own: Path | None = None
    table: Path | None = None
    restart: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SecondReader:
    """The second reader of a verified model: its file's `content`, and what the `account` tells of it."""

    model: str
    content: bytes
    account: Mapping[str, Any]

    def inherited(self) -> list[dict[str, Any]]:
        """The rows of what it was trained on for a manifest of what comes of it, each saying through whom."""
        rows = self.account.get("data")
        told = rows if isinstance(rows, list) else []
        return [{"through": self.model, **row} for row in told if isinstance(row, dict)]


def train_strips(order: StripOrder, words: Words) -> ModelFolder:
    """Trains a second reader and puts it into the finished run; goes on where one like it was interrupted.

    Raises BadCommand, BadModel; Interrupted where a person stops it.
    """
    model = find_run(order.run)
    start = None if order.start is None else _required(order.start)
    folder = model.path / STRIP_CHECKPOINTS
    with signals() as stop, held(folder):
        try:
            if order.restart:
                Checkpoints(folder, {}).remove()
            words.say("Gathering strips …")
            corpus = _corpus(order, words)
            checkpoints = Checkpoints(folder, _origin(order.plan, corpus, start))
            words.say(_beginning(corpus))
            with progress_bar(words, transient=False) as bar, stop.patiently():
                trained = fit_strips(
                    corpus,
                    order.plan,
                    _Console(words, bar, order.plan, stop),
                    start=None if start is None else strip_reader.network_of(start.content, order.run),
                    workers=order.workers,
                    checkpoints=checkpoints,
                )
            model = _finish(model, trained, corpus, order, start, words)
            checkpoints.remove()
            return model
        except KeyboardInterrupt:
            raise stopped_at_once(folder) from None


def _beginning(corpus: StripCorpus) -> str:
    real = sum(len(strips) for strips, _ in corpus.known)
    return f"Training on drawn numbers and {real} real strips; {len(corpus.validation)} are kept out."


def _origin(plan: StripPlan, corpus: StripCorpus, start: SecondReader | None) -> dict[str, Any]:
    """All that decides the result: a checkpoint made from anything else is of another training."""
    return {
        "plan": asdict(plan),
        "data": {row["source"]: f"{row['count']} samples, digest {row['digest']}" for row in corpus.data},
        "validation": f"{len(corpus.validation)} strips, digest {digest_of(corpus.validation)}",
        "started_from": None if start is None else entry(STRIPS, start.content)["sha256"][:12],
        "versions": {"digit-inbox": __version__, "torch": str(torch.__version__)},
    }


class _Console:
    """Shows a training to a person, and hands on what that person asks for."""

    def __init__(self, words: Words, bar: Progress, plan: StripPlan, stop: Stop) -> None:
        self._words, self._bar, self._stop, self._plan = words, bar, stop, plan
        self._task = bar.add_task("training", total=plan.steps)

    def begins(self, done: int, intervals: Sequence[Interval]) -> None:
        self._bar.update(self._task, completed=done)
        if done:
            self._words.say(f"Going on after {done} batches:")
        for interval in intervals:
            self.ends(interval)

    def steps(self, loss: float) -> None:
        self._bar.update(self._task, advance=1, description=f"loss {loss:.3f}")

    def ends(self, interval: Interval) -> None:
        right = interval.validation_right
        kept = "" if right is None else f"  kept strips {right:.1%} right"
        self._words.say(
            f"batch {interval.step}/{self._plan.steps}  loss {interval.loss:.4f}{kept}  "
            f"{interval.seconds:.0f} s"
        )

    def warn(self, text: str) -> None:
        self._words.warn(text)

    def stops(self) -> bool:
        return self._stop.asked


def _finish(
    model: ModelFolder,
    trained: TrainedStrips,
    corpus: StripCorpus,
    order: StripOrder,
    start: SecondReader | None,
    words: Words,
) -> ModelFolder:
    """Calibrates, measures, writes the history and puts the reader into the run."""
    words.say("Measuring …")
    begun = time.monotonic()
    warmth = temperature(trained.network, corpus.validation) if corpus.validation else 1.0
    content = strip_reader.to_bytes(trained.network, warmth)
    figures = measure(StripReader.from_bytes(content, model.path / STRIPS), order.data)
    history = [interval.row() for interval in trained.intervals]
    write_whole(model.path / STRIP_HISTORY, json.dumps(history, indent=2).encode() + b"\n")
    write_whole(model.path / STRIP_CURVES, plots.strip_curves(trained.intervals))
    learned = corpus.marks() | (learned_by({SECOND_READER: start.account}) if start else frozenset())
    account = {
        "temperature": warmth,
        "started_from": None if start is None else start.model,
        "plan": asdict(order.plan),
        "data": [*corpus.data, *([] if start is None else start.inherited())],
        "kept_out": len(corpus.validation),
        "resumed": trained.resumed,
        "seconds": {
            "training": round(sum(interval.seconds for interval in trained.intervals), 1),
            "measuring": round(time.monotonic() - begun, 1),
        },
        "learned": " ".join(sorted(learned)),
    }
    return put(model, content, figures, account)


def put(
    model: ModelFolder, content: bytes, figures: Mapping[str, Figures], account: Mapping[str, Any]
) -> ModelFolder:
    """Writes the reader `content` beside the weights of the run `model`, with its figures and `account`."""
    others = [row for row in model.manifest["weights"] if row["file"] != STRIPS]
    plain = {**model.manifest, "weights": others}
    plain["metrics"] = {k: v for k, v in model.manifest["metrics"].items() if k != MEASURED}
    if len(others) < len(model.manifest["weights"]):
        # Killed between two files, the run must not name the hash of another one than is there.
        write_manifest(model.path, plain)
    write_whole(model.path / STRIPS, content)
    write_manifest(
        model.path,
        {
            **plain,
            "weights": [*others, entry(STRIPS, content)],
            "metrics": {**plain["metrics"], **figures},
            SECOND_READER: dict(account),
        },
    )
    return find_run(model.path)


def inherit(start: Path, model: ModelFolder) -> ModelFolder:
    """Gives the run `model` the second reader of the model in `start`, where it began, if that has one."""
    found = second_reader(start)
    return model if found is None else put(model, found.content, {}, found.account)


def measure(reader: StripReader, data: Path) -> dict[str, Figures]:
    """The figures on the strips kept out of every training, where they are, by the name of the set."""
    held_out = held_out_set(data)
    return {} if held_out is None else {MEASURED: number_figures(read_set(reader, held_out))}


def judge_strips(
    folder: Path, data: Path, *, own: Path | None = None, table: Path | None = None, notice: Notice = ignore
) -> tuple[Numbers, ...]:
    """What the second reader of the model in `folder` makes of strips; nothing where it has none.

    Those are one's `own` where they are named, but for those it was trained on, otherwise the cheque strips
    that are kept out of every training. Raises BadCommand where `own` are named and there is no reader.
    """
    found = second_reader(folder)
    if found is None:
        if own is not None:
            raise no_second_reader(folder)
        return ()
    if own is not None:
        if "learned" not in found.account:
            notice(f"{found.model} does not tell which strips it was trained on: it may know these.")
        sets = [own_set(own, table, learned_by({SECOND_READER: found.account}), notice)]
    else:
        sets = [held_out for held_out in [held_out_set(data, notice)] if held_out is not None]
    reader = StripReader.load(folder)
    for strips in sets:
        notice(f"{strips.name}: {len(strips)} numbers{', ' * bool(strips.part)}{strips.part}")
    return tuple(read_set(reader, strips) for strips in sets)


def recalibrate_strips(
    model: ModelFolder, data: Path, words: Words, own: Path | None = None, table: Path | None = None
) -> ModelFolder:
    """Fits the temperature of the run's second reader, where it has one, on strips it was not trained on.

    Those are one's `own` where they are named, otherwise the tenth of the cheque strips that no training
    takes. Its figures are to be measured again. Raises BadCommand where `own` are named and there is no
    reader.
    """
    found = second_reader(model.path)
    if found is None:
        if own is not None:
            raise no_second_reader(model.path)
        return model
    known = _to_calibrate_on(found, data, words, own, table)
    if not known:
        words.say(f"{data} holds no cheque strips: the second reader keeps its temperature.")
        return model
    words.say(f"Calibrating the second reader on {len(known)} strips …")
    network = strip_reader.network_of(found.content, model.path / STRIPS)
    warmth = temperature(network, known)
    return put(model, strip_reader.to_bytes(network, warmth), {}, {**found.account, "temperature": warmth})


def _to_calibrate_on(
    found: SecondReader, data: Path, words: Words, own: Path | None, table: Path | None
) -> list[KnownStrip]:
    learned = learned_by({SECOND_READER: found.account})
    if own is not None:
        measured = contents_held_out(data / "orand-car-a")
        mine = own_strips(own, table_of(own, table), notice=words.say, held_out=measured)
        return untrained(mine, learned, own)[0]
    if not (data / "orand-car-a" / "truth.csv").is_file():
        return []
    kept = kept_cheques(data, Shelf(data, load_recipe("default")).strips[1], words.say)
    return [strip for strip in kept if strip.mark not in learned]


def _corpus(order: StripOrder, words: Words) -> StripCorpus:
    shelf = Shelf(order.data, load_recipe("default"))
    rng = np.random.default_rng((order.plan.seed, 1))
    strips = shelf.strips if (order.data / "orand-car-a").is_dir() else ([], [])
    corpus = shipped_corpus(order.data, shelf.mnist[0], strips, rng, words.say)
    if order.own is None:
        return corpus
    measured = contents_held_out(order.data / "orand-car-a")
    table = table_of(order.own, order.table)
    return with_own(corpus, order.own, table, notice=words.say, held_out=measured)


def second_reader(folder: Path) -> SecondReader | None:
    """The second reader of the model in `folder`, None where it has none. Raises BadModel."""
    model = find_run(folder)
    hashes = {row["file"]: row["sha256"] for row in model.manifest["weights"]}
    if STRIPS not in hashes:
        return None
    account = model.manifest.get(SECOND_READER)
    content = read_hashed(model.path / STRIPS, hashes[STRIPS])
    return SecondReader(model.name, content, account if isinstance(account, dict) else {})


def _required(folder: Path) -> SecondReader:
    found = second_reader(folder)
    if found is None:
        raise BadCommand(
            f"{folder} has no second reader to start from.", "Leave --start out, or name another model."
        )
    return found


def no_second_reader(folder: Path) -> BadCommand:
    """What to raise where strips are named for a model that reads digits only."""
    return BadCommand(
        f"{folder} has no second reader, which reads strips.", "Train one with `training strips`."
    )


def shorter(plan: StripPlan, steps: int | None, seed: int | None, refresh: bool) -> StripPlan:
    """`plan` with what was asked for; a refresh takes few steps, and small ones."""
    if refresh:
        plan = replace(plan, steps=REFRESH_STEPS, learning_rate=REFRESH_RATE, averaging=REFRESH_AVERAGING)
    return replace(plan, steps=steps or plan.steps, seed=plan.seed if seed is None else seed)
