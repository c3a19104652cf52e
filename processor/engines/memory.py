"""A process that ends itself before its memory harms the machine."""

import os
import threading
import time

import psutil

OVER_LIMIT = 77
"""The exit status that tells the parent why; no signal and no error of Python's gives it."""

LOOK_SECONDS = 0.1


def limit_memory(megabytes: float) -> None:
    """Ends this process with status `OVER_LIMIT` once it holds more than `megabytes` (10^6 bytes) of memory.

    A limit of the system (RLIMIT_AS) counts addresses, of which torch reserves gigabytes without using them;
    what is counted here is memory in use. Where it fails: one step that takes gigabytes within a tenth of a
    second is over before anybody looked.
    """
    threading.Thread(target=_watch, args=(megabytes * 1e6,), name="memory", daemon=True).start()


def _watch(limit: float) -> None:
    process = psutil.Process()
    while process.memory_info().rss <= limit:
        time.sleep(LOOK_SECONDS)
    # Nothing is cleaned up: what the scan made lies in its staging folder, which the parent removes.
    os._exit(OVER_LIMIT)
