"""Readings as a worker hands them over, for tests of what is stored and written."""

from pathlib import Path

from processor.records import Box, DigitReading, NumberReading, PageReading, ScanResult, Status

BOX = Box(1, 2, 3, 4)


def a_digit(
    digit: str = "7", confidence: float = 0.9, status: Status = Status.ACCEPTED, box: Box = BOX
) -> DigitReading:
    rest = 1 - confidence
    top = ((digit, confidence), ("1" if digit == "7" else "7", rest * 0.75), ("none", rest * 0.25))
    return DigitReading(digit=digit, confidence=confidence, status=status, box=box, top=top)


def a_blob(reason: str = "speck: height 0.4, limit 1") -> DigitReading:
    return DigitReading(digit=None, confidence=0.0, status=Status.REJECTED, box=BOX, reason=reason)


def a_number(
    text: str = "007", status: Status = Status.ACCEPTED, field: str | None = None, confidence: float = 0.9
) -> NumberReading:
    digits = tuple(a_digit(c, confidence, status) for c in text if c.isdigit())
    return NumberReading(text=text, confidence=confidence, status=status, box=BOX, digits=digits, field=field)


def a_page(
    *numbers: NumberReading, page: int = 1, rejected: tuple[DigitReading, ...] = (), dpi: float | None = 300.0
) -> PageReading:
    return PageReading(
        page=page,
        width=2480,
        height=3508,
        dpi=dpi,
        skew_degrees=-0.5,
        numbers=numbers,
        rejected=rejected,
    )


def a_result(
    *pages: PageReading, model: str = "cnn-a", annotated: tuple[Path | None, ...] | None = None
) -> ScanResult:
    return ScanResult(
        pages=pages,
        model=model,
        settings_digest="0123456789ab",
        program_version="0.1.0",
        seconds=0.25,
        annotated=annotated if annotated is not None else (None,) * len(pages),
        staged=(),
    )
