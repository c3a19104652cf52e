"""`processor status`: how the runs are, what waits, and what the database holds."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select

from processor.commands.printing import print_json, print_line, print_pairs
from processor.errors import BadModel
from processor.intake.passed_over import no_scans, passed_over
from processor.intake.places import Place
from processor.prediction.archive import current_name
from processor.pulse import Facts, Sign, signs
from processor.results.database import journal_mode, open_read_only, reading, size_in_bytes
from processor.results.progress import Progress, progress
from processor.results.queries import Fields, in_review, refusal, summary
from processor.results.schema import scans
from processor.settings import LoadedSettings

Line = tuple[str, str]


def status(settings: LoadedSettings, *, as_json: bool) -> None:
    """Prints how it goes, and the counts over the whole database. Raises BadDatabase."""
    now = datetime.now(UTC)
    database = open_read_only(settings.database_url, older=True)
    try:
        counts, runs, queue = counted(database, settings), signs(database), progress(database, now)
        surroundings = _surroundings(database, settings)
        inbox = _of_inbox(database, settings)
    finally:
        database.dispose()
    if as_json:
        of_runs = [{**asdict(sign), "silent": sign.silent(now)} for sign in runs]
        print_json({**counts, "daemons": of_runs, **asdict(queue), **surroundings, "inbox": inbox})
        return
    queued = (*_of_queue(queue, now), ("inbox", _told_of_inbox(settings, inbox)))
    for name, text in (*_of_runs(runs, now), *queued, *_of_surroundings(surroundings)):
        print_line(f"{name:<12}  {text}")
    if left := counts.pop("numbers_in_review"):
        print_line(f"to look at    {left} of {counts['numbers']} numbers: processor results --status review")
    if refused := counts.pop("refused_model"):
        named = refused["name"] or "what CURRENT names"
        print_line(f"refused       {named}, since {_moment(refused['at'])}; {refused['in_use']} reads on")
        print_line(f"              {refused['reason']}")
    print_line()
    print_pairs(counts)


def counted(database: Engine, settings: LoadedSettings) -> dict[str, Any]:
    """The counts of all scans; `seconds` is the reading time of those that are done. Raises BadDatabase."""
    found, refused = summary(database), refusal(database)
    with reading(database) as connection:
        seconds = connection.execute(select(func.coalesce(func.sum(scans.c.seconds), 0.0))).scalar_one()
    counts = asdict(found)
    return {
        **counts,
        **found.trust(),
        "numbers_in_review": in_review(database),
        "seconds": round(seconds, 3),
        "pages_per_second": round(counts["pages"] / seconds, 3) if seconds > 0 else 0.0,
        "model": _model_in_use(settings, refused),
        "refused_model": refused,
    }


def _model_in_use(settings: LoadedSettings, refused: Fields | None) -> str | None:
    """The model that the next scan would be read with; `None` where there is none, which stops no query."""
    name = settings.values.recognition.model
    if name != "current":
        return name
    try:
        named: str | None = current_name(settings.models_archive)
    except BadModel:
        named = None
    # The model of before reads on where a running daemon refused what CURRENT names.
    return str(refused["in_use"]) if refused and refused["name"] == named else named


def _surroundings(database: Engine, settings: LoadedSettings) -> dict[str, Any]:
    """What the runs depend on; `None` for what cannot be told."""
    try:
        free_mb: float | None = round(shutil.disk_usage(settings.results).free / 1e6, 1)
    except OSError:
        free_mb = None
    return {
        "results": settings.results,
        "free_mb": free_mb,
        "min_free_mb": settings.values.limits.min_free_mb,
        "database": database.url.render_as_string(hide_password=True),
        "database_bytes": size_in_bytes(database),
        "journal_mode": journal_mode(database),
    }


def _of_inbox(database: Engine, settings: LoadedSettings) -> Fields | None:
    """What lies there and no run has seen; `None` where it cannot be reached."""
    folder = settings.inbox.resolve()
    if not folder.is_dir():
        return None
    found = passed_over([Place(folder, folder)], settings.values.intake, database=database)
    return {"path": folder, **asdict(found)}


def _told_of_inbox(settings: LoadedSettings, found: Fields | None) -> str:
    if found is None:
        return f"{settings.inbox.resolve()}: cannot be reached"
    told = []
    least = "" if found["complete"] else "at least "
    if found["unseen"]:
        told.append(f"{least}{_scans(found['unseen'])} that no run has seen (first: {found['first_unseen']})")
    if found["no_scans"]:
        told.append(f"{least}{no_scans(found['no_scans'], found['first_no_scan'])}")
    return f"{found['path']}: {'; '.join(told) or 'nothing that no run has seen'}"


def _scans(count: int) -> str:
    return "1 scan" if count == 1 else f"{count} scans"


def _of_runs(runs: Sequence[Sign], now: datetime) -> Iterator[Line]:
    if not runs:
        yield "daemon", "none runs"
    for sign in runs:
        what = "run --once" if sign.once else "daemon"
        state = f"{sign.state.value}, started {_moment(sign.started_at)}"
        if sign.end is not None:
            state = sign.end
        elif sign.silent(now):
            state = f"hangs ({sign.state.value})"
        beat = f"last sign of life {_age(now - sign.beat_at)} ago"
        yield what, f"{state}; process {sign.pid} on {sign.host}, {beat}"
        if sign.lives is not False:
            yield from _of_facts(sign.facts)


def _of_facts(facts: Facts) -> Iterator[Line]:
    if facts.get("paused"):
        yield "paused", str(facts["paused"])
    elif facts.get("away"):
        yield "away", str(facts["away"])
    if "workers" in facts:
        rate = f"{facts.get('scans_per_minute', 0):.1f} scans a minute"
        yield "", f"{facts['workers']} workers, model {facts.get('model')}, {rate}"
    for watch in facts.get("watch") or ():
        why = f" ({watch['why']})" if watch.get("why") else ""
        canary = (
            f"; canary {watch['canary']} at {_stamp(watch['canary_at'])}" if watch.get("canary_at") else ""
        )
        restarts = f"; restarts: {watch['restarts']}" if watch.get("restarts") else ""
        yield "watch", f"{watch['path']}: {watch['mode']}{why}{canary}{restarts}"
    if facts.get("last_error"):
        yield "last error", f"{_stamp(facts.get('last_error_at'))}: {facts['last_error']}"


def _of_queue(queue: Progress, now: datetime) -> Iterator[Line]:
    waiting = f"{queue.scans['queued']} waiting, {queue.scans['running']} being read"
    later = f"; {queue.due_later} due later" if queue.due_later else ""
    if queue.next_due is not None:
        later += f", the next at {_moment(queue.next_due)}"
    yield "queue", f"{waiting}{later}; {queue.finished_last_hour} finished in the last hour"
    if queue.oldest_waiting:
        oldest = queue.oldest_waiting
        since = _age(now - oldest["queued_at"])
        yield "oldest", f"{oldest['file']} (id {oldest['id']}) waits for {since}"
    if queue.last_failure:
        failed = queue.last_failure
        yield "last failed", f"{_moment(failed['at'])}: {failed['message']} (id {failed['id']})"


def _of_surroundings(known: Fields) -> Iterator[Line]:
    free = "cannot be reached" if known["free_mb"] is None else f"{known['free_mb']:.0f} MB free"
    yield "results", f"{known['results']}: {free}, paused below {known['min_free_mb']:g} MB"
    size = "" if known["database_bytes"] is None else f", {known['database_bytes'] / 1e6:.1f} MB"
    yield "database", f"{known['database']}{size}, journal {known['journal_mode']}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _stamp(text: str | None) -> str:
    return _moment(datetime.fromisoformat(text)) if text else "?"


def _age(passed: timedelta) -> str:
    seconds = max(0.0, passed.total_seconds())
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
