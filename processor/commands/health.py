"""`processor health`: whether the daemon of these settings works, as an exit code."""

import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from processor.commands.printing import print_json, print_line
from processor.errors import DigitInboxError, Exit
from processor.pulse import DaemonState, Sign, signs, told
from processor.results.database import open_read_only
from processor.settings import LoadedSettings

FULL_BYTES = 1_000_000
"""With less, not even the outputs of one page can be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`reason` says why, also where all is well; `state` and `beat_at` are those of the daemon."""

    healthy: bool
    reason: str
    state: str | None = None
    beat_at: datetime | None = None


def health(load: Callable[[], LoadedSettings], *, as_json: bool) -> Exit:
    """Prints whether a daemon works here; whatever keeps this from being told, is a reason, too."""
    try:
        settings = load()
        database = open_read_only(settings.database_url, older=True)
        try:
            verdict = _with_room(judge(signs(database), datetime.now(UTC)), settings.results)
        finally:
            database.dispose()
    except DigitInboxError as error:
        verdict = Verdict(healthy=False, reason=str(error))
    if as_json:
        print_json(asdict(verdict))
    else:
        print_line(f"{'healthy' if verdict.healthy else 'not healthy'}: {verdict.reason}")
    return Exit.DONE if verdict.healthy else Exit.SOME_FAILED


def judge(found: Sequence[Sign], now: datetime) -> Verdict:
    """Healthy where a daemon of this machine turns its loop, and none hangs beside it.

    One that pauses turns its loop: it waits for space on the disk or for a share, which no restart brings.
    """
    here = socket.gethostname()
    daemons = [sign for sign in found if sign.host == here and not sign.once]
    living = [sign for sign in daemons if sign.lives is not False]
    for sign in living:
        if sign.silent(now):
            since = f"{sign.beat_at:%Y-%m-%d %H:%M:%S} UTC"
            return _verdict(sign, False, f"process {sign.pid} shows no sign of life since {since}: it hangs.")
    if living:
        ago = max(0, round((now - living[-1].beat_at).total_seconds()))
        reason = f"{told(living[-1].state, living[-1].facts)} (process {living[-1].pid}, {ago} s ago)"
        return _verdict(living[-1], True, reason)
    if daemons:
        return _verdict(daemons[-1], False, f"process {daemons[-1].pid} {daemons[-1].end}")
    elsewhere = sorted({sign.host for sign in found if sign.host != here and not sign.once})
    others = f"; one runs on {', '.join(elsewhere)}" if elsewhere else ""
    return Verdict(healthy=False, reason=f"no daemon of these settings runs on {here}{others}.")


def _with_room(verdict: Verdict, results: Path) -> Verdict:
    """The same, unless the disk is full and the daemon does not pause for it: nothing it reads is kept."""
    if not verdict.healthy or verdict.state == DaemonState.PAUSED:
        return verdict
    try:
        free = shutil.disk_usage(results).free
    except OSError:
        return verdict  # the daemon tells of results that are away
    if free >= FULL_BYTES:
        return verdict
    reason = (
        f"no room is left below {results}: nothing can be written, and limits.min_free_mb pauses nothing."
    )
    return replace(verdict, healthy=False, reason=reason)


def _verdict(sign: Sign, healthy: bool, reason: str) -> Verdict:
    return Verdict(healthy=healthy, reason=reason, state=sign.state.value, beat_at=sign.beat_at)
