"""One step of training: the batches, the loss, the optimiser and the running average of the weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from processor.prediction import glyphs
from processor.records import Glyphs, Gray
from training.augment import Augmenter, Hand
from training.company import in_company
from training.inks import NONE, Inks, Labels, own_of
from training.interruption import ctrl_c_held
from training.learning import Learner
from training.recipe import Augment, Schedule
from training.sources import Pool

Batch = tuple[Tensor, Tensor, Tensor]
"""Glyphs (B, 2, 28, 28) float32, labels (B,) int64, and (B,) bool: which come from an ambiguous source."""


class Batches(Dataset[Batch]):
    """Batch k of the whole training, made on demand; the same k gives the same batch in any worker."""

    def __init__(
        self, pools: Sequence[Pool], schedule: Schedule, hand: Hand, augment: Augment | None = None
    ) -> None:
        self._pools = pools
        self._schedule = schedule
        self._augment = Augmenter(hand)
        self._spoil = _spoiler(augment or Augment())
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
        # Drawn after all else: a recipe that spoils nothing gets the batches that it always got.
        images = self._spoil(torch.from_numpy(glyphs.batch(inks)), int(rng.integers(1 << 62)))
        return images, torch.from_numpy(labels), torch.from_numpy(ambiguous)

    def _draw(self, pool: Pool, rng: np.random.Generator) -> tuple[NDArray[np.generic], int]:
        index = int(rng.integers(len(pool.inks)))
        image, label = pool.inks.images[index], int(pool.inks.labels[index])
        if pool.company and image.ndim == 2 and rng.random() < pool.company:
            image = in_company(image, lambda: _another(pool.inks, rng), rng)
        if rng.random() < pool.untouched:
            return image, label
        return self._augment(image, rng), label


def _another(inks: Inks, rng: np.random.Generator) -> Gray:
    return own_of(inks.images[int(rng.integers(len(inks)))])


class Trainer(Learner):
    """What learns the batches of a schedule."""

    def __init__(self, network: nn.Module, plan: Schedule) -> None:
        super().__init__(
            network,
            learning_rate=plan.learning_rate,
            weight_decay=plan.weight_decay,
            steps=plan.epochs * plan.batches_per_epoch,
            rising=0.2,
            averaging=plan.averaging,
        )
        self._plan = plan

    def learn(self, batch: Batch, *, trim: bool) -> tuple[float, int]:
        """One step on a batch; gives its mean loss and how many were right before the step."""
        images, labels, ambiguous = (part.to(self._device, non_blocking=True) for part in batch)
        loss, scores = batch_loss(self._network, (images, labels, ambiguous), self._plan, trim=trim)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._rates.step()
        self.averaged.update_parameters(self._network)
        return float(loss.detach()), int((scores.argmax(1) == labels).sum())


def validation_glyphs(validation: Sequence[Inks], seed: int) -> tuple[Glyphs, Labels]:
    """What training is judged and calibrated on: every validation sample as it is, and once augmented.

    Clean digits alone would make the thresholds believe that everything is easy.
    """
    augment = Augmenter(Hand())
    rng = np.random.default_rng((seed, 1 << 20))
    images = [image for inks in validation for image in inks.images]
    # One by one: all of them written again would take gigabytes.
    again = [glyphs.with_surroundings(augment(image, rng)) for image in images]
    labels = [label for inks in validation for label in inks.labels]
    return np.concatenate([glyphs.batch(images), np.stack(again)]), np.array(labels + labels, np.int64)


@torch.inference_mode()
def accuracy(network: nn.Module, images: Glyphs, labels: Labels) -> float:
    """The share of glyphs whose best class is right; the network's mode is left as it was."""
    mode, device = network.training, next(network.parameters()).device
    network.eval()
    right = 0
    for start in range(0, len(images), 512):
        scores = network(torch.from_numpy(images[start : start + 512]).to(device))
        right += int((scores.argmax(1).cpu().numpy() == labels[start : start + 512]).sum())
    network.train(mode)
    return right / max(len(images), 1)


def _spoiler(augment: Augment) -> Callable[[Tensor, int], Tensor]:
    if augment == Augment():
        return _unspoiled
    # Here, not above: torchvision takes a second and a half to import, in every worker.
    from training.vision import Spoiler

    return Spoiler(augment)


def _unspoiled(images: Tensor, seed: int) -> Tensor:  # noqa: ARG001
    return images


_Made = TypeVar("_Made", covariant=True)


class Numbered(Protocol[_Made]):
    """Whatever makes batches by their number, from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> _Made: ...


@contextmanager
def stream(
    batches: Numbered[_Made], workers: int, device: torch.device, first: int
) -> Iterator[Iterator[_Made]]:
    """The batches from number `first` on, made by `workers` processes, or by this one where that is 0."""
    # Batches are whole samples of the data set: the loader's own collation would copy each glyph once more.
    # Workers are spawned: OpenCV's thread pool does not survive a fork, its next call waits for ever.
    loader = DataLoader(
        cast("Dataset[_Made]", batches),
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        pin_memory=device.type == "cuda",
        # Its own, or it would draw from the numbers that dropout continues with.
        generator=torch.Generator(),
    )
    with ctrl_c_held():
        coming = iter(loader)
    try:
        yield coming
    finally:
        # While an error's traceback holds it, it would raise its workers' death again, anywhere.
        end = getattr(coming, "_shutdown_workers", None)
        if end is not None:
            end()


def batch_loss(network: nn.Module, batch: Batch, plan: Schedule, *, trim: bool) -> tuple[Tensor, Tensor]:
    """The mean loss and the scores (B, classes) of one batch.

    Some pieces of digits cannot be told from digits: half of a 1 is a 1. With `trim`, non-digits of an
    ambiguous source that the network takes for digits all but surely are left out, so that they do not teach
    it to doubt real ones.
    """
    images, labels, ambiguous = batch
    with torch.autocast(images.device.type, torch.bfloat16):
        scores = network(images.to(memory_format=torch.channels_last))
    scores = scores.float()
    losses = functional.cross_entropy(scores, labels, reduction="none", label_smoothing=plan.label_smoothing)
    losses = torch.where(labels == NONE, plan.none_weight * losses, losses)
    if trim:
        none = scores.detach().softmax(1)[:, NONE]
        losses = losses * ~(ambiguous & (labels == NONE) & (none < plan.trim_below))
    return losses.mean(), scores.detach()
