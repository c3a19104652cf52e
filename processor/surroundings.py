"""What a run stands on: the results folder and the database. A share that is away comes back by itself."""

from pathlib import Path

from sqlalchemy import Engine

from processor.errors import Away
from processor.results.database import open_database

_Mark = tuple[int, int]


class Surroundings:
    """Looks whether they are where they were when the run began.

    A results folder that was unmounted or renamed leaves an open database behind that takes every row, while
    the files would go to whatever has the folder's name now.
    """

    def __init__(self, database: Engine, *, staging: Path) -> None:
        self._database = database
        self._staging = staging
        name = database.url.database if database.dialect.name == "sqlite" else None
        self._file = Path(name).absolute() if name else None
        self._known = self._look()

    def check(self) -> None:
        """Raises Away while something is away, BadDatabase where another database took its place."""
        found = self._look()
        if found == self._known:
            return
        # The same share has another device number once it is mounted again, and connections lead nowhere.
        self._database.dispose()
        open_database(self._database.url.render_as_string(hide_password=False), create=False).dispose()
        self._known = found

    def _look(self) -> _Mark | None:
        """What tells the database's file from another; `None` for a database on a server."""
        needed = self._staging
        try:
            needed.stat()
            if self._file is None:
                return None
            needed = self._file
            found = needed.stat()
        except OSError as error:
            raise Away(
                f"{needed} is away: {error.strerror}.", "Bring it back, or start the program again."
            ) from None
        return found.st_dev, found.st_ino
