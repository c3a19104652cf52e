"""One step of training: the batches, the loss, the optimiser and the running average of the weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from processor.prediction import glyphs
from processor.records import Glyphs, Gray
from training.augment import Augmenter, Hand
from training.company import in_company
from training.inks import NONE, Inks, Labels, own_of
from training.interruption import ctrl_c_held
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


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each name after `prefix` and a dot."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that `named` gave this prefix, by their own names."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


class Trainer:
    """A network, its optimiser and the running average of its weights."""

    def __init__(self, network: nn.Module, plan: Schedule) -> None:
        self._plan = plan
        self._network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._device = next(network.parameters()).device
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
        images, labels, ambiguous = (part.to(self._device, non_blocking=True) for part in batch)
        loss, scores = batch_loss(self._network, (images, labels, ambiguous), self._plan, trim=trim)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._rates.step()
        self.averaged.update_parameters(self._network)
        return float(loss.detach()), int((scores.argmax(1) == labels).sum())

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages, the optimiser's moments, and the random numbers that dropout will draw."""
        found = named("network", self._network.state_dict())
        found |= named("averaged", self.averaged.state_dict())
        for place, moments in self._optimiser.state_dict()["state"].items():
            found |= named(f"optimiser.{place}", moments)
        found["random"] = torch.get_rng_state()
        if self._device.type == "cuda":
            found["random-cuda"] = torch.cuda.get_rng_state(self._device)
        return found

    def rates(self) -> dict[str, Any]:
        """Where the optimiser and its learning rate stand, as JSON values."""
        return {
            "groups": self._optimiser.state_dict()["param_groups"],
            "schedule": self._rates.state_dict(),
        }

    def restore(self, tensors: Mapping[str, Tensor], rates: Mapping[str, Any]) -> None:
        """Takes up what `tensors` and `rates` gave."""
        self._network.load_state_dict(under("network", tensors))
        self.averaged.load_state_dict(under("averaged", tensors))
        moments = {
            place: self._like_parameter(under(f"optimiser.{place}", tensors), parameter)
            for place, parameter in enumerate(self._network.parameters())
        }
        self._optimiser.load_state_dict({"state": moments, "param_groups": rates["groups"]})
        self._rates.load_state_dict(dict(rates["schedule"]))
        torch.set_rng_state(tensors["random"])
        if self._device.type == "cuda" and "random-cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random-cuda"], self._device)

    def _like_parameter(self, moments: dict[str, Tensor], parameter: Tensor) -> dict[str, Tensor]:
        """Moments laid out in memory as their parameter is: the fused step walks over all of them alike."""
        return {
            name: torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor
            for name, tensor in moments.items()
        }


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


def running_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential moving average that forgets faster at first: the untrained weights must not linger."""

    def average(old: Tensor, new: Tensor, steps: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        return old.lerp(new, 1 - min(decay, (1 + int(steps)) / (10 + int(steps))))

    return average


def _spoiler(augment: Augment) -> Callable[[Tensor, int], Tensor]:
    if augment == Augment():
        return _unspoiled
    # Here, not above: torchvision takes a second and a half to import, in every worker.
    from training.vision import Spoiler

    return Spoiler(augment)


def _unspoiled(images: Tensor, seed: int) -> Tensor:  # noqa: ARG001
    return images


@contextmanager
def stream(batches: Batches, workers: int, device: torch.device, first: int) -> Iterator[Iterator[Batch]]:
    """The batches from number `first` on, made by `workers` processes, or by this one where that is 0."""
    # Batches are whole samples of the data set: the loader's own collation would copy each glyph once more.
    # Workers are spawned: OpenCV's thread pool does not survive a fork, its next call waits for ever.
    loader = DataLoader(
        batches,
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
