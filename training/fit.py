"""The training loop: from a corpus and a recipe to averaged weights."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from processor.prediction import glyphs, networks
from processor.records import Glyphs
from training.augment import Augmenter, Hand
from training.inks import NONE, Inks, Labels
from training.recipe import Recipe, Schedule
from training.sources import Corpus, Pool

Batch = tuple[Tensor, Tensor, Tensor]
"""Glyphs (B, 1, 28, 28) float32, labels (B,) int64, and (B,) bool: which come from an ambiguous source."""


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


class Batches(Dataset[Batch]):
    """Batch k of the whole training, made on demand; the same k gives the same batch in any worker."""

    def __init__(self, pools: Sequence[Pool], schedule: Schedule, hand: Hand) -> None:
        self._pools = pools
        self._schedule = schedule
        self._augment = Augmenter(hand)
        shares = np.array([pool.share for pool in pools])
        self._shares = shares / shares.sum()

    def __len__(self) -> int:
        return self._schedule.epochs * self._schedule.batches_per_epoch

    def __getitem__(self, number: int) -> Batch:
        if number >= len(self):
            raise IndexError(number)
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self._schedule.seed, number))
        inks, labels = [], np.empty(self._schedule.batch, np.int64)
        chosen = rng.choice(len(self._pools), self._schedule.batch, p=self._shares)
        for place, pool in enumerate(chosen):
            image, labels[place] = self._draw(self._pools[pool], rng)
            inks.append(image)
        ambiguous = np.array([pool.ambiguous for pool in self._pools])[chosen]
        return torch.from_numpy(glyphs.batch(inks)), torch.from_numpy(labels), torch.from_numpy(ambiguous)

    def _draw(self, pool: Pool, rng: np.random.Generator) -> tuple[NDArray[np.generic], int]:
        index = int(rng.integers(len(pool.inks)))
        image, label = pool.inks.images[index], int(pool.inks.labels[index])
        if rng.random() < pool.untouched:
            return image, label
        return self._augment(image, rng), label


def train(
    recipe: Recipe, corpus: Corpus, *, workers: int, tell: Callable[[Epoch], None], step: Callable[[], None]
) -> nn.Module:
    """Trains the recipe's network and gives its averaged weights, in evaluation mode.

    `workers` processes make the batches; `step` is called after each batch, `tell` after each epoch.
    One-cycle learning rate (Smith and Topin, 2018), decoupled weight decay (Loshchilov and Hutter, 2019),
    exponential moving average of the weights (Polyak and Juditsky, 1992).
    """
    plan = recipe.schedule
    torch.manual_seed(plan.seed)
    # One core a worker: threads that share a core wait for each other in spin locks, ten times as long.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - max(1, workers)))
    trainer = _Trainer(networks.build(recipe.network.architecture, recipe.network.parameters), plan)
    validation = validation_glyphs(corpus.validation, plan.seed)
    batches = _stream(Batches(corpus.pools, plan, Hand()), workers)
    for epoch in range(1, plan.epochs + 1):
        started, losses, right = time.monotonic(), 0.0, 0
        for batch in islice(batches, plan.batches_per_epoch):
            loss, hits = trainer.learn(batch, trim=epoch >= plan.trim_from_epoch)
            losses, right = losses + loss, right + hits
            step()
        tell(
            Epoch(
                epoch=epoch,
                loss=losses / plan.batches_per_epoch,
                train_accuracy=right / (plan.batches_per_epoch * plan.batch),
                validation_accuracy=accuracy(trainer.averaged.module, *validation),
                seconds=time.monotonic() - started,
            )
        )
    return trainer.averaged.module.eval()


class _Trainer:
    """A network, its optimiser and the running average of its weights."""

    def __init__(self, network: nn.Module, plan: Schedule) -> None:
        self._plan = plan
        self._network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._optimiser = torch.optim.AdamW(network.parameters(), weight_decay=plan.weight_decay, fused=True)
        self._rates = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            plan.learning_rate,
            total_steps=plan.epochs * plan.batches_per_epoch,
            pct_start=0.2,
        )
        self.averaged = AveragedModel(network, avg_fn=running_average(plan.averaging), use_buffers=True)

    def learn(self, batch: Batch, *, trim: bool) -> tuple[float, int]:
        """One step on a batch; gives its mean loss and how many were right before the step."""
        loss, scores = batch_loss(self._network, batch, self._plan, trim=trim)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._rates.step()
        self.averaged.update_parameters(self._network)
        return float(loss.detach()), int((scores.argmax(1) == batch[1]).sum())


def validation_glyphs(validation: Sequence[Inks], seed: int) -> tuple[Glyphs, Labels]:
    """What training is judged and calibrated on: every validation sample as it is, and once augmented.

    Clean digits alone would make the thresholds believe that everything is easy.
    """
    augment = Augmenter(Hand())
    rng = np.random.default_rng((seed, 1 << 20))
    images: list[NDArray[np.generic]] = [image for inks in validation for image in inks.images]
    images += [augment(image, rng) for inks in validation for image in inks.images]
    labels = [label for inks in validation for label in inks.labels]
    return glyphs.batch(images), np.array(labels + labels, np.int64)


@torch.inference_mode()
def accuracy(network: nn.Module, images: Glyphs, labels: Labels) -> float:
    """The share of glyphs whose best class is right; the network's mode is left as it was."""
    mode = network.training
    network.eval()
    right = 0
    for start in range(0, len(images), 512):
        scores = network(torch.from_numpy(images[start : start + 512]))
        right += int((scores.argmax(1).numpy() == labels[start : start + 512]).sum())
    network.train(mode)
    return right / max(len(images), 1)


def running_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential moving average that forgets faster at first: the untrained weights must not linger."""

    def average(old: Tensor, new: Tensor, steps: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        return old.lerp(new, 1 - min(decay, (1 + int(steps)) / (10 + int(steps))))

    return average


def _stream(batches: Batches, workers: int) -> Iterator[Batch]:
    # Batches are whole samples of the data set: the loader's own collation would copy each glyph once more.
    # Workers are spawned: OpenCV's thread pool does not survive a fork, its next call waits for ever.
    context = "spawn" if workers else None
    loader = DataLoader(
        batches, batch_size=None, shuffle=False, num_workers=workers, multiprocessing_context=context
    )
    return iter(loader)


def batch_loss(network: nn.Module, batch: Batch, plan: Schedule, *, trim: bool) -> tuple[Tensor, Tensor]:
    """The mean loss and the scores (B, classes) of one batch.

    Some pieces of digits cannot be told from digits: half of a 1 is a 1. With `trim`, non-digits of an
    ambiguous source that the network takes for digits all but surely are left out, so that they do not teach
    it to doubt real ones.
    """
    images, labels, ambiguous = batch
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(images.to(memory_format=torch.channels_last))
    scores = scores.float()
    losses = functional.cross_entropy(scores, labels, reduction="none", label_smoothing=plan.label_smoothing)
    losses = torch.where(labels == NONE, plan.none_weight * losses, losses)
    if trim:
        none = scores.detach().softmax(1)[:, NONE]
        losses = losses * ~(ambiguous & (labels == NONE) & (none < plan.trim_below))
    return losses.mean(), scores.detach()
