"""An evaluation as tables for a person: the main figures, and how well each digit is read."""

from collections.abc import Iterator, Mapping
from typing import Any

from training.judgement import RATES

Figures = Mapping[str, Any]
Table = tuple[tuple[str, ...], list[tuple[object, ...]]]
"""The names of the columns, and the rows."""


def of_figures(document: Mapping[str, Figures]) -> Iterator[Table]:
    """The tables that there is something to say in: digits, non-digits, numbers, each digit."""
    digits = {name: figures for name, figures in document.items() if "accuracy" in figures}
    others = {name: figures for name, figures in document.items() if "accepted_as_read" in figures}
    numbers = {name: figures for name, figures in document.items() if "digit_error_rate" in figures}
    empty = [(name, figures["count"]) for name, figures in document.items() if not figures["count"]]
    if digits:
        yield _digits(digits)
    if others:
        yield _non_digits(others)
    if numbers:
        yield _numbers(numbers)
    if digits:
        yield _each_digit(digits)
    if empty:
        yield ("set", "count"), list(empty)


def _digits(sets: Mapping[str, Figures]) -> Table:
    return _read(sets, "digits", "accuracy", ("with none", "accuracy_over_all_classes"))


def _numbers(sets: Mapping[str, Figures]) -> Table:
    return _read(sets, "numbers, by the second reader", "right", ("digits wrong", "digit_error_rate"))


def _read(sets: Mapping[str, Figures], what: str, right: str, beside: tuple[str, str]) -> Table:
    """How well `what` was read: the share `right`, the figure `beside` it with its title, and coverage."""
    columns = (what, "count", "right", "95 %", beside[0], "calibration error", "by chance alone")
    rates = tuple(f"accepted at {100 * rate:g} % error" for rate in RATES)
    rows = [
        (
            name,
            found["count"],
            found[right],
            _span(found, right),
            found[beside[1]],
            found["calibration_error"],
            found["calibration_error_floor"],
            *(_accepted(found, rate) for rate in RATES),
        )
        for name, found in sets.items()
    ]
    return columns + rates, rows


def _accepted(found: Figures, rate: float) -> str:
    key = f"coverage_at_{rate:g}"
    return f"{found[key]:.3f} ({_span(found, key, 3)})"


def _non_digits(sets: Mapping[str, Figures]) -> Table:
    columns = ("non-digits", "count", "accepted as read", "95 %", "AUROC", "by shape alone", "its AUROC")
    rows = [
        (
            name,
            found["count"],
            found["accepted_as_read"],
            _span(found, "accepted_as_read"),
            found.get("auroc_as_read"),
            found.get("accepted"),
            found.get("auroc"),
        )
        for name, found in sets.items()
    ]
    return columns, [tuple(_figure(value) for value in row) for row in rows]


def _each_digit(sets: Mapping[str, Figures]) -> Table:
    by_digit = {name: {row["digit"]: row for row in found["per_digit"]} for name, found in sets.items()}
    seen = sorted({digit for rows in by_digit.values() for digit in rows})
    table = [(str(digit), *(_right(by_digit[name].get(digit)) for name in sets)) for digit in seen]
    return ("digit", *(f"{name}: right" for name in sets)), list(table)


def _right(row: Figures | None) -> str:
    return f"{row['accuracy']:.4f} ({_span(row, 'accuracy')})" if row else ""


def _span(found: Figures, name: str, places: int = 4) -> str:
    return f"{found[f'{name}_low']:.{places}f} to {found[f'{name}_high']:.{places}f}"


def _figure(value: object) -> object:
    """Floats as text where a column may have gaps: only whole columns of numbers are set to the right."""
    return f"{value:.4f}" if isinstance(value, float) else value
