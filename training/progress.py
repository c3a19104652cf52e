"""The progress bar of a training."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from processor.commands.console import Words


def progress(words: Words) -> Progress:
    """On stderr; none where that is no terminal, or nothing is to be said."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=words.console,
        disable=not words.shows_progress,
    )
