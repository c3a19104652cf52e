"""Recipes: what a model is trained on and how, as a TOML file."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from processor.errors import BadSettings

SHIPPED = resources.files("training") / "recipes"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Section):
    """What rebuilds the untrained network; with `start_from`, that comes from the model named there.

    `start_from` is a published model's name, `current`, or the folder of a run.
    """

    start_from: str | None = None
    architecture: str = "strided-residual"
    parameters: dict[str, Any] = Field(default_factory=lambda: {"classes": 11})


class Schedule(Section):
    """How long and how fast."""

    seed: int = Field(1, ge=0)
    epochs: int = Field(12, ge=1)
    batches_per_epoch: int = Field(560, ge=1)
    batch: int = Field(256, ge=2)
    learning_rate: float = Field(6e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    label_smoothing: float = Field(0.02, ge=0, lt=1)
    averaging: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights, per step")
    none_weight: float = Field(1.0, gt=0, description="how much a non-digit counts in the loss, against 1")
    trim_from_epoch: int = Field(3, ge=0, description="from here on, ambiguous non-digits are left out")
    trim_below: float = Field(0.1, ge=0, lt=1, description="... those whose share of `none` is below this")
    patience: int = Field(0, ge=0, description="stop after so many epochs that were no better; 0: never")


class Augment(Section):
    """What torchvision's transforms do to normalised glyphs, on top of the project's own on ink."""

    erased: float = Field(0.0, ge=0, le=1, description="share of glyphs that lose a patch of their ink")
    noise: float = Field(0.0, ge=0, le=0.5, description="grain, as a standard deviation; ink is 1")


class Source(Section):
    """One source of samples.

    `share` is relative, `untouched` is the part that is not augmented; an `ambiguous` source has non-digits
    that may look like digits, and is trimmed.
    """

    name: str
    share: float = Field(gt=0)
    untouched: float = Field(0.0, ge=0, le=1)
    ambiguous: bool = False


class Recipe(Section):
    """Everything that makes a model, but for the data themselves."""

    name: str
    network: Network = Network()
    schedule: Schedule = Schedule()
    augment: Augment = Augment()
    source: tuple[Source, ...] = Field(min_length=1)


def load_recipe(name: str, **schedule: int | None) -> Recipe:
    """The recipe file `name`, or the shipped recipe of that name; `schedule` values win where not None.

    Raises BadSettings with the file, the key and what would be right.
    """
    text, where = _find(name)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{where} is not valid TOML: {error}.", "Mend the line it names.") from None
    wanted = {key: value for key, value in schedule.items() if value is not None}
    content["schedule"] = {**content.get("schedule", {}), **wanted}
    try:
        return Recipe(name=Path(name).stem, **content)
    except (ValidationError, TypeError) as error:
        raise BadSettings(f"{where} is refused: {error}", "Compare it with a shipped recipe.") from None


def shipped_recipes() -> list[str]:
    return sorted(Path(file.name).stem for file in SHIPPED.iterdir() if file.name.endswith(".toml"))


def _find(name: str) -> tuple[str, str]:
    if name in shipped_recipes():
        return (SHIPPED / f"{name}.toml").read_text("utf-8"), f"The recipe {name}"
    try:
        return Path(name).read_text("utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(shipped_recipes())
        raise BadSettings(
            f"There is no recipe {name!r} ({error}).", f"Name a TOML file, or one of: {known}."
        ) from None
