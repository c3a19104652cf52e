"""How the command line explains itself: a flag has no value to name, a wrong value is told plainly."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from processor.plain_words import in_plain_words


def _without_types(params: list[Any]) -> list[Any]:
    """The parameters of a command, none of which is told by a type of Python's, as `<list[Path]>`.

    A flag is there, or it is not; a number is N; an argument has its name.
    """
    for param in params:
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: ""
        elif param.metavar is None:
            if getattr(param, "is_flag", False):
                param.metavar = ""
            elif param.type_descriptor.annotation in (int, float):
                param.metavar = "N"
    return params


class Command(TyperCommand):
    """A command of a program."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as wrong:
            wrong.message = in_plain_words(wrong.message)
            raise


class Group(TyperGroup):
    """A program, or a group of its commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


class Program(typer.Typer):
    """A program, or a group of its commands, whose commands are parsed as those here."""

    def __init__(self, **given: Any) -> None:
        super().__init__(cls=Group, **given)

    def command(self, name: str | None = None, **given: Any) -> Any:
        return super().command(name, cls=Command, **given)
