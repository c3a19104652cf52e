"""`processor reprocess`: reads again what was read before, and shows or stores what another model changes."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database

from processor.commands import start
from processor.commands.console import Words, print_table
from processor.commands.printing import print_json, print_line, print_pairs
from processor.commands.progression import Progression, signals
from processor.engines.choice import choose_engine
from processor.errors import Exit
from processor.patience import Stop
from processor.prediction.archive import ModelFolder, find_model
from processor.records import NumberReading, Status
from processor.rereading import Reread, Rereading
from processor.results.comparison import Pair, tally
from processor.results.database import open_database, open_read_only
from processor.results.publish import stored_name
from processor.results.replacement import StoredScan, stored_scans
from processor.results.tables import write_all_numbers
from processor.settings import LoadedSettings, Outputs


def reprocess(
    settings: LoadedSettings,
    files: Sequence[str],
    *,
    model: str | None,
    diff: bool,
    as_json: bool,
    words: Words,
) -> Exit:
    """Reads scans again with `model` (none: the one the settings name); with `diff` nothing is stored.

    Raises BadSettings, BadModel, BadDatabase, BadCommand.
    """
    started = time.monotonic()
    start.check_settings(settings)
    if not diff:
        start.check_folders(settings)
    chosen = find_model(settings.models_archive, model or settings.values.recognition.model)
    try:
        with _database(settings, diff) as database:
            scans = stored_scans(database, files)
            _say_other_settings(scans, settings, words)
            rereads = _read(settings, scans, database, chosen, diff=diff, words=words)
            if not diff and any(reread.fault is None for reread in rereads):
                write_all_numbers(database, settings.results / "numbers.csv")
    except KeyboardInterrupt:
        words.warn("Interrupted: the scans that were not finished keep the records they have.")
        return Exit.INTERRUPTED
    document = _document(chosen, scans, rereads, stored=not diff)
    document["seconds"] = round(time.monotonic() - started, 3)
    print_json(document) if as_json else _print(document)
    return Exit.SOME_FAILED if document["faults"] else Exit.DONE


@contextmanager
def _database(settings: LoadedSettings, diff: bool) -> Iterator[Database]:
    """To be written to, or, where nothing is stored, a copy of it as it stands now."""
    with ExitStack() as left:
        if diff:
            folder = left.enter_context(tempfile.TemporaryDirectory())
            database = open_read_only(settings.database_url, copy_in=Path(folder))
        else:
            database = open_database(settings.database_url)
        left.callback(database.dispose)
        yield database


def _read(
    settings: LoadedSettings,
    scans: Sequence[StoredScan],
    database: Database,
    model: ModelFolder,
    *,
    diff: bool,
    words: Words,
) -> list[Reread]:
    reading = _without_pictures(settings) if diff else settings
    stop = Stop()
    rereads: list[Reread] = []
    with _staging(settings, diff) as staging, Progression(words, once=True) as progress, signals(stop, words):
        progress.listed(len(scans))
        engine = choose_engine(reading, folders=(staging, model.path))
        engine.expect(len(scans))
        rereading = Rereading(
            database, engine, model=model, results=settings.results, staging=staging, stores=not diff
        )
        try:
            for reread in rereading.read(scans, lambda: stop.asked):
                rereads.append(reread)
                progress.ended(
                    reread.scan.file, *(("failed", str(reread.fault)) if reread.fault else ("done", ""))
                )
        finally:
            engine.close()
    return sorted(rereads, key=lambda reread: reread.scan.id)


@contextmanager
def _staging(settings: LoadedSettings, diff: bool) -> Iterator[Path]:
    """Beside the results where they are to be published, and away from them where nothing is stored.

    A cluster has only the results in common.
    """
    if diff and settings.values.workers.engine == "local":
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        with start.staging(settings.results) as staging:
            yield staging


def _without_pictures(settings: LoadedSettings) -> LoadedSettings:
    values = settings.values.model_copy(update={"outputs": Outputs(annotated="none")})
    return LoadedSettings(values, settings.base, settings.file, settings.origins)


def _say_other_settings(scans: Sequence[StoredScan], settings: LoadedSettings, words: Words) -> None:
    digest = settings.values.reading_digest()
    others = sum(scan.settings_digest != digest for scan in scans)
    if others:
        words.warn(
            f"{others} of {len(scans)} scans were read under other settings: "
            "not all that differs is the model's doing."
        )


def _document(
    model: ModelFolder, scans: Sequence[StoredScan], rereads: Sequence[Reread], *, stored: bool
) -> dict[str, Any]:
    faults = [(reread.scan, reread.fault) for reread in rereads if reread.fault is not None]
    return {
        "model": model.name,
        "stored": stored,
        "scans": len(scans),
        "read": len(rereads) - len(faults),
        "not_read": len(scans) - len(rereads) + len(faults),
        **tally([pair for reread in rereads for pair in reread.pairs]),
        "changes": [
            _change(reread.scan, pair)
            for reread in rereads
            for pair in reread.pairs
            if pair.change is not None
        ],
        "faults": [
            {
                "scan_id": scan.id,
                "file": stored_name(scan.file),
                "message": fault.message,
                "remedy": fault.remedy,
            }
            for scan, fault in faults
        ],
    }


def _change(scan: StoredScan, pair: Pair) -> dict[str, Any]:
    return {
        "scan_id": scan.id,
        "file": stored_name(scan.file),
        "page": pair.page,
        "change": pair.change,
        "by_a_person": pair.before is not None and pair.before.status is Status.CORRECTED,
        "before": _shown(pair.before),
        "after": _shown(pair.after),
    }


def _shown(number: NumberReading | None) -> dict[str, Any] | None:
    if number is None:
        return None
    box = number.box
    return {
        "text": number.text,
        "status": number.status,
        "confidence": number.confidence,
        **{"x": box.x, "y": box.y, "width": box.width, "height": box.height},
    }


def _print(document: dict[str, Any]) -> None:
    if document["changes"]:
        rows = [
            (
                change["file"],
                change["page"],
                change["change"],
                *_cells(change["before"]),
                *_cells(change["after"]),
            )
            for change in document["changes"]
        ]
        print_table(("file", "page", "change", "before", "", "", "after", "", ""), rows)
        print_line()
    print_pairs({name: value for name, value in document.items() if not isinstance(value, list)})


def _cells(number: dict[str, Any] | None) -> tuple[object, object, object]:
    return (number["text"], number["status"], f"{number['confidence']:.4f}") if number else ("", "", "")
