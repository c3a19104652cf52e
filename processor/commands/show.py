"""`processor show`: what is known of one scan, a line a number, or every digit and every rejected mark."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processor.commands.console import Words, print_table
from processor.commands.printing import print_json, print_line, print_pairs
from processor.errors import BadCommand
from processor.results.database import open_database
from processor.results.originals import find_original
from processor.results.publish import file_name, output_name
from processor.results.queries import NumberReport, PageReport, ScanReport, scan_report
from processor.settings import LoadedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What of a scan is shown: a page or all, a number or all; `full`: its digits and what was left out."""

    page: int | None = None
    number: int | None = None
    full: bool = False


def show(
    settings: LoadedSettings, file: str, part: Part, *, as_json: bool, save: Path | None, words: Words
) -> None:
    """Prints what is known of one scan, and writes pictures of it into the folder `save`.

    Raises BadDatabase, BadCommand, and BadScan where there is no original to take pictures of.
    """
    database = open_database(settings.database_url, create=False)
    try:
        found = _narrowed(scan_report(database, file), part)
    finally:
        database.dispose()
    if save is not None:
        count = _save_strips(settings, found, save)
        pictures = "1 picture of a number" if count == 1 else f"{count} pictures of numbers"
        rejected = "" if part.number else ", and one of what each page's rejected marks are"
        words.say(f"{pictures}{rejected}: {save}")
    if as_json:
        print_json({**found.scan, "pages": [_page_document(page) for page in found.pages]})
        return
    if part.number is None:
        print_pairs({name: _shown(value) for name, value in found.scan.items() if value is not None})
    for page in found.pages:
        _print_page(page, in_full=part.full or part.number is not None)
    if found.pages and not part.full and part.number is None:
        words.say("`--number N` shows the digits of a number, `--full` those of all, and what was left out.")


def _narrowed(found: ScanReport, part: Part) -> ScanReport:
    """The part of a scan that is asked for. Raises BadCommand where there is no such page, or number."""
    pages = [page for page in found.pages if part.page in (None, page.page["page"])]
    if part.page is not None and not pages:
        raise BadCommand(f"{found.scan['file']} has no page {part.page}.", _counted(len(found.pages), "page"))
    if part.number is not None:
        most = max((len(page.numbers) for page in pages), default=0)
        pages = [replace(page, numbers=_of(page, part.number), rejected=()) for page in pages]
        pages = [page for page in pages if page.numbers]
        if not pages:
            there = f"{found.scan['file']} has no number {part.number}."
            raise BadCommand(there, _counted(most, "number", "on a page at most"))
    return replace(found, pages=tuple(pages))


def _of(page: PageReport, position: int) -> tuple[NumberReport, ...]:
    return tuple(report for report in page.numbers if report.number["position"] == position)


def _counted(count: int, thing: str, where: str = "") -> str:
    return " ".join(filter(None, ["It has", str(count), thing if count == 1 else f"{thing}s", where])) + "."


def _save_strips(settings: LoadedSettings, found: ScanReport, folder: Path) -> int:
    """Saves a picture of every number of a scan, and one of what each page left out; counts numbers."""
    from processor.pages.scans import decode
    from processor.results.number_strip import number_strip, quarter_turns
    from processor.results.rejected_sheet import rejected_sheet

    scan, values = found.scan, settings.values
    file, sha256 = file_name(scan["file"]), scan["sha256"]
    source = Path(file_name(scan["source"]))
    data = find_original(source, file, sha256, settings.results, copies=True).read_bytes()
    # Pages of a PDF are drawn as they were read, whatever intake.pdf_dpi says by now: boxes are in pixels.
    dpi = next((page.page["dpi"] for page in found.pages if page.page["dpi"]), values.intake.pdf_dpi)
    numbers = {page.page["page"]: page.numbers for page in found.pages}
    rejected = {page.page["page"]: page.rejected for page in found.pages}
    turns = {page.page["page"]: quarter_turns(page.page["skew_degrees"]) for page in found.pages}
    name = output_name(file, sha256)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for page in decode(data, file, values.limits, dpi):
            for report in numbers.get(page.number, ()):
                picture = number_strip(page, report.number, report.digits, report.twice, turns[page.number])
                picture.save(folder / f"{name}-p{page.number}-n{report.number['position']}.png")
            if rejected.get(page.number):
                sheet = rejected_sheet(page, rejected[page.number], turns[page.number])
                sheet.save(folder / f"{name}-p{page.number}-rejected.png")
    except OSError as error:
        raise BadCommand(
            f"--save {folder}: {error.strerror or error}.", "Name a folder that can be written."
        ) from None
    return sum(map(len, numbers.values()))


def _page_document(page: PageReport) -> dict[str, Any]:
    return {
        **page.page,
        "numbers": [
            {**number.number, "digits": number.digits, "two_readings": _without_key(number.twice)}
            for number in page.numbers
        ],
        "rejected": page.rejected,
    }


def _without_key(twice: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {name: value for name, value in twice.items() if name != "number_id"} if twice else None


def _shown(value: object) -> object:
    """Moments to the second, and durations to a hundredth of one: nobody reads more of them."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{value:.2f}" if isinstance(value, float) else value


def _print_page(page: PageReport, *, in_full: bool) -> None:
    print_line()
    facts = page.page
    dpi = f", {facts['dpi']:g} dpi" if facts["dpi"] else ""
    size = f"{facts['width']} x {facts['height']} px{dpi}, skew {facts['skew_degrees']:.2f}°"
    print_line(f"Page {facts['page']}: {size}, annotated in {facts['annotated'] or 'no image'}")
    if in_full:
        _print_in_full(page)
        return
    if page.numbers:
        rows = [_cells(report.number, _SHORT_COLUMNS) for report in page.numbers]
        print_table(("number", *_SHORT_COLUMNS.split()[1:]), rows)
    causes = Counter(str(blob["reason"]).partition(":")[0] for blob in page.rejected)
    if causes:
        told = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
        print_line(f"Left out: {told}")


def _print_in_full(page: PageReport) -> None:
    if page.numbers:
        print_table(
            (*_NUMBER_HEADS, "first reading", "", "second reading", "", "winner", "reason"),
            [
                [
                    *_cells(n.number, _NUMBER_COLUMNS),
                    *_cells(n.twice or {}, _TWICE_COLUMNS),
                    n.number["reason"],
                ]
                for n in page.numbers
            ],
        )
        print_table(
            ("number", "digit", "confidence", "second", "", "third", "", "status", "reason"),
            [
                (number.number["position"], *_cells(digit, _DIGIT_COLUMNS))
                for number in page.numbers
                for digit in number.digits
            ],
        )
    if page.rejected:
        print_table(
            ("rejected because", "looks like", "", "second", "", "third", "", *_PLACE.split()),
            [_cells(blob, _BLOB_COLUMNS) for blob in page.rejected],
        )


_SHORT_COLUMNS = "position text confidence status reason"
_NUMBER_COLUMNS = "position text confidence status x y width height"
_NUMBER_HEADS = ("number", *_NUMBER_COLUMNS.split()[1:])
_TWICE_COLUMNS = "first first_confidence second second_confidence winner"
_DIGIT_COLUMNS = "digit confidence second second_confidence third third_confidence status reason"
_PLACE = "x y width height"
_BLOB_COLUMNS = f"reason looks_like confidence second second_confidence third third_confidence {_PLACE}"


def _cells(fields: Mapping[str, Any], names: str) -> list[Any]:
    return [fields.get(name) for name in names.split()]
