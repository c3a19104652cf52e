"""Options that several commands share, beside those of `processor`, and the folders that they lead to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from processor.settings import LoadedSettings

# Every command imports its own code when it runs: `training --help` must not wait for torch.

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="The folder of the data sets.",
        show_default="training.data of the settings",
    ),
]
OwnStrips = Annotated[
    Path | None,
    typer.Option(
        "--own",
        metavar="FOLDER",
        help="Images of one number each, for the second reader.",
        show_default="none",
    ),
]
OwnTable = Annotated[
    Path | None,
    typer.Option(
        "--table",
        metavar="FILE",
        help="Their numbers: file,digits.",
        show_default="truth.csv beside them",
    ),
]
ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A published model, `current`, or a run's folder.")
]


def data_of(settings: "LoadedSettings", data: Path | None, *, made: bool = False) -> Path:
    """The folder of the data sets: the one this command was given, or that of the settings.

    Raises BadCommand where a folder that was given is not there, unless it is to be `made`: a mistyped path
    would otherwise pass for a folder without test sets. Many projects have none, so the settings' may lack.
    """
    if data is None:
        return settings.training_data
    if not made and not data.is_dir():
        from processor.errors import BadCommand

        what = "is a file" if data.exists() else "does not exist"
        raise BadCommand(
            f"--data {data}: this {what}; expected the folder that holds the data sets.",
            "Correct the path, or fetch data sets into it with `training download`.",
        )
    return data


def refuse_lone_table(own: Path | None, table: Path | None) -> None:
    """Raises BadCommand where a table is named, and no folder of strips."""
    if table is not None and own is None:
        from processor.errors import BadCommand

        raise BadCommand(f"--table {table} names numbers of no strips.", "Name their folder with --own.")


def find_folder(settings: "LoadedSettings", model: str) -> Path:
    """A run's folder where there is one of that name, otherwise the archive's model. Raises BadModel."""
    from processor.prediction.archive import MANIFEST, find_model

    if (Path(model) / MANIFEST).is_file():
        return Path(model)
    return find_model(settings.models_archive, model).path
