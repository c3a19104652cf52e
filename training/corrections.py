"""A person's corrections as training data: what was corrected is what the model does not know yet."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, select

from processor.errors import BadScan, Transient
from processor.pages.cleaning import clean, moved_by, to_gray, turn_quarters, upright_polarity
from processor.pages.scans import decode
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.prediction.strips import Strip, cut_strip, frame
from processor.records import Box, Page, Status
from processor.results.database import open_read_only, reading
from processor.results.originals import find_original
from processor.results.publish import file_name
from processor.results.schema import corrections, digits, numbers, pages, scans
from processor.settings import LoadedSettings
from training.alignment import align, blobs_within, cut_aligned, ignore
from training.cutting import Labelled, cut_boxes
from training.inks import NONE, Inks, collect
from training.strip_sets import StripSet

_NO_DIGIT = frozenset(("", "none"))
_NOT_DIGITS = re.compile(r"[^0-9]")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says stands in `boxes` of a page, left to right; no `digits` where it is no number.

    `number` is the number's own box where it was corrected as a whole, `miscounted` whether its digits were
    read in another count than they are.
    """

    scan: Row
    boxes: tuple[Box, ...]
    digits: str
    number: Box | None = None
    miscounted: bool = False


def corrected_digits(settings: LoadedSettings, *, notice: Callable[[str], object] = ignore) -> Inks:
    """Every digit that a person corrected, cut out of its original scan; groups are the scans.

    The last correction of a digit counts, whether it was made on the digit or on its number; one that changes
    nothing is taken back. What is said to be no digit is labelled NONE. A correction whose reading or
    original is gone, or that cannot be made out, is named to `notice` and left out.
    Raises BadDatabase where there is no database.
    """
    found = _found(settings, notice)
    cutter = _Cutter(settings, notice, _Digits(settings).cut)
    labelled: list[Labelled] = []
    groups: list[int] = []
    for scan_id, of_scan in groupby(found, key=lambda c: int(c.scan["scan_id"])):
        cut = cutter.of_scan(list(of_scan))
        labelled += cut
        groups += [scan_id] * len(cut)
    return collect("corrections", [c[0] for c in labelled], [c[1] for c in labelled], groups)


def corrected_strips(
    settings: LoadedSettings, name: str, *, notice: Callable[[str], object] = ignore
) -> StripSet:
    """The strip of every number that a person corrected as a whole, under the set's `name`.

    As of `corrected_digits`; what was said to be no number is left out.
    """
    found = [c for c in _found(settings, notice) if c.number is not None and c.digits]
    cutter = _Cutter(settings, notice, _strip)
    cut: list[tuple[Correction, Strip]] = []
    for _, of_scan in groupby(found, key=lambda c: int(c.scan["scan_id"])):
        cut += cutter.of_scan(list(of_scan))
    files, digits = tuple(str(c.scan["file"]) for c, _ in cut), tuple(c.digits for c, _ in cut)
    return StripSet(name, files, digits, tuple(strip for _, strip in cut))


def _found(settings: LoadedSettings, notice: Callable[[str], object]) -> list[Correction]:
    """The corrections that hold, those of one page together."""
    engine = open_read_only(settings.database_url)
    try:
        with reading(engine) as connection:
            found = _corrections(connection, notice)
    finally:
        engine.dispose()
    return sorted(found, key=lambda c: (c.scan["scan_id"], c.scan["page"]))


_Cut = TypeVar("_Cut")


@dataclass
class _Cutter(Generic[_Cut]):
    """Cuts corrections out of their scans; `cut` does it on an upright page, or gives nothing."""

    settings: LoadedSettings
    notice: Callable[[str], object]
    cut: Callable[[Page, Correction], list[_Cut]]

    def of_scan(self, found: Sequence[Correction]) -> list[_Cut]:
        scan, values = found[0].scan, self.settings.values
        name = str(scan["file"])
        found_here: list[_Cut] = []
        wanted = {page: list(of_page) for page, of_page in groupby(found, key=lambda c: int(c.scan["page"]))}
        try:
            path = find_original(
                Path(file_name(scan["source"])), file_name(name), scan["sha256"], self.settings.results
            )
            for page in decode(path.read_bytes(), name, values.limits, values.intake.pdf_dpi):
                found_here += self._of_page(page, wanted.pop(page.number, []))
                if not wanted:
                    break
        except (BadScan, Transient, OSError) as error:
            lost = sum(map(len, wanted.values()))
            self.notice(f"{name}: {_counted(lost)} lost, its original cannot be read ({error})")
        else:
            if wanted:
                self.notice(f"{name}: {_counted(sum(map(len, wanted.values())))} lost, it has no such page")
        return found_here

    def _of_page(self, page: Page, found: Sequence[Correction]) -> list[_Cut]:
        if not found:
            return []
        row = found[0].scan
        where = f"{row['file']}, page {page.number}"
        if (page.width, page.height) != (row["width"], row["height"]):
            self.notice(f"{where}: {_counted(len(found))} lost, it was read at another size")
            return []
        # Boxes lie on the page as it came; digits of a page on its side must not be learned lying.
        gray, back = turn_quarters(upright_polarity(to_gray(page.pixels)), round(-row["skew_degrees"] / 90))
        upwards = np.asarray(np.linalg.inv(back), np.float64)
        upright = Page(number=page.number, pixels=gray, dpi=page.dpi)
        made: list[_Cut] = []
        for correction in (_turned(correction, upwards) for correction in found):
            cut = self.cut(upright, correction)
            if not cut:
                said = correction.digits or "no digit"
                self.notice(f"{where}: the correction to {said} cannot be made out in its ink")
            made += cut
        return made


def _strip(page: Page, correction: Correction) -> list[tuple[Correction, Strip]]:
    """The corrected number as the second reader sees it, nothing where there is no ink of it."""
    paper = clean(page)
    boxes = [blob.box for blob in blobs_within(paper, correction.number)]
    return [(correction, cut_strip(paper.ink, paper.mask, frame(boxes)))] if boxes else []


@dataclass
class _Digits:
    """Cuts the digits of corrections; the model is loaded only where they were miscounted."""

    settings: LoadedSettings

    @cached_property
    def classifier(self) -> Classifier:
        values = self.settings.values.recognition
        return Classifier.load(find_model(self.settings.models_archive, values.model).path)

    def cut(self, page: Page, correction: Correction) -> list[Labelled]:
        if correction.miscounted:
            paper = clean(page)
            aligned = align(paper, correction.digits, self.classifier, correction.number)
            if aligned is None or aligned.fault:
                return []
            return cut_aligned(paper, aligned, correction.digits, with_pieces=False)
        labels = [int(d) for d in correction.digits] or [NONE] * len(correction.boxes)
        return cut_boxes(page, list(zip(labels, correction.boxes, strict=True)))


def _turned(correction: Correction, homography: NDArray[np.float64]) -> Correction:
    """The same correction, its boxes where they lie under a (3, 3) `homography` by quarter turns."""
    boxes = tuple(_moved(box, homography) for box in correction.boxes)
    number = None if correction.number is None else _moved(correction.number, homography)
    return replace(correction, boxes=boxes, number=number)


def _moved(box: Box, homography: NDArray[np.float64]) -> Box:
    corners = np.array([(box.x, box.y), (box.right, box.bottom)], np.float64)
    (x0, y0), (x1, y1) = np.sort(np.round(moved_by(homography, corners)).astype(int), axis=0).tolist()
    return Box(x0, y0, x1 - x0, y1 - y0)


def _corrections(connection: Connection, notice: Callable[[str], object]) -> list[Correction]:
    """The corrections that hold, the last one of each digit or number."""
    query = select(corrections).order_by(corrections.c.at, corrections.c.id)
    of_digit: dict[int, Correction | None] = {}
    of_number: dict[int, Correction | None] = {}
    for row in _rows(connection, query):
        was, now = _said(row["was"]), _said(row["now"])
        if row["digit_id"] is not None:
            found = _digit(connection, int(row["digit_id"]), now, notice) if was != now else None
            of_digit[int(row["digit_id"])] = found
        elif row["number_id"] is not None:
            number_id = int(row["number_id"])
            members = _members(connection, number_id)
            # The number as it is now said to be wins over what was said of its digits before.
            for member in members:
                of_digit.pop(int(member["id"]), None)
            of_number[number_id] = _number(connection, number_id, members, now) if was != now else None
        else:
            notice(f"The correction {row['id']} to {now or 'no digit'} is lost: its scan was read anew")
    return [c for c in (*of_number.values(), *of_digit.values()) if c is not None]


def _digit(
    connection: Connection, digit_id: int, now: str, notice: Callable[[str], object]
) -> Correction | None:
    columns = (digits.c.status, digits.c.x, digits.c.y, digits.c.width, digits.c.height)
    row = _place(connection, select(*_renamed(columns)).where(digits.c.id == digit_id), digits.c.page_id)
    if row is None or row["box_status"] != Status.CORRECTED:
        return None
    if len(now) > 1 or (now and not "0" <= now <= "9"):
        notice(f"{row['file']}, page {row['page']}: a digit was corrected to {now!r}, which is none")
        return None
    return Correction(row, (_box(row),), now)


def _number(connection: Connection, number_id: int, members: Sequence[Row], now: str) -> Correction | None:
    columns = (numbers.c.status, numbers.c.x, numbers.c.y, numbers.c.width, numbers.c.height)
    row = _place(connection, select(*_renamed(columns)).where(numbers.c.id == number_id), numbers.c.page_id)
    if row is None or row["box_status"] != Status.CORRECTED:
        return None
    said = _NOT_DIGITS.sub("", now)
    boxes = tuple(Box(m["x"], m["y"], m["width"], m["height"]) for m in members)
    counted = not said or len(said) == len(boxes)
    return Correction(row, boxes, said, _box(row), miscounted=not counted)


def _members(connection: Connection, number_id: int) -> list[Row]:
    query = select(digits).where(digits.c.number_id == number_id, digits.c.digit.is_not(None))
    return _rows(connection, query.order_by(digits.c.position))


def _place(connection: Connection, query: Select[Any], page_id: Any) -> Row | None:
    """The row of `query` with the page and the scan it stands on."""
    where = (pages.c.page, pages.c.width, pages.c.height, pages.c.skew_degrees)
    whence = (scans.c.id.label("scan_id"), scans.c.source, scans.c.file, scans.c.sha256)
    joined = query.add_columns(*where, *whence).join(pages, pages.c.id == page_id)
    found = _rows(connection, joined.join(scans, scans.c.id == pages.c.scan_id))
    return found[0] if found else None


def _renamed(columns: Iterable[Any]) -> list[Any]:
    """A page has a width and a height, too."""
    return [column.label(f"box_{column.name}") for column in columns]


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _box(row: Row) -> Box:
    return Box(row["box_x"], row["box_y"], row["box_width"], row["box_height"])


def _said(value: str | None) -> str:
    text = (value or "").strip()
    return "" if text.lower() in _NO_DIGIT else text


def _counted(corrections_lost: int) -> str:
    return "1 correction is" if corrections_lost == 1 else f"{corrections_lost} corrections are"
