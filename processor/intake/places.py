"""Places: the folders and files that a run looks at."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a file that a run looks at, in the inbox `root`; `named` is a file as a person gave it."""

    path: Path
    root: Path
    named: str | None = None
