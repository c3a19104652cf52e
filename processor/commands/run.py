"""`processor run`: reads what is there, or what arrives, and tells at its end what came of it."""

import time
from collections.abc import Sequence
from pathlib import Path

from processor.commands.assembly import Run, assembled
from processor.commands.console import Words
from processor.commands.printing import print_json
from processor.commands.progression import Progression, signals
from processor.commands.summary import report, say_passed_over, say_summary
from processor.errors import Exit
from processor.patience import Stop
from processor.settings import LoadedSettings


def run(
    settings: LoadedSettings,
    paths: Sequence[Path],
    *,
    once: bool,
    as_json: bool,
    words: Words,
    metrics_port: int | None = None,
) -> Exit:
    """Reads what lies at `paths` (none: the inbox), and, unless `once`, what arrives until it is stopped.

    Raises BadSettings, BadModel, BadDatabase, BadCommand.
    """
    started = time.monotonic()
    stop = Stop()
    try:
        with (
            signals(stop, words),
            Progression(words, once) as listener,
            assembled(
                settings, paths, once=once, listener=listener, stop=stop, metrics_port=metrics_port
            ) as done,
        ):
            _go(done, once=once, words=words)
    except KeyboardInterrupt:
        words.warn("Interrupted: the scans under way were given back to the queue.", "run.interrupted")
        return Exit.INTERRUPTED
    counts = report(done.custody.tally, time.monotonic() - started, done.succession.in_use.name)
    if as_json:
        print_json(counts)
    else:
        say_summary(counts, settings, words)
    if once:
        say_passed_over(done.places, settings, words)
    left = counts["pending"] or done.custody.owes
    return Exit.SOME_FAILED if once and (counts["failed"] or (left and not stop.asked)) else Exit.DONE


def _go(ready: Run, *, once: bool, words: Words) -> None:
    if once:
        ready.daemon.once()
    else:
        watched = ", ".join(str(place.path) for place in ready.places)
        words.say(f"Watching {watched}; Ctrl-C stops.", "run.watching")
        ready.daemon.watch()
