"""Settings: `settings.toml`, then PROCESSOR_<SECTION>__<KEY>, then flags; unknown keys are refused."""

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from processor.errors import BadSettings
from processor.plain_words import in_plain_words

FILE_NAME = "settings.toml"
FILE_VARIABLE = "PROCESSOR_SETTINGS"
ENV_PREFIX = "PROCESSOR_"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        """No file, model or address has one in its name; the system would refuse it later, in other words."""
        if any(isinstance(text, str) and "\0" in text for text in (value if _is_list(value) else [value])):
            raise ValueError("it must not hold a NUL character")
        return value


class Paths(Section):
    """Folders, relative to the folder of settings.toml, or absolute."""

    inbox: Path = Field(Path("inbox"), description="scans are dropped here")
    results: Path = Field(Path("results"), description="database, annotated pages, CSV and moved originals")
    models_archive: Path = Field(Path("models_archive"), description="published models and CURRENT")


class Database(Section):
    url: str = Field("", description="SQLAlchemy URL; empty means results.db in the results folder")


class Intake(Section):
    settle_seconds: float = Field(2.0, ge=0, le=3600, description="a scan is taken once it was still so long")
    rescan_seconds: float = Field(60.0, gt=0, le=86400, description="the inbox is listed anew this often")
    watch: Literal["auto", "native", "polling"] = Field("auto", description="how new files are noticed")
    ignore: tuple[str, ...] = Field((), description="file name patterns that are never scans")
    recursive: bool = Field(True, description="look into subfolders")
    pdf_dpi: float = Field(300.0, ge=50, le=1200, description="PDF pages are rendered at this resolution")


class Limits(Section):
    max_megapixels: float = Field(200.0, gt=0, le=2000, description="a larger page fails its scan")
    max_megabytes: float = Field(500.0, gt=0, description="a larger file fails")
    max_pages: int = Field(500, gt=0, le=100_000, description="a longer document fails")
    seconds_per_scan: float = Field(600.0, gt=0, description="a scan that takes longer fails")
    worker_memory_mb: float = Field(
        4096.0, ge=512, description="a scan for which a worker needs more memory fails"
    )
    min_free_mb: float = Field(200.0, ge=0, description="free disk space below which nothing is read")


class Segmentation(Section):
    printed: Literal["read", "ignore"] = Field("read", description="whether printed digits are read")


class RejectionSettings(Section):
    max_error_rate: float = Field(
        0.01, ge=1e-4, le=0.5, description="errors among accepted digits; less sure ones go to review"
    )


class Recognition(Section):
    model: str = Field("current", min_length=1, description="`current` or the name of a published model")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?|auto)$", description="cpu, cuda, cuda:N or auto")


class Outputs(Section):
    annotated: Literal["jpg", "png", "none"] = Field("jpg", description="format of the annotated pages")


class Workers(Section):
    count: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        "auto", description="processes that read; auto is one a core, of a cluster too"
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="where the workers run: on this machine, or on a Ray cluster"
    )
    ray_address: str = Field(
        "auto", min_length=1, description="HOST:PORT of the Ray cluster; auto finds the one of this machine"
    )

    def resolved_count(self) -> int:
        """The number of worker processes: cores this process may use, where `count` is auto."""
        if self.count != "auto":
            return self.count
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Review(Section):
    port: int = Field(8765, ge=1, le=65535, description="loopback port of the review page")


class Training(Section):
    recipe: str = Field("default", min_length=1, description="name or file of the training recipe")
    data: Path = Field(Path("data"), description="folder of the data sets that recipes name")


class Settings(BaseSettings):
    """All settings, checked; `base` is the folder that relative paths start from."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__"
    )

    paths: Paths = Paths()
    database: Database = Database()
    intake: Intake = Intake()
    limits: Limits = Limits()
    segmentation: Segmentation = Segmentation()
    rejection: RejectionSettings = RejectionSettings()
    recognition: Recognition = Recognition()
    outputs: Outputs = Outputs()
    workers: Workers = Workers()
    review: Review = Review()
    training: Training = Training()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load` hands in the merged values itself, so that every value keeps its origin.
        return (init_settings,)

    def reading_digest(self) -> str:
        """Twelve hex digits over every setting that can change what is read from a page."""
        reading = {
            "pdf_dpi": self.intake.pdf_dpi,
            "segmentation": self.segmentation.model_dump(mode="json"),
            "rejection": self.rejection.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(reading, sort_keys=True).encode()).hexdigest()[:12]


class LoadedSettings:
    """Settings with the folder they are relative to and where each value came from.

    `origins` maps `section.key` to `default`, `flag`, the environment variable, or the file.
    """

    def __init__(self, values: Settings, base: Path, file: Path | None, origins: dict[str, str]) -> None:
        self.values = values
        self.base = base
        self.file = file
        self.origins = origins

    @property
    def inbox(self) -> Path:
        return self.base / self.values.paths.inbox

    @property
    def results(self) -> Path:
        return self.base / self.values.paths.results

    @property
    def training_data(self) -> Path:
        return self.base / self.values.training.data

    @property
    def models_archive(self) -> Path:
        """The archive; where none was named and none is there, the one the package came with."""
        own = self.base / self.values.paths.models_archive
        if own.exists() or self.origins["paths.models_archive"] != "default":
            return own
        return shipped_archive() or own

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL; an SQLite file is relative to the settings' folder, as every path is."""
        url = self.values.database.url
        if not url:
            return f"sqlite:///{self.results / 'results.db'}"
        scheme, separator, file = url.partition(":///")
        if scheme.startswith("sqlite") and separator and file and not file.startswith((":", "file:")):
            return f"{scheme}:///{self.base / file}"
        return url


def shipped_archive() -> Path | None:
    """The models that came with the package: inside it when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "models_archive", package.parent / "models_archive"):
        if (folder / "CURRENT").is_file():
            return folder
    return None


def find_file(start: Path) -> Path | None:
    """The nearest settings.toml in `start` or a folder above it."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def load(file: Path | None = None, flags: dict[str, Any] | None = None) -> LoadedSettings:
    """Reads and checks the settings; `flags` are `{"section.key": value}` and win over all.

    Raises BadSettings with the key, its value and what would be right.
    """
    file = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if file is not None and not file.is_file():
        raise BadSettings(f"The settings file {file} does not exist.", "Name another with --settings FILE.")
    file = file or find_file(Path.cwd())
    from_file = _read_file(file) if file else {}
    from_environment = _read_environment()
    merged: dict[str, dict[str, Any]] = {}
    origins = {f"{s}.{k}": "default" for s, f in Settings.model_fields.items() for k in _section_of(f)}
    sources: list[tuple[str, dict[str, Any]]] = [
        (str(file), from_file),
        ("environment", from_environment),
        ("flag", flags or {}),
    ]
    for origin, values in sources:
        for name, value in values.items():
            section, _, key = name.partition(".")
            merged.setdefault(section, {})[key] = value
            origins[name] = (
                ENV_PREFIX + name.replace(".", "__").upper() if origin == "environment" else origin
            )
    try:
        settings = Settings(**merged)  # type: ignore[arg-type]
    except ValidationError as error:
        raise BadSettings(_explain(error, origins), _remedy_of(error, origins, file)) from None
    base = (file.parent if file else Path.cwd()).resolve()
    return LoadedSettings(settings, base, file, origins)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _section_of(field: Any) -> dict[str, Any]:
    fields: dict[str, Any] = field.annotation.model_fields
    return fields


def _read_file(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} is not valid TOML: {error}.", "Mend the line it names.") from None
    except OSError as error:
        raise BadSettings(f"{file} cannot be read: {error.strerror}.", "Check its permissions.") from None
    flat: dict[str, Any] = {}
    for section, values in content.items():
        if not isinstance(values, dict):
            raise BadSettings(f"{file}: `{section}` stands outside every section.", _remedy(file))
        if section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise BadSettings(f"{file}: there is no section [{section}].", f"The sections are: {known}.")
        flat.update({f"{section}.{key}": value for key, value in values.items()})
    return flat


def _read_environment() -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.upper().startswith(ENV_PREFIX):
            continue
        section, separator, key = variable[len(ENV_PREFIX) :].lower().partition("__")
        if not separator:
            _refuse_single_underscore(variable, section)
            continue
        if section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise BadSettings(f"{variable} names no section.", f"The sections are: {known}.")
        flat[f"{section}.{key}"] = _parse(section, key, text)
    return flat


def _refuse_single_underscore(variable: str, rest: str) -> None:
    """Refuses PROCESSOR_LIMITS_MAX_PAGES, but not other programs' variables (Windows' PROCESSOR_LEVEL)."""
    for section in Settings.model_fields:
        if rest.startswith(f"{section}_"):
            right = f"{ENV_PREFIX}{section.upper()}__{rest[len(section) + 1 :].upper()}"
            raise BadSettings(
                f"{variable} names no setting.", f"Two underscores follow the section: {right}."
            )


def _parse(section: str, key: str, text: str) -> Any:
    """Lists are given as JSON in the environment; everything else is text that pydantic converts."""
    field = _section_of(Settings.model_fields[section]).get(key)
    if field is not None and "tuple" in str(field.annotation):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _explain(error: ValidationError, origins: dict[str, str]) -> str:
    lines = []
    wrong: dict[str, list[str]] = {}
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"][:2])
        origin = origins.get(where, "")
        if fault["type"] == "extra_forbidden":
            known = ", ".join(_section_of(Settings.model_fields[str(fault["loc"][0])]))
            lines.append(f"{origin}: there is no setting {where}; this section has {known}.")
        else:
            why = wrong.setdefault(f"{origin}: {where} = {fault['input']!r}", [])
            why.append(_what_is_right(where) or in_plain_words(fault["msg"]))
    # Of a value that may be of two kinds, each says what would be right.
    lines += [f"{what} is refused: {', or '.join(dict.fromkeys(why))}." for what, why in wrong.items()]
    return "\n".join(dict.fromkeys(lines))


def _what_is_right(where: str) -> str | None:
    """What a setting may be, where that is checked by a pattern nobody wants to read; else `None`."""
    section, _, key = where.partition(".")
    field = _section_of(Settings.model_fields[section])[key]
    is_pattern = any(getattr(rule, "pattern", None) for rule in field.metadata)
    return f"it should be {field.description}" if is_pattern else None


def _remedy_of(error: ValidationError, origins: dict[str, str], file: Path | None) -> str:
    """A file is not to be corrected for what a variable of the environment says."""
    wrong = {origins.get(".".join(map(str, fault["loc"][:2])), "") for fault in error.errors()}
    if all(origin.startswith(ENV_PREFIX) for origin in wrong):
        return f"Correct {', '.join(sorted(wrong))} in the environment, or unset it."
    return _remedy(file)


def _remedy(file: Path | None) -> str:
    return f"Correct {file or 'it'}, or write a fresh file with `processor config init`."
