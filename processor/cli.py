"""The command line of `processor`: what each command takes is in `processor.commands.parsing`."""

from typing import Annotated

import typer

from processor.commands.options import Quiet, SettingsFile
from processor.commands.parser import Program
from processor.commands.parsing import looking, reading, tending
from processor.commands.program import run_program

# Every command imports its own code when it runs: `processor --help` must not wait for torch or pandas.

app = Program(
    help="Reads handwritten numbers off scanned forms: an inbox folder in, a database you can query out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config = Program(help="Show the settings in force, or write a fresh settings file.", no_args_is_help=True)

app.command()(reading.run)
app.command()(reading.read)
app.command()(looking.status)
app.command()(looking.health)
app.command()(looking.results)
app.command()(looking.query)
app.command()(looking.export)
app.command()(looking.show)
app.command()(reading.reprocess)
app.command()(tending.verify)
app.command()(reading.retry)
app.command()(reading.dismiss)
app.command()(tending.doctor)
app.command()(tending.models)
app.add_typer(config, name="config")
config.command("show")(tending.config_show)
config.command("init")(tending.config_init)


def _print_version(wanted: bool) -> None:
    if wanted:
        from processor import __version__

        typer.echo(f"processor {__version__}")
        raise typer.Exit


@app.callback()
def program(
    context: typer.Context,
    settings: SettingsFile = None,
    quiet: Quiet = False,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop."),
    ] = False,
) -> None:
    context.obj = {"settings": settings, "quiet": quiet}


def main() -> None:
    """The entry point of the console script."""
    run_program(app)
