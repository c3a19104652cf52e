"""The command line of `training`: which command does what is in `training.commands`."""

import typer

from processor.commands.options import Quiet, SettingsFile
from processor.commands.parser import Program
from processor.commands.parsing import tending
from processor.commands.program import run_program
from training.commands import archiving, fetching, fitting, judging, strips

app = Program(
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
app.command("list")(tending.models)
app.command()(archiving.prune)
app.command()(fetching.download)


@app.callback()
def program(context: typer.Context, settings: SettingsFile = None, quiet: Quiet = False) -> None:
    context.obj = {"settings": settings, "quiet": quiet}


def main() -> None:
    """The entry point of the console script."""
    run_program(app)
