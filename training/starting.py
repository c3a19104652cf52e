"""What a training begins with: the device it runs on, and a model whose weights it takes up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from processor.errors import BadCommand, BadModel, BadSettings
from processor.prediction.classifier import Classifier
from training.recipe import Network, Recipe

CLASSES = (*"0123456789", "none")
"""What every model of this program tells apart, in the order of its outputs."""


DEVICES = ("auto", "cpu", "cuda")
"""Where a training may run; `auto` is a GPU where there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A verified model that is trained on: its name, the hash of its weights, and they themselves.

    `data` are the rows of its manifest that say what it learned from: what comes of it has learned that, too.
    """

    name: str
    sha256: str
    weights: Mapping[str, Tensor]
    data: Sequence[Mapping[str, Any]] = ()

    def inherited(self) -> list[dict[str, Any]]:
        """The same rows for a manifest of what comes of it, each saying through which model."""
        return [{"through": self.name, **row} for row in self.data]


def find_device(name: str) -> torch.device:
    """The device of one of DEVICES. Raises BadCommand for any other, and for a GPU that is not there."""
    if name not in DEVICES:
        raise BadCommand(f"There is no --device {name}.", f"There are: {', '.join(DEVICES)}.")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise BadCommand("--device cuda: PyTorch sees no GPU.", "Use --device cpu, or auto.")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def begin_from(recipe: Recipe, folder: Path) -> tuple[Recipe, Start]:
    """The recipe with the architecture of the model in `folder`, and that model's weights.

    Raises BadModel where the model is damaged or tells other classes apart, BadSettings where the recipe asks
    for another network.
    """
    model = Classifier.load(folder).model
    if model.classes != CLASSES:
        raise BadModel(
            f"{folder} tells {', '.join(model.classes)} apart, training needs {', '.join(CLASSES)}.",
            "Start from another model, or take `start_from` out of the recipe.",
        )
    found = Network(
        start_from=recipe.network.start_from,
        architecture=model.manifest["architecture"],
        parameters=model.manifest["parameters"],
    )
    for key in recipe.network.model_fields_set:
        asked, there = getattr(recipe.network, key), getattr(found, key)
        if asked != there:
            raise BadSettings(
                f"The recipe {recipe.name} asks for {key} = {asked!r}, {model.name} has {there!r}.",
                f"Take {key} out of [network]: with start_from it comes from the model.",
            )
    weights = safetensors.torch.load_file(model.weights[0])
    sha256, data = str(model.manifest["weights"][0]["sha256"]), model.manifest["data"]
    start = Start(model.name, sha256, weights, data if isinstance(data, list) else ())
    return recipe.model_copy(update={"network": found}), start
