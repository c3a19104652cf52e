"""What a run says: to the person at the terminal, to a log, or to both."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import typer

from processor.commands.console import Words
from processor.errors import BadCommand, DigitInboxError
from processor.logs import SPOKEN, LogPlan, Logs
from processor.settings import LoadedSettings

log = logging.getLogger(__name__)


class LoggedWords(Words):
    """Everything that is said is logged; it is said in sentences where stderr is no log itself."""

    def __init__(self, plan: LogPlan) -> None:
        super().__init__(plan.quiet)
        self._speaks = plan.form is None

    @property
    def shows_progress(self) -> bool:
        return self._speaks and super().shows_progress

    def say(self, text: str, event: str = "notice") -> None:
        if self._speaks:
            super().say(text, event)
        self.note(text, event)

    def warn(self, text: str, event: str = "warning") -> None:
        if self._speaks:
            super().warn(text, event)
        log.warning("%s", text, extra={"event": event, SPOKEN: True})

    def note(self, text: str, event: str) -> None:
        log.info("%s", text, extra={"event": event, SPOKEN: True})

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        listed = [tuple(row) for row in rows]
        if self._speaks:
            super().table(columns, listed)
        # Names and values stand in turn, whatever the number of columns.
        pairs = (f"{name} {value}" for row in listed for name, value in zip(row[::2], row[1::2], strict=True))
        self.note(", ".join(pairs), "summary")


@contextmanager
def speaking(plan: LogPlan) -> Iterator[Words]:
    """The voice of a run; where stderr is a log, the error that ends the run is a line of it, too.

    Raises BadCommand where the log file cannot be written.
    """
    logs = Logs(plan)
    try:
        with logs:
            yield LoggedWords(plan)
    except DigitInboxError as error:
        if plan.form is None:
            raise
        raise typer.Exit(error.exit_code) from None


def check_log_file(plan: LogPlan, settings: LoadedSettings) -> None:
    """Refuses a log in the inbox, where every line of it would wake the watch. Raises BadCommand."""
    inbox = settings.inbox.resolve()
    if plan.file is not None and plan.file.resolve().is_relative_to(inbox):
        raise BadCommand(f"--log-file {plan.file} lies in the inbox {inbox}.", "Name a file elsewhere.")
