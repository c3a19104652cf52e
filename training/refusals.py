"""What is wrong with a recipe, a line for each fault: the file, the key, its value, and what is right."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

SHOWN = 60
"""So many characters of a wrong value are shown."""


def faults_of(error: ValidationError, where: str, model: type[BaseModel]) -> list[str]:
    """The faults that pydantic found while it made a `model` of what stands in the file `where`."""
    faults = error.errors(include_url=False)
    # A list of which every item is wrong is called too short as well.
    first_hand = [fault for fault in faults if fault["type"] != "too_short" or not fault["input"]]
    return [f"{where}: {_fault(fault, model)}" for fault in first_hand]


def _fault(fault: ErrorDetails, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_section(model, fault["loc"][:-1]).model_fields)
        return f"there is no key {key}; known here are {known}."
    if fault["type"] == "missing":
        return f"{key} is missing."
    right = fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if isinstance(fault["input"], dict) and fault["type"] == "value_error":
        return f"{key}: {right}."
    return f"{key} = {_shown(fault['input'])}: {right}."


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        # A number of thousands of digits is more than Python writes down.
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _section(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The part of a recipe that the keys of `place` lead to."""
    for key in place:
        field = model.model_fields.get(str(key))
        inner = [kind for kind in _classes(field.annotation) if issubclass(kind, BaseModel)] if field else []
        model = inner[0] if inner else model
    return model


def _classes(annotation: Any) -> Iterator[type]:
    """The classes that a field may hold: those within tuple[Source, ...] and A | None as well."""
    if get_origin(annotation) in {tuple, list, UnionType}:
        for part in get_args(annotation):
            yield from _classes(part)
    elif isinstance(annotation, type):
        yield annotation
