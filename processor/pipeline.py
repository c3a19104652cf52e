"""The whole story of a scan: bytes -> pages -> clean ink -> lines -> digits -> numbers -> staged outputs."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processor import __version__
from processor.errors import ContentChanged, Transient, to_write_again
from processor.gathering import gather
from processor.intake.opening import open_regular
from processor.lines import make_line, pen_width, propose_lines, read_lines
from processor.log_lines import now_at
from processor.orientation import quarter_turns
from processor.pages.cleaning import CleanPage, clean
from processor.pages.scans import decode, refuse_large
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.prediction.glyphs import batch
from processor.prediction.strip_reader import STRIPS, StripReader
from processor.records import (
    Box,
    Cause,
    DigitReading,
    Gray,
    NumberReading,
    Page,
    PageReading,
    Rejection,
    ScanResult,
    StagedFile,
    Status,
    read_otherwise,
)
from processor.rejection.doubts import judge_own, judge_touching
from processor.rejection.geometry import judge_margin, judge_resolution
from processor.rejection.open_set import READ_ONCE, LeastSure, judge_digit, least_sure
from processor.rejection.strokes import judge_slash
from processor.results.annotate import annotate
from processor.results.comparison import keep_corrected
from processor.results.publish import output_name
from processor.results.tables import scan_csv
from processor.second_reading import read_again
from processor.segmentation.blobs import Blob, find_blobs
from processor.segmentation.cutouts import LEVEL, one_line
from processor.segmentation.layout import group_lines, reading_order
from processor.segmentation.sizes import digit_heights
from processor.settings import Limits, LoadedSettings
from processor.stages import each, stage
from processor.words import Mark

GRAIN = 0.12
"""Marks smaller than this share of a digit's height are paper grain, neither looked at nor stored,"""

SMALLEST = 10
"""... and lower than so many pixels of the scan, however large the page's digits are."""


OTHER_ROW = Rejection(Cause.EDGE, "line heights from the line of the cut-out, at least", LEVEL, LEVEL)
"""On an image of one number, what stands above or below it is cut off from another row."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What a worker loads once: the network, and the confidence from which a digit is accepted."""

    classifier: Classifier
    threshold: float
    strips: StripReader | None = None
    least_sure: LeastSure = READ_ONCE
    reads_print: bool = True

    @property
    def model(self) -> str:
        return self.classifier.name

    def classify(self, cut_outs: Sequence[Gray]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cut-outs to glyphs (N, 28, 28) float32 and probabilities (N, 11) float32."""
        with stage("glyphs"):
            glyphs = batch(cut_outs)
        with stage("first network"):
            return glyphs[:, 0], self.classifier.probabilities(glyphs)


def load_reader(settings: LoadedSettings, folder: Path | None = None) -> Reader:
    """Loads the model in `folder`, or else the one that the settings name; raises BadModel."""
    recognition = settings.values.recognition
    if folder is None:
        folder = find_model(settings.models_archive, recognition.model).path
    classifier = Classifier.load(folder, recognition.device)
    strips = StripReader.load(folder) if (folder / STRIPS).is_file() else None
    budget = settings.values.rejection.max_error_rate
    return Reader(
        classifier,
        classifier.acceptance_threshold(budget),
        strips,
        least_sure(budget),
        reads_print=settings.values.segmentation.printed == "read",
    )


@stage("lines")
def read_page(page: Page, reader: Reader) -> PageReading:
    """Everything that is read from one page, with every box on the page as it came."""
    paper, blobs = _upright(page, reader)
    groups = group_lines([b.box for b in blobs], paper.digit_height)
    pen = pen_width(blobs, paper.digit_height)
    cut_out = one_line(groups, blobs, paper.mask.shape[0])
    rows: Sequence[Sequence[int]] = cut_out.groups if cut_out else groups
    heights = digit_heights(rows, [b.box for b in blobs], paper.digit_height, _smallest(paper))
    lines = [
        make_line([blobs[i] for i in row], paper.mask.shape, height, pen)
        for row, height in zip(rows, heights, strict=True)
    ]
    proposed = propose_lines(lines, paper.ink, reader.classify)
    found = read_lines(proposed)
    if cut_out is not None:
        found = [found[0], *([_of_another_row(mark) for mark in marks] for marks in found[1:])]
    if reader.strips is not None:
        core = [blobs[i].box for i in cut_out.core] if cut_out else None
        sure = reader.least_sure.contested
        found = read_again(found, proposed, paper, reader.strips, reader.classify, core, overrules=sure)
    readings = [
        _with_slashes(marks, [_reading(mark, paper, page, reader) for mark in marks]) for marks in found
    ]
    numbers, rejected = gather(
        found,
        readings,
        paper.dividers,
        paper.rulings,
        one_number=cut_out is not None,
        least=reader.least_sure,
        ink=paper.ink,
        mask=paper.mask,
        reads_print=reader.reads_print,
    )
    return PageReading(
        page=page.number,
        width=page.width,
        height=page.height,
        dpi=page.dpi,
        skew_degrees=paper.skew_degrees,
        numbers=tuple(numbers[i] for i in reading_order([n.box for n in numbers])),
        rejected=tuple(sorted(rejected, key=lambda r: (r.box.y, r.box.x))),
    )


def _upright(page: Page, reader: Reader) -> tuple[CleanPage, list[Blob]]:
    """The ink and the marks of `page`, turned by quarters where the writing shows that it lies otherwise."""
    paper = clean(page)
    blobs = _marks(paper)
    turns = quarter_turns(blobs, paper.ink, reader.classify)
    if turns:
        paper = clean(page, turns)
        blobs = _marks(paper)
    return paper, blobs


def _marks(paper: CleanPage) -> list[Blob]:
    grain = min(GRAIN * paper.digit_height, _smallest(paper))
    return find_blobs(paper.mask, least_side=max(3, round(grain)))


def _smallest(paper: CleanPage) -> float:
    """The height on the working grid of the smallest digits that are read."""
    return SMALLEST * max(1.0, paper.scale)


def process(
    source: Path,
    *,
    file: str,
    sha256: str,
    reader: Reader,
    settings: LoadedSettings,
    staging: Path,
    corrected: Sequence[tuple[int, NumberReading]] = (),
) -> ScanResult:
    """Reads the scan at `source` and stages its outputs under `staging`; nothing is published here.

    `file` is its name in the records, `sha256` the content it was queued with; `corrected` are numbers, each
    with its page, that a person corrected: they take the place of what is read there. Raises BadScan, or
    Transient where the file cannot be got at or has changed meanwhile.
    """
    started = time.monotonic()
    values = settings.values
    name = output_name(file, sha256)
    pages: list[PageReading] = []
    staged: list[StagedFile] = []
    data = _content(source, file, sha256, values.limits)
    decoded = decode(data, file, values.limits, values.intake.pdf_dpi, reduces=True)
    for page in each("decoded", decoded):
        now_at(page=page.number)
        kept = [number for place, number in corrected if place == page.number]
        reading = keep_corrected(file, read_page(page, reader), kept)
        pages.append(reading)
        if values.outputs.annotated != "none":
            target = settings.results / "annotated" / f"{name}-p{page.number}.{values.outputs.annotated}"
            staged.append(StagedFile(staged=staging / target.name, target=target))
            with _written(staged[-1].staged), stage("annotated page"):
                annotate(page, reading).save(staged[-1].staged, quality=85)
        now_at(page=None)
    annotated = tuple(s.target for s in staged) or (None,) * len(pages)
    table = StagedFile(staged=staging / f"{name}.csv", target=settings.results / "csv" / f"{name}.csv")
    with _written(table.staged), stage("table"):
        table.staged.write_text(scan_csv(file, sha256, pages, reader.model), "utf-8", newline="")
    return ScanResult(
        pages=tuple(_without_glyphs(p) for p in pages),
        model=reader.model,
        settings_digest=values.reading_digest(),
        program_version=__version__,
        seconds=time.monotonic() - started,
        annotated=annotated,
        staged=(*staged, table),
    )


@stage("opened and hashed")
def _content(source: Path, file: str, sha256: str, limits: Limits) -> bytes:
    try:
        with open_regular(source) as stream:
            refuse_large(os.fstat(stream.fileno()).st_size, file, limits)
            data = stream.read()
    except OSError as error:
        raise Transient(f"{source} cannot be read: {error.strerror}.", "It is tried again.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ContentChanged(f"{source} changed after it was queued.", "It is read again once it is still.")
    return data


@contextmanager
def _written(staged: Path) -> Iterator[None]:
    """A full disk is no fault of the scan; encoders tell of it without its number."""
    try:
        yield
    except OSError as error:
        raise Transient(
            f"{staged} cannot be written: {error.strerror or error}.", to_write_again(error)
        ) from error


def _of_another_row(mark: Mark) -> Mark:
    return mark if mark.rejection else replace(mark, rejection=OTHER_ROW)


def _reading(mark: Mark, paper: CleanPage, page: Page, reader: Reader) -> DigitReading:
    """A mark as it is reported: on the original page, with the best three classes if the network saw it."""
    box = paper.original_box(mark.blob.box, mark.blob.mask, page.width, page.height)
    if mark.seen is None:
        return DigitReading(
            digit=None, confidence=0.0, status=Status.REJECTED, box=box, reason=str(mark.rejection)
        )
    probabilities = mark.seen.probabilities
    best = np.argsort(-probabilities[:-1], kind="stable")[:3]
    confidence = mark.confidence
    status, reason = _judged(mark, box, reader, paper)
    return DigitReading(
        digit=None if status is Status.REJECTED else str(best[0]),
        confidence=round(confidence, 4),
        status=status,
        box=box,
        reason=str(reason) if reason else None,
        top=tuple((str(c), round(float(probabilities[c]), 4)) for c in best),
        glyph=mark.seen.glyph,
    )


def _with_slashes(marks: Sequence[Mark], readings: Sequence[DigitReading]) -> list[DigitReading]:
    """The readings of a line's marks, those of 1s that may be slashes in review."""
    digits = [i for i, reading in enumerate(readings) if reading.digit is not None]
    digits.sort(key=lambda i: marks[i].blob.box.centre[0])
    found = list(readings)
    for left, i, right in zip(digits, digits[1:], digits[2:], strict=False):
        slash = judge_slash(*(marks[j].blob.box for j in (i, left, right)))
        if readings[i].digit == "1" and slash is not None:
            found[i] = replace(readings[i], status=Status.REVIEW, reason=str(slash))
    return found


def _judged(mark: Mark, box: Box, reader: Reader, paper: CleanPage) -> tuple[Status, Rejection | None]:
    """What becomes of a mark that the network saw, with `box` on the original page, and why.

    A digit of a number that was read as a whole is never left out for what it looks like or where it stands:
    without it, the number would be another.
    """
    left_out = mark.rejection or judge_resolution(box)
    if left_out is not None:
        return Status.REJECTED, left_out
    threshold = reader.threshold
    status, reason = judge_digit(mark.confidence, threshold)
    if mark.differs:
        status, reason = Status.REVIEW, read_otherwise(mark.differs, mark.confidence)
    elif mark.differs is not None and status is Status.REJECTED:
        status, reason = Status.REVIEW, Rejection(Cause.UNCERTAIN, "confidence", mark.confidence, threshold)
    elif mark.twice is not None and status is Status.ACCEPTED:
        blob, least = mark.blob, reader.least_sure.touching
        doubt = judge_own(mark.twice) or judge_touching(blob.box, blob.mask, paper.frames, mark.second, least)
        status, reason = (Status.REVIEW, doubt) if doubt else (status, reason)
    in_margin = judge_margin(mark.blob.box, mark.blob.mask, paper.mask.shape)
    if in_margin is None:
        return status, reason
    is_part = mark.twice is not None and len(mark.twice.second) > 1
    return Status.REVIEW if is_part else Status.REJECTED, in_margin


def _without_glyphs(page: PageReading) -> PageReading:
    """`page` without the cut-outs, which no record keeps and every worker would have to send."""
    numbers = tuple(replace(n, digits=tuple(replace(d, glyph=None) for d in n.digits)) for n in page.numbers)
    return replace(page, numbers=numbers, rejected=tuple(replace(r, glyph=None) for r in page.rejected))
