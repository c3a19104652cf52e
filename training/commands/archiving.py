"""What changes the archive: `training publish`, `promote`, `rollback`, `prune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from processor.commands.options import Json, Quiet, SettingsFile, settings_of, words_of
from training.commands.options import DataFolder, OwnStrips, OwnTable, data_of, refuse_lone_table

if TYPE_CHECKING:
    from processor.commands.console import Words
    from training.promotion import Decision

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")]


def publish(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name in the archive.")],
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Copy a finished run into the archive, where it never changes again."""
    from processor.commands.printing import print_line
    from training.publish import own_archive, publish

    words = words_of(context, quiet)
    print_line(str(publish(run, own_archive(settings_of(context, settings)), name, words.say).path))


def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published model.")],
    force: Annotated[
        bool,
        typer.Option("--force", help="Put it into service even where it is worse; says what it overrides."),
    ] = False,
    own: OwnStrips = None,
    table: OwnTable = None,
    data: DataFolder = None,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Put a published model into service, unless it is worse than the one in use."""
    refuse_lone_table(own, table)
    loaded, words = settings_of(context, settings), words_of(context, quiet)
    from processor.prediction.archive import find_model
    from training.gate_sets import gate_sets, strip_gate_sets
    from training.promotion import promote
    from training.publish import own_archive

    folder, archive = data_of(loaded, data), own_archive(loaded)
    # Before the gates: a mistyped name must not wait for test sets to be read.
    find_model(archive, name)
    sets = gate_sets(loaded, folder, words.say)
    strips = strip_gate_sets(archive, name, folder, own=own, table=table, settings=loaded, notice=words.say)
    _tell(promote(archive, name, sets=sets, strips=strips, force=force, notice=words.say), words)


def rollback(context: typer.Context, settings: SettingsFile = None, quiet: Quiet = False) -> None:
    """Go back to the model that was in use before; again, further back."""
    loaded, words = settings_of(context, settings), words_of(context, quiet)
    from training.promotion import rollback
    from training.publish import own_archive

    _tell(rollback(own_archive(loaded), words.say), words)


def prune(
    context: typer.Context,
    keep: Annotated[
        int, typer.Option(min=0, help="So many of the newest models stay whatever they are.")
    ] = 5,
    dry_run: DryRun = False,
    as_json: Json = False,
    settings: SettingsFile = None,
    quiet: Quiet = False,
) -> None:
    """Remove old models that nothing refers to any more."""
    loaded, words = settings_of(context, settings), words_of(context, quiet)
    from processor.commands.console import print_table
    from processor.commands.printing import print_json
    from training.pruning import prune
    from training.publish import own_archive

    listed = prune(own_archive(loaded), loaded, keep=keep, dry_run=dry_run, notice=words.warn)
    gone = [found for found in listed if not found.kept]
    freed = round(sum(found.megabytes for found in gone), 3)
    rows = [(found.name, found.created_at, round(found.megabytes, 3), found.kept) for found in listed]
    if as_json:
        names = ("name", "created_at", "megabytes", "kept")
        found_rows = [dict(zip(names, row, strict=True)) for row in rows]
        print_json({"dry_run": dry_run, "freed_megabytes": freed, "models": found_rows})
    else:
        what = "would be removed" if dry_run else "removed"
        print_table(("model", "created", "MB", "why"), [(*row[:3], row[3] or what) for row in rows])
    words.say(f"{len(gone)} of {len(listed)} models {'would go' if dry_run else 'are gone'}: {freed:g} MB.")


def _tell(decision: "Decision", words: "Words") -> None:
    """Every gate that was overridden by name; of the others, the sets as wholes."""
    for gate in decision.gates:
        if not gate.passed:
            words.warn(f"overridden: {gate}")
        elif "digit " not in gate.name:
            words.say(str(gate))
    before = decision.previous or "none"
    again = " already" if before == decision.model.name else f"; before: {before}"
    words.say(f"{decision.model.name} is the model in use{again}.")
