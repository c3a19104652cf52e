"""`processor config show` and `config init`."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from processor.commands.console import Words, print_table
from processor.commands.printing import print_json
from processor.errors import BadCommand, BadSettings
from processor.settings import LoadedSettings, Settings, load

_HEADER = """\
# Settings of digit-inbox. Every key stands here with its default, commented out: remove the `#` to set one.
# The environment wins over this file (PROCESSOR_<SECTION>__<KEY>), flags win over both.
# `processor config show` tells where each value came from.
"""


def show(settings: LoadedSettings, *, as_json: bool) -> None:
    """Prints every setting with its value and origin, but no password."""
    # It takes SQLAlchemy along, which `config init` can do without.
    from processor.results.address import without_password

    values = {
        f"{section}.{key}": value
        for section, content in settings.values.model_dump(mode="json").items()
        for key, value in content.items()
    }
    origins = dict(settings.origins)
    if settings.models_archive != settings.base / settings.values.paths.models_archive:
        # There is no such folder here: the models that came with the program are used.
        values["paths.models_archive"] = str(settings.models_archive)
        origins["paths.models_archive"] = "came with the program"
    # What is shown is sent to others who are to help.
    values["database.url"] = without_password(values["database.url"])
    if as_json:
        print_json(
            {
                "file": str(settings.file.resolve()) if settings.file else None,
                "folder": str(settings.base),
                "settings": {
                    name: {"value": value, "origin": origins[name]} for name, value in values.items()
                },
            }
        )
        return
    rows = ((name, _toml(value), origins[name]) for name, value in values.items())
    print_table(("setting", "value", "from"), rows)


def init(file: Path, *, force: bool, words: Words) -> None:
    """Writes the default settings file and makes the folders it names.

    Raises BadCommand where `file` is there already and `force` is not given, BadSettings where it cannot be
    written.
    """
    if file.exists() and not force:
        raise BadCommand(f"{file} is there already; it was left as it is.", "Add --force to replace it.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(default_file(), encoding="utf-8")
        settings = load(file)
        for folder in (settings.inbox, settings.results):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(f"{error.filename}: {error.strerror}.", "Choose another place.") from None
    words.say(f"Wrote {file}. Scans go into {settings.inbox}, results into {settings.results}.")


def default_file() -> str:
    """The settings file with every key commented out: its meaning, what it may be, and its default."""
    parts = [_HEADER]
    for name, section in Settings.model_fields.items():
        parts.append(f"\n[{name}]\n")
        model = section.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        schema = model.model_json_schema()["properties"]
        for key, field in model.model_fields.items():
            parts.append(f"# {_meaning(field, schema[key])}\n#{key} = {_toml(field.default)}\n")
    return "".join(parts)


def _meaning(field: FieldInfo, schema: dict[str, Any]) -> str:
    limits = _range(schema)
    return f"{field.description}{f' ({limits})' if limits else ''}"


def _range(schema: dict[str, Any]) -> str:
    """What values the JSON schema of a setting allows, in words; empty where that says nothing new."""
    if "anyOf" in schema:
        return " or ".join(filter(None, (_range(part) for part in schema["anyOf"])))
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if "exclusiveMinimum" in schema:
        above = f"above {schema['exclusiveMinimum']:g}"
        return above if high is None else f"{above}, up to {high:g}"
    return "" if low is None else f"{low:g} or more"


def _toml(value: Any) -> str:
    """`value` as TOML writes it; strings, numbers, booleans and lists are the same in JSON."""
    return json.dumps(
        list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    )
