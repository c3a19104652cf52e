"""How much memory a training takes: itself and the processes that make its batches."""

import multiprocessing
import os
import sys
from pathlib import Path


class Peak:
    """The most memory seen so far, in MB; it is looked at now and then."""

    def __init__(self) -> None:
        self.together_mb = 0.0

    def look(self) -> None:
        """Adds up what this process and its children hold now, pages that they share only once."""
        processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
        self.together_mb = max(self.together_mb, sum(_share_mb(process) for process in processes))

    @property
    def mb(self) -> float | None:
        """None where the system does not tell.

        The most that this process alone ever held counts as well. The system's figure for ended children does
        not: on Linux it begins with what the parent held when they were started.
        """
        if sys.platform == "win32":
            return None
        import resource

        # Linux counts in KiB, macOS in bytes.
        unit = 1024**2 if sys.platform == "darwin" else 1024
        alone = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return round(max(alone, self.together_mb), 1)


def _share_mb(process: int | None) -> float:
    """A process's proportional share (PSS); 0 where it has ended, or the system is not Linux."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
