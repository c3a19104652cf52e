"""The course of a training: from a corpus and a recipe to averaged weights, with stops on the way."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from processor.errors import BadCommand, Transient
from processor.prediction import networks
from processor.records import Glyphs
from training.augment import Hand
from training.checkpoints import Checkpoint, Checkpoints
from training.fit import Batch, Batches, Trainer, accuracy, stream, validation_glyphs
from training.inks import Labels
from training.interruption import Interrupted
from training.learning import named, under
from training.recipe import Recipe
from training.sources import Corpus

CPU = torch.device("cpu")

GO_ON = "The same command goes on from there."


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to; accuracies are shares of 1, over all classes."""

    epoch: int
    loss: float
    train_accuracy: float
    validation_accuracy: float
    seconds: float

    def row(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network in evaluation mode, with the averaged weights of `best_epoch`, and how it came about.

    `best_epoch` is the last one, unless the training stopped early. `resumed` counts how often it went on
    from a checkpoint, `threads` those of the one process that trained.
    """

    network: nn.Module
    epochs: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    resumed: int
    threads: int


class Onlooker(Protocol):
    """Whoever watches a training, and may ask it to stop."""

    def begins(self, done: int, epochs: Sequence[Epoch]) -> None:
        """So many batches and epochs are done already."""

    def steps(self) -> None:
        """A batch was learned."""

    def ends(self, epoch: Epoch) -> None:
        """An epoch is over."""

    def warn(self, text: str) -> None:
        """Something is not as it should be, and the training goes on."""

    def stops(self) -> bool:
        """Whether the training should end here, to go on another time."""


def train(
    recipe: Recipe,
    corpus: Corpus,
    onlooker: Onlooker,
    *,
    workers: int = 0,
    device: torch.device = CPU,
    start: Mapping[str, Tensor] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Trains the recipe's network, from the newest of `checkpoints` where there is one.

    `workers` processes make the batches; `start` holds the weights to begin with instead of random ones.
    On a CPU, a training that was stopped at any moment comes to the same weights, bit by bit, as one that
    was not. One-cycle learning rate (Smith and Topin, 2018), decoupled weight decay (Loshchilov and Hutter,
    2019), exponential moving average of the weights (Polyak and Juditsky, 1992), early stop (Prechelt, 1998).

    Raises Interrupted where the onlooker asks for a stop, after a checkpoint; Transient where a worker dies;
    BadCommand where a checkpoint does not fit.
    """
    plan = recipe.schedule
    validation = validation_glyphs(corpus.validation, plan.seed)
    saved = checkpoints.newest(onlooker.warn) if checkpoints is not None else None
    # One core a worker: threads that share a core wait for each other in spin locks, ten times as long.
    threads = max(1, (os.cpu_count() or 1) - max(1, workers))
    course = Course(recipe, device, start, threads)
    if saved is not None:
        try:
            course.restore(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise saved.misfit(error) from None
    onlooker.begins(course.batch, course.epochs)
    batches = Batches(corpus.pools, plan, Hand(), recipe.augment)
    with deaths_of_workers(onlooker.stops), stream(batches, workers, device, course.batch) as coming:
        while not course.finished:
            course.learn(next_of(coming))
            onlooker.steps()
            if course.at_end_of_epoch:
                onlooker.ends(course.end_epoch(validation))
            asked = onlooker.stops()
            if checkpoints is not None and (asked or course.between_epochs or checkpoints.due()):
                checkpoints.save(course.checkpoint())
            if asked and not course.finished:
                raise Interrupted(f"Stopped {course.place}.", GO_ON if checkpoints is not None else "")
    return course.result()


class Course:
    """How far a training has come: all that a checkpoint must hold."""

    def __init__(
        self, recipe: Recipe, device: torch.device, start: Mapping[str, Tensor] | None, threads: int
    ) -> None:
        self._plan = recipe.schedule
        self._threads, self._resumed = threads, 0
        torch.set_num_threads(threads)
        torch.manual_seed(self._plan.seed)
        network = networks.build(recipe.network.architecture, recipe.network.parameters)
        if start is not None:
            network.load_state_dict(start)
        self._trainer = Trainer(network.to(device), self._plan)
        self.batch, self.epochs = 0, list[Epoch]()
        self._best: dict[str, Tensor] = {}
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._losses, self._right = 0.0, 0
        self._seconds, self._started = 0.0, time.monotonic()

    def learn(self, batch: Batch) -> None:
        loss, hits = self._trainer.learn(batch, trim=len(self.epochs) + 1 >= self._plan.trim_from_epoch)
        if not math.isfinite(loss):
            raise BadCommand(
                f"The loss is {loss} {self.place}: the weights ran away at the learning rate "
                f"schedule.learning_rate = {self._plan.learning_rate:g}.",
                "Set it to a tenth of that in the recipe, and train from the beginning with --restart.",
            )
        self._losses, self._right, self.batch = self._losses + loss, self._right + hits, self.batch + 1

    @property
    def at_end_of_epoch(self) -> bool:
        return self.batch == (len(self.epochs) + 1) * self._plan.batches_per_epoch

    @property
    def between_epochs(self) -> bool:
        return self.batch == len(self.epochs) * self._plan.batches_per_epoch

    @property
    def best_epoch(self) -> Epoch:
        """The first of those with the highest validation accuracy."""
        return max(self.epochs, key=lambda epoch: (epoch.validation_accuracy, -epoch.epoch))

    @property
    def stopped_early(self) -> bool:
        patience = self._plan.patience
        over = len(self.epochs) >= self._plan.epochs
        return bool(patience and self.epochs and not over) and (
            self.epochs[-1].epoch - self.best_epoch.epoch >= patience
        )

    @property
    def finished(self) -> bool:
        return len(self.epochs) >= self._plan.epochs or self.stopped_early

    @property
    def place(self) -> str:
        """Where the training stands, for people."""
        epoch, batch = divmod(self.batch, self._plan.batches_per_epoch)
        return f"in epoch {epoch + 1} of {self._plan.epochs}, after {batch} of its batches"

    def end_epoch(self, validation: tuple[Glyphs, Labels]) -> Epoch:
        """Judges the averaged weights, and keeps them where they are the best so far and may be wanted."""
        averaged = self._trainer.averaged.module
        count = self._plan.batches_per_epoch
        epoch = Epoch(
            epoch=len(self.epochs) + 1,
            loss=self._losses / count,
            train_accuracy=self._right / (count * self._plan.batch),
            validation_accuracy=accuracy(averaged, *validation),
            seconds=self._seconds + time.monotonic() - self._started,
        )
        self.epochs.append(epoch)
        if self._plan.patience and self.best_epoch is epoch:
            self._best = {name: tensor.clone() for name, tensor in averaged.state_dict().items()}
        self._begin_epoch()
        return epoch

    def checkpoint(self) -> Checkpoint:
        best = {name: tensor.detach().cpu().contiguous() for name, tensor in self._best.items()}
        tensors = {**self._trainer.tensors(), **named("best", best)}
        state = {
            "epochs": [epoch.row() for epoch in self.epochs],
            "losses": self._losses,
            "right": self._right,
            "seconds": self._seconds + time.monotonic() - self._started,
            "resumed": self._resumed,
            "threads": self._threads,
            "rates": self._trainer.rates(),
        }
        return Checkpoint(self.batch, tensors, state)

    def restore(self, saved: Checkpoint) -> None:
        state = saved.state
        self._trainer.restore(saved.tensors, state["rates"])
        self._best = under("best", saved.tensors)
        self.batch, self.epochs = saved.batch, [Epoch(**row) for row in state["epochs"]]
        self._losses, self._right, self._seconds = state["losses"], state["right"], state["seconds"]
        self._resumed = state["resumed"] + 1
        # Sums are added up in another order by another number of threads: the result would be another.
        self._threads = state["threads"]
        torch.set_num_threads(self._threads)

    def result(self) -> Trained:
        network = self._trainer.averaged.module
        best = self.epochs[-1].epoch
        if self.stopped_early:
            best = self.best_epoch.epoch
            network.load_state_dict(self._best)
        return Trained(
            network.cpu().eval(), tuple(self.epochs), best, self.stopped_early, self._resumed, self._threads
        )


_Made = TypeVar("_Made")


def next_of(coming: Iterator[_Made]) -> _Made:
    """The next batch. Raises RuntimeError where its worker died while it was handed over."""
    try:
        return next(coming)
    except (OSError, EOFError) as error:
        # A batch comes through a socket of the worker's: killed in between, it is missing or resets it.
        raise RuntimeError(f"DataLoader worker gone: {str(error).partition(chr(10))[0]}") from None


@contextmanager
def deaths_of_workers(stops: Callable[[], bool]) -> Iterator[None]:
    """A worker that was killed is no fault of this program; a SIGTERM to all processes kills it, too."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        if stops():
            raise Interrupted("Stopped at the last checkpoint.", GO_ON) from None
        raise Transient(
            f"A process that makes batches ended: {error}.",
            "The same command goes on from the last checkpoint; with --workers 0 it needs less memory.",
        ) from None
