"""The course of a training of the second reader: from a corpus and a plan to averaged weights, with stops."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from typing import Protocol

import torch

from processor.errors import BadCommand
from processor.prediction.strip_networks import StripNetwork
from processor.prediction.strip_reader import StripReader
from training.checkpoints import Checkpoint, Checkpoints
from training.course import CPU, GO_ON, deaths_of_workers, next_of
from training.fit import stream
from training.interruption import Interrupted
from training.strip_corpus import StripCorpus
from training.strip_fit import GROUP, StripBatch, StripBatches, StripPlan, StripTrainer, copied, whole_right
from training.strip_sources import KnownStrip

INTERVALS = 20
"""So often the averaged weights read the strips that are kept out: a look costs as much as a few batches."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What the steps since the last interval came to, after `step` of them.

    `loss` is their mean a character, `validation_right` the share of the kept strips that the averaged
    weights read without a fault; None where no strip is kept out.
    """

    step: int
    loss: float
    validation_right: float | None
    seconds: float

    def row(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedStrips:
    """The averaged network in evaluation mode, and how it came about; `resumed` as of `course.Trained`."""

    network: StripNetwork
    intervals: tuple[Interval, ...]
    resumed: int


class StripOnlooker(Protocol):
    """Whoever watches a training of the second reader, and may ask it to stop."""

    def begins(self, done: int, intervals: Sequence[Interval]) -> None:
        """So many steps and intervals are done already."""

    def steps(self, loss: float) -> None:
        """A batch was learned; its loss before."""

    def ends(self, interval: Interval) -> None:
        """An interval is over."""

    def warn(self, text: str) -> None:
        """Something is not as it should be, and the training goes on."""

    def stops(self) -> bool:
        """Whether the training should end here, to go on another time."""


def fit_strips(
    corpus: StripCorpus,
    plan: StripPlan,
    onlooker: StripOnlooker,
    *,
    start: StripNetwork | None = None,
    workers: int = 0,
    checkpoints: Checkpoints | None = None,
) -> TrainedStrips:
    """Trains a network by the plan, from the newest of `checkpoints` where there is one.

    It begins with `start`, which is shown nothing any more since it can read, or with random weights from
    the plan's seed. `workers` processes draw the batches. One thread trains, so a training that was stopped
    at any moment comes to the same weights, bit by bit, as one that was not.

    Raises Interrupted where the onlooker asks for a stop, after a checkpoint; Transient where a worker dies;
    BadCommand where a checkpoint does not fit.
    """
    if start is not None:
        plan = replace(plan, guided=0.0)
    saved = checkpoints.newest(onlooker.warn) if checkpoints is not None else None
    course = StripCourse(plan, start)
    if saved is not None:
        course.restore(saved)
    onlooker.begins(course.step, course.intervals)
    batches = StripBatches(corpus.hands, corpus.known, plan)
    first = course.step // GROUP
    with deaths_of_workers(onlooker.stops), stream(batches, workers, CPU, first) as groups:
        coming = _one_by_one(groups, course.step % GROUP)
        while not course.finished:
            onlooker.steps(course.learn(next_of(coming)))
            if course.at_end_of_interval:
                onlooker.ends(course.end_interval(corpus.validation))
            asked = onlooker.stops()
            if checkpoints is not None and (asked or course.finished or checkpoints.due()):
                checkpoints.save(course.checkpoint())
            if asked and not course.finished:
                where = f"Stopped after {course.step} of {plan.steps} batches."
                raise Interrupted(where, GO_ON if checkpoints is not None else "")
    return course.result()


class StripCourse:
    """How far a training has come: all that a checkpoint must hold."""

    def __init__(self, plan: StripPlan, start: StripNetwork | None) -> None:
        self._plan, self._resumed = plan, 0
        # Sums are added up in another order by another number of threads: the result would be another.
        torch.set_num_threads(1)
        torch.manual_seed(plan.seed)
        self._trainer = StripTrainer(start or StripNetwork(**plan.parameters), plan)
        self.step, self.intervals = 0, list[Interval]()
        self._every = -(-plan.steps // INTERVALS)
        self._begin_interval()

    def _begin_interval(self) -> None:
        self._losses, self._seconds, self._started = 0.0, 0.0, time.monotonic()

    def learn(self, batch: StripBatch) -> float:
        loss = self._trainer.learn(batch, self.step + 1)
        if not math.isfinite(loss):
            raise BadCommand(
                f"The loss is {loss} after {self.step} batches: the weights ran away.",
                "Train with another --seed, from the beginning with --restart.",
            )
        self._losses, self.step = self._losses + loss, self.step + 1
        return loss

    @property
    def finished(self) -> bool:
        return self.step >= self._plan.steps

    @property
    def at_end_of_interval(self) -> bool:
        return self.step % self._every == 0 or self.finished

    def end_interval(self, validation: Sequence[KnownStrip]) -> Interval:
        """Judges the averaged weights on the strips kept out."""
        before = self.intervals[-1].step if self.intervals else 0
        right = None
        if validation:
            right = whole_right(StripReader(copied(self._trainer.averages())), validation)
        seconds = self._seconds + time.monotonic() - self._started
        self.intervals.append(Interval(self.step, self._losses / (self.step - before), right, seconds))
        self._begin_interval()
        return self.intervals[-1]

    def checkpoint(self) -> Checkpoint:
        state = {
            "intervals": [interval.row() for interval in self.intervals],
            "losses": self._losses,
            "seconds": self._seconds + time.monotonic() - self._started,
            "resumed": self._resumed,
            "rates": self._trainer.rates(),
        }
        return Checkpoint(self.step, self._trainer.tensors(), state)

    def restore(self, saved: Checkpoint) -> None:
        """Goes on from `saved`. Raises BadCommand where it does not fit."""
        state = saved.state
        try:
            self._trainer.restore(saved.tensors, state["rates"])
            self.intervals = [Interval(**row) for row in state["intervals"]]
            self._losses, self._seconds = float(state["losses"]), float(state["seconds"])
            self._resumed = int(state["resumed"]) + 1
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise saved.misfit(error) from None
        self.step = saved.batch

    def result(self) -> TrainedStrips:
        return TrainedStrips(self._trainer.averages().eval(), tuple(self.intervals), self._resumed)


def _one_by_one(groups: Iterator[list[StripBatch]], skipped: int) -> Iterator[StripBatch]:
    """The batches of the groups, without the first `skipped`."""
    batches: Iterable[StripBatch] = chain.from_iterable(groups)
    return islice(batches, skipped, None)
