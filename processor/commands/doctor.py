"""`processor doctor`: whether everything that a run needs is in order, and what to do where it is not."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from processor.commands import checkup, checkup_database, checkup_machine
from processor.commands.checkup import Check, Level
from processor.commands.printing import print_entries, print_json
from processor.errors import DigitInboxError, Exit
from processor.settings import LoadedSettings

CHECKS: dict[str, Callable[[LoadedSettings], Iterator[Check]]] = {
    "settings": checkup.settings_found,
    "folders": checkup.folders,
    "database": checkup_database.database,
    "model": checkup.model,
    "rights": checkup.rights,
    "events": checkup.events,
    "libraries": checkup_machine.libraries,
    "machine": checkup_machine.machine,
    "clock": checkup_machine.clock,
    "terminal": checkup_machine.terminal,
}
"""In the order in which a person would mend what is wrong."""


def doctor(settings: LoadedSettings, *, as_json: bool) -> Exit:
    """Prints what was looked at, and gives the exit code of the first fault: what a run would end with."""
    logging.disable(logging.WARNING)  # what the looks warn of by the way is a line of its own here
    try:
        checks = [check for name, look in CHECKS.items() for check in _looked(name, look, settings)]
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print_json(_document(checks))
    else:
        print_entries(((c.level, c.name), (c.found, c.remedy)) for c in checks)
    return next((check.exit_code for check in checks if check.level is Level.FAULT), Exit.DONE)


def _looked(
    name: str, look: Callable[[LoadedSettings], Iterator[Check]], settings: LoadedSettings
) -> Iterator[Check]:
    """What one look tells; an error that would end a run is a fault here, and the other looks go on."""
    try:
        yield from look(settings)
    except DigitInboxError as error:
        yield Check(
            name=name,
            found=error.message,
            level=Level.FAULT,
            remedy=error.remedy,
            exit_code=error.exit_code,
        )


def _document(checks: list[Check]) -> dict[str, Any]:
    counts = {level.value: sum(check.level is level for check in checks) for level in Level}
    kept = [{key: value for key, value in asdict(check).items() if key != "exit_code"} for check in checks]
    return {**counts, "checks": kept}
