"""The command line of `training`: which command does what is in `training.commands`."""

import sys

import typer

from processor.commands.options import Quiet, SettingsFile
from processor.errors import DigitInboxError
from training.commands import archiving, fetching, fitting, judging, strips

app = typer.Typer(
    help="Trains the models that read digits, judges them, and puts them into service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(fitting.fit)
app.command()(strips.strips)
app.command()(judging.evaluate)
app.command()(judging.calibrate)
app.command()(archiving.publish)
app.command()(archiving.promote)
app.command()(archiving.rollback)
app.command("list")(archiving.list_models)
app.command()(archiving.prune)
app.command()(fetching.download)


@app.callback()
def program(context: typer.Context, settings: SettingsFile = None, quiet: Quiet = False) -> None:
    context.obj = {"settings": settings, "quiet": quiet}


def main() -> None:
    """The entry point of the console script: the one place that turns errors into messages and exit codes."""
    try:
        app()
    except DigitInboxError as error:
        from processor.commands.console import Words

        Words().fail(error)
        sys.exit(error.exit_code)
