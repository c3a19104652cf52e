"""Recipes: what a model is trained on and how, as a TOML file."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from processor.errors import BadSettings
from processor.prediction.manifests import PLANES
from training.refusals import faults_of

VALIDATION = 0.1
"""Share of a source's groups (writers, strips, clusters of near-duplicates) that is never trained on."""

Kind = Literal[
    "digit-folders",
    "image-list",
    "npz",
    "idx",
    "coco-strips",
    "digit-strips",
    "corrections",
    "non-digits",
    "letters",
    "rulings",
]
"""What a source of one's own may be; a source without a kind is one of those that come with a name."""

WITHOUT_PATH = frozenset(("corrections", "letters", "rulings"))

CLASSES = 11
"""Ten digits and `none`: what the data are labelled with, and every model of this program tells apart."""

SHIPPED = resources.files("training") / "recipes"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Network(Section):
    """What rebuilds the untrained network; with `start_from`, that comes from the model named there.

    `start_from` is a published model's name, `current`, or the folder of a run.
    """

    start_from: str | None = None
    architecture: str = "strided-residual"
    parameters: dict[str, JsonValue] = Field(default_factory=lambda: dict[str, JsonValue](classes=CLASSES))

    @field_validator("parameters")
    @classmethod
    def _can_be_learned(cls, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
        classes = parameters.get("classes", CLASSES)
        if type(classes) is not int or classes != CLASSES:
            raise ValueError(f"classes = {classes!r}; expected {CLASSES}, ten digits and none")
        planes = parameters.get("planes", PLANES[0])
        if type(planes) is not int or planes not in PLANES:
            raise ValueError(
                f"planes = {planes!r}; expected 1, a mark's own ink, or 2, all ink about it, too"
            )
        return parameters


class Schedule(Section):
    """How long and how fast."""

    seed: int = Field(1, ge=0, lt=1 << 63)
    epochs: int = Field(12, ge=1, le=100_000)
    batches_per_epoch: int = Field(560, ge=1, le=1_000_000)
    batch: int = Field(256, ge=2, le=1 << 16)
    learning_rate: float = Field(6e-3, gt=0, le=1)
    weight_decay: float = Field(0.02, ge=0, le=10)
    label_smoothing: float = Field(0.02, ge=0, lt=1)
    averaging: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights, per step")
    none_weight: float = Field(
        1.0, gt=0, le=1000, description="how much a non-digit counts in the loss, against 1"
    )
    trim_from_epoch: int = Field(
        3, ge=0, le=100_000, description="from here on, ambiguous non-digits are left out"
    )
    trim_below: float = Field(0.1, ge=0, lt=1, description="... those whose share of `none` is below this")
    patience: int = Field(
        0, ge=0, le=100_000, description="stop after so many epochs that were no better; 0: never"
    )


class Augment(Section):
    """What torchvision's transforms do to normalised glyphs, on top of the project's own on ink."""

    erased: float = Field(0.0, ge=0, le=1, description="share of glyphs that lose a patch of their ink")
    noise: float = Field(0.0, ge=0, le=0.5, description="grain, as a standard deviation; ink is 1")


class Source(Section):
    """One source of samples: one with a name of its own, or data of one's own by their kind and path.

    `share` is relative, `untouched` is the part that is not augmented, `company` the part of samples that
    stand alone which is shown with others of the source about them. An `ambiguous` source has non-digits
    that may look like digits, and is trimmed. `samples` takes at most so many of each digit (-1: all),
    `validation` is the share of the groups that is kept out, `VALIDATION` where it is not given.
    """

    name: str = Field(min_length=1)
    kind: Kind | None = None
    path: Path | None = None
    table: Path | None = Field(None, description="digit-strips: the CSV file,digits; truth.csv beside them")
    part: Literal["train", "test"] = Field("train", description="idx: which pair of the folder")
    licence: str = Field("not stated", min_length=1, description="goes into the manifest of the model")
    share: float = Field(gt=0, le=1e6)
    untouched: float = Field(0.0, ge=0, le=1)
    company: float = Field(0.0, ge=0, le=1)
    ambiguous: bool = False
    samples: int = Field(-1, ge=-1, le=10_000_000)
    validation: float | None = Field(None, ge=0, lt=1)

    @property
    def kept_share(self) -> float:
        return VALIDATION if self.validation is None else self.validation

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_path(cls, values: Any) -> Any:
        if isinstance(values, dict) and "kind" in values and "name" not in values:
            return {**values, "name": str(values.get("path", values["kind"]))}
        return values

    @model_validator(mode="after")
    def _path_and_kind_agree(self) -> "Source":
        if self.kind is None and self.path is not None:
            raise ValueError(f"{self.name} has a path, but no kind")
        if self.kind is not None and self.path is None and self.kind not in WITHOUT_PATH:
            raise ValueError(f"{self.name} is of kind {self.kind}, which needs a path")
        return self


class Recipe(Section):
    """Everything that makes a model, but for the data themselves."""

    name: str
    network: Network = Network()
    schedule: Schedule = Schedule()
    augment: Augment = Augment()
    source: tuple[Source, ...] = Field(min_length=1)


def load_recipe(name: str, *, judging: bool = False, **schedule: int | None) -> Recipe:
    """The recipe file `name`, or the shipped recipe of that name; `schedule` values win where not None.

    A recipe for `judging` a model need not say which `share` of a batch a source has.
    Raises BadSettings with the file, the key and what would be right.
    """
    text, where = _find(name)
    content = _parsed(text, where)
    _place_sources(content, where)
    if judging:
        _share_alike(content)
    wanted = {key: value for key, value in schedule.items() if value is not None}
    plan = content.get("schedule", {})
    if isinstance(plan, dict):
        content["schedule"] = {**plan, **wanted}
    if "name" in content:
        raise BadSettings(
            f"{where}: there is no key name; the file's own name is the recipe's.", "Take it out."
        )
    return _checked({**content, "name": Path(name).stem}, where, "Compare it with a shipped recipe.")


def recorded_recipe(recorded: object, where: str) -> tuple[Recipe, int]:
    """The recipe that the manifest `where` says a run was made by, and its --samples.

    Raises BadSettings where that is none that this version would train.
    """
    remedy = "It was changed, or made by another version: train the run again."
    if not isinstance(recorded, dict):
        raise BadSettings(f"{where}: recipe = {str(recorded)[:60]!r}; expected a table.", remedy)
    values = dict(recorded)
    samples = values.pop("samples", -1)
    if type(samples) is not int or samples < -1 or samples == 0:
        raise BadSettings(f"{where}: samples = {samples!r}; expected -1, or 1 and more.", remedy)
    return _checked(values, where, remedy), samples


def _checked(values: dict[str, Any], where: str, remedy: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise BadSettings("\n".join(faults_of(error, where, Recipe)), remedy) from None


def _share_alike(content: dict[str, Any]) -> None:
    sources = content.get("source")
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict):
            source.setdefault("share", 1)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{where} is not valid TOML: {error}.", "Mend the line it names.") from None
    except (ValueError, RecursionError) as error:
        # Numbers of thousands of digits and brackets in brackets: the parser says neither where nor what.
        longest = max(text.splitlines(), key=len)
        raise BadSettings(
            f"{where} cannot be read: {error}; its longest line begins with {longest[:40]!r}.",
            "Shorten what that line says.",
        ) from None


def _place_sources(content: dict[str, Any], where: str) -> None:
    """Makes the paths of sources whole: they start from the recipe's file, which a manifest does not have."""
    sources = content.get("source")
    for number, source in enumerate(sources if isinstance(sources, list) else []):
        for key in ("path", "table"):
            if isinstance(source, dict) and isinstance(source.get(key), str):
                given = source[key]
                source[key] = _placed(given, where, f"source.{number}.{key}")
                # The name goes into manifests, which should not tell of the folders of this machine.
                whole = Path(given).is_absolute() or given.startswith("~")
                source.setdefault("name", Path(source[key]).name if whole else given)


def _placed(path: str, where: str, key: str) -> str:
    try:
        return str((Path(where).parent / Path(path).expanduser()).resolve())
    # A home that is nobody's, a name with a null byte, a link that leads to itself.
    except (ValueError, RuntimeError, OSError) as error:
        raise BadSettings(
            f"{where} is refused: {key} = {path!r} is no path: {error}.", "Correct it."
        ) from None


def shipped_recipes() -> list[str]:
    return sorted(Path(file.name).stem for file in SHIPPED.iterdir() if file.name.endswith(".toml"))


def _find(name: str) -> tuple[str, str]:
    if name in shipped_recipes():
        return (SHIPPED / f"{name}.toml").read_text("utf-8"), f"The recipe {name}"
    try:
        return Path(name).read_text("utf-8"), name
    except (OSError, ValueError) as error:
        known = ", ".join(shipped_recipes())
        raise BadSettings(
            f"There is no recipe {name!r} ({error}).", f"Name a TOML file, or one of: {known}."
        ) from None
