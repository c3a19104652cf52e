"""A training small enough for a test: a hundred digits, a few letters, a network of some thousand weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from torch import nn

from training import negatives
from training.course import Epoch
from training.inks import Inks
from training.recipe import Recipe
from training.sources import Corpus, Pool

RECIPE = """
[network]
parameters = { classes = 11, widths = [8, 16], hidden = 8, dropout = 0.2 }

[schedule]
epochs = 3
batches_per_epoch = 4
batch = 32
trim_from_epoch = 2

[[source]]
name = "mnist"
share = 5
untouched = 0.5

[[source]]
name = "drawn-letters"
share = 2
"""


def a_recipe(*, augment: dict[str, float] | None = None, **schedule: float) -> Recipe:
    plan = {"epochs": 3, "batches_per_epoch": 4, "batch": 32, "trim_from_epoch": 2}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "network": {"parameters": {"classes": 11, "widths": [8, 16], "hidden": 8, "dropout": 0.2}},
            "schedule": {**plan, **schedule},
            "augment": augment or {},
            "source": [{"name": "mnist", "share": 5}],
        }
    )


def a_corpus(digits: Inks) -> Corpus:
    marks = negatives.marks(40, np.random.default_rng(2))
    return Corpus((Pool(digits, 5, 0.5), Pool(marks, 2, 0.0)), (digits.take(range(0, 100, 5)),))


class Watching:
    """Notes what a training tells, and asks it to stop after so many batches."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.begun: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []
        self.warnings: list[str] = []
        self.batches = 0
        self._stop_after = stop_after

    def begins(self, done: int, epochs: Sequence[Epoch]) -> None:
        self.begun.append((done, len(epochs)))
        self.epochs += epochs

    def steps(self) -> None:
        self.batches += 1

    def ends(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stops(self) -> bool:
        return self.batches == self._stop_after


def weights(network: nn.Module) -> bytes:
    """All tensors of a network as bytes: equal where every bit is."""
    return safetensors.torch.save({name: t.contiguous() for name, t in network.state_dict().items()})


def figures(epochs: Sequence[Epoch]) -> list[dict[str, Any]]:
    """What the epochs came to, without the time they took."""
    return [{**epoch.row(), "seconds": 0} for epoch in epochs]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
