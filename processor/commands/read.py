"""`processor read`: reads scans here and now, in this process, and stores nothing."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from processor.commands import start
from processor.commands.console import Words, print_table
from processor.commands.printing import print_json, print_line
from processor.engines.tasks import attempt_file
from processor.errors import BadCommand, BadScan, DigitInboxError, Exit, Transient
from processor.intake.opening import open_regular
from processor.pages.scans import decode
from processor.pipeline import Reader, load_reader, read_page
from processor.records import Box, DigitReading, PageReading, Status
from processor.results.annotate import annotate
from processor.results.contact_sheet import contact_sheet
from processor.results.publish import output_name
from processor.settings import LoadedSettings
from processor.trust import lies_within


def read(
    settings: LoadedSettings, images: Sequence[Path], *, as_json: bool, save: Path | None, words: Words
) -> Exit:
    """Prints what is read from each page; a file that cannot be read is named, and the others are read.

    Raises BadModel, BadSettings, BadCommand.
    """
    start.check_settings(settings)
    if save is not None:
        if lies_within(save, settings.inbox):
            raise BadCommand(
                f"--save {save} lies in the inbox: the pictures would be read as scans.",
                "Name another folder.",
            )
        with _saving(save):
            save.mkdir(parents=True, exist_ok=True)
    session = _Session(settings, load_reader(settings), save)
    scans: list[dict[str, Any]] = []
    for image in images:
        pages = attempt_file(str(image), partial(session.read, image))
        if isinstance(pages, BadScan | Transient):
            words.fail(pages)
            scans.append({"file": str(image), "error": pages.message, "remedy": pages.remedy, "pages": []})
            continue
        if isinstance(pages, DigitInboxError):
            raise pages
        scans.append({"file": str(image), "error": None, "pages": [_document(page) for page in pages]})
        if not as_json:
            for page in pages:
                _print_page(image, page)
    if as_json:
        print_json({"model": session.reader.model, "scans": scans})
    if save is not None:
        words.say(f"Annotated pages and contact sheets: {save}")
    return Exit.SOME_FAILED if any(scan["error"] for scan in scans) else Exit.DONE


@dataclass(frozen=True, slots=True)
class _Session:
    """The loaded model, and the folder that pictures are saved to."""

    settings: LoadedSettings
    reader: Reader
    save: Path | None

    def read(self, image: Path) -> list[PageReading]:
        """Every page of the scan. Raises BadScan, and BadCommand where its pictures cannot be saved."""
        try:
            with open_regular(image) as stream:
                data = stream.read()
        except OSError as error:
            raise BadScan(
                f"{image} cannot be read: {error.strerror}.", "Check the name and the rights."
            ) from None
        name = output_name(str(image), hashlib.sha256(data).hexdigest())
        values = self.settings.values
        readings = []
        for page in decode(data, str(image), values.limits, values.intake.pdf_dpi, reduces=True):
            readings.append(read_page(page, self.reader))
            if self.save is not None:
                form = "png" if values.outputs.annotated == "png" else "jpg"
                with _saving(self.save):
                    annotate(page, readings[-1]).save(self.save / f"{name}-p{page.number}.{form}", quality=85)
        if self.save is not None:
            with _saving(self.save):
                contact_sheet(readings).save(self.save / f"{name}-sheet.png")
        return readings


@contextmanager
def _saving(folder: Path) -> Iterator[None]:
    """Around what is written to the folder of --save: a disk that refuses is a BadCommand."""
    try:
        yield
    except OSError as error:
        raise BadCommand(
            f"--save {folder}: {error.strerror or error}.", "Name a folder that can be written."
        ) from None


def _print_page(image: Path, page: PageReading) -> None:
    print_line(f"{image}, page {page.page}: {page.width} x {page.height} px, skew {page.skew_degrees:.2f}°")
    if not page.numbers:
        print_line("no numbers")
    for position, number in enumerate(page.numbers, 1):
        sure = "" if number.status is Status.ACCEPTED else f"  {number.status}"
        # Each of its digits may be sure, and the number is not: why is told nowhere else.
        why = f"  {number.reason}" if number.reason else ""
        print_line(f"  {position}. {number.text}  {number.confidence:.4f}{sure}{why}")
    digits = [
        (position, digit.digit, *_scores(digit), digit.status, _place(digit.box), digit.reason)
        for position, number in enumerate(page.numbers, 1)
        for digit in number.digits
    ]
    if digits:
        print_table(("number", "digit", "first", "second", "third", "status", "box", "reason"), digits)
    if page.rejected:
        print_table(
            ("rejected because", "first", "second", "third", "box"),
            [(blob.reason, *_scores(blob), _place(blob.box)) for blob in page.rejected],
        )
    print_line()


def _scores(digit: DigitReading) -> list[str]:
    scores = [f"{name} {confidence:.4f}" for name, confidence in digit.top[:3]]
    return scores + [""] * (3 - len(scores))


def _place(box: Box) -> str:
    return f"{box.x},{box.y} {box.width}x{box.height}"


def _document(page: PageReading) -> dict[str, Any]:
    return {
        "page": page.page,
        "width": page.width,
        "height": page.height,
        "dpi": page.dpi,
        "skew_degrees": page.skew_degrees,
        "numbers": [
            {
                "text": number.text,
                "digits": number.digits_only,
                "confidence": number.confidence,
                "status": number.status,
                "field": number.field,
                "reason": number.reason,
                **_box_document(number.box),
                "readings": [_digit_document(digit) for digit in number.digits],
            }
            for number in page.numbers
        ],
        "rejected": [_digit_document(blob) for blob in page.rejected],
    }


def _digit_document(digit: DigitReading) -> dict[str, Any]:
    return {
        "digit": digit.digit,
        "confidence": digit.confidence,
        "status": digit.status,
        "reason": digit.reason,
        "top": [{"digit": name, "confidence": confidence} for name, confidence in digit.top],
        **_box_document(digit.box),
    }


def _box_document(box: Box) -> dict[str, int]:
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
