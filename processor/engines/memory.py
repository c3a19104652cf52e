"""A process that ends itself before its memory harms the machine."""

import os
import threading
import time
from collections.abc import Callable

import psutil

OVER_LIMIT = 77
"""The exit status that tells the parent why; no signal and no error of Python's gives it."""

LOOK_SECONDS = 0.1


def limit_memory(megabytes: float, leave_word: Callable[[], None] | None = None) -> None:
    """Ends this process with status `OVER_LIMIT` once it holds more than `megabytes` (10^6 bytes) of memory.

    A limit of the system (RLIMIT_AS) counts addresses, of which torch reserves gigabytes without using them;
    what is counted here is memory in use. Where it fails: one step that takes gigabytes within a tenth of a
    second is over before anybody looked. `leave_word` is called before, where the status reaches nobody.
    """
    threading.Thread(target=_watch, args=(megabytes * 1e6, leave_word), name="memory", daemon=True).start()


def _watch(limit: float, leave_word: Callable[[], None] | None) -> None:
    process = psutil.Process()
    while process.memory_info().rss <= limit:
        time.sleep(LOOK_SECONDS)
    if leave_word is not None:
        leave_word()
    # Nothing is cleaned up: what the scan made lies in its staging folder, which the parent removes.
    os._exit(OVER_LIMIT)
