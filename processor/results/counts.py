"""How much was read, from what every page says of its own rows: a sum over pages, not over their digits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from processor.results.database import columns_of
from processor.results.schema import COUNTS, digits, numbers, pages
from processor.states import Status

if TYPE_CHECKING:
    # At run time it would bring NumPy to whoever only looks at the database.
    from processor.records import PageReading

_UNCOUNTED = pages.c.number_count.is_(None)
_ACCEPTED = numbers.c.status == Status.ACCEPTED


def _those(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


_OF_NUMBERS: Mapping[str, ColumnElement[Any]] = {
    "number_count": func.count(),
    "accepted_count": _those(_ACCEPTED),
    "review_count": _those(numbers.c.status == Status.REVIEW),
    "expected_wrong": func.coalesce(func.sum(case((_ACCEPTED, 1 - numbers.c.confidence), else_=0.0)), 0.0),
}
_OF_DIGITS: Mapping[str, ColumnElement[Any]] = {
    "digit_count": _those(digits.c.status != Status.REJECTED),
    "digit_review_count": _those(digits.c.status == Status.REVIEW),
    "rejected_count": _those(digits.c.status == Status.REJECTED),
}

NO_COUNTS: Mapping[str, float] = dict.fromkeys(COUNTS, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Over some pages: numbers, and digits apart from what was `rejected`, with those that wait for a person.

    `expected_wrong` is how many of the accepted numbers will be wrong if their confidences are right.
    """

    pages: int
    numbers: int
    accepted: int
    review: int
    digits: int
    digits_in_review: int
    rejected: int
    expected_wrong: float


def counts_of(page: "PageReading") -> dict[str, float]:
    """What the row of a page says of its numbers and digits."""
    found = [digit.status for number in page.numbers for digit in number.digits]
    found += [blob.status for blob in page.rejected]
    sure = [number for number in page.numbers if number.status is Status.ACCEPTED]
    rejected = found.count(Status.REJECTED)
    return {
        "number_count": len(page.numbers),
        "accepted_count": len(sure),
        "review_count": sum(number.status is Status.REVIEW for number in page.numbers),
        "digit_count": len(found) - rejected,
        "digit_review_count": found.count(Status.REVIEW),
        "rejected_count": rejected,
        "expected_wrong": float(sum(1 - number.confidence for number in sure)),
    }


def total_counts(connection: Connection) -> Counts:
    """The counts of the whole database, also of an earlier version's.

    The rows of pages that say nothing, which a program of before wrote, are counted one by one.
    """
    if pages.c.number_count.name not in {column.name for column in columns_of(connection, pages)}:
        total = connection.execute(select(func.count()).select_from(pages)).scalar_one()
        return _counts(total, _of_rows(connection, uncounted=False))
    sums = (func.coalesce(func.sum(pages.c[name]), 0) for name in COUNTS)
    row = connection.execute(select(func.count(), func.count(pages.c.number_count), *sums)).one()
    told = dict(zip(COUNTS, row[2:], strict=True))
    if row[0] > row[1]:
        more = _of_rows(connection, uncounted=True)
        told = {name: told[name] + more[name] for name in COUNTS}
    return _counts(row[0], told)


def counted_anew(connection: Connection, page_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """What the rows of these pages say, by the page; what has no row has no entry, which is `NO_COUNTS`."""
    wanted, found = list(page_ids), dict[int, dict[str, float]]()
    for table, counted in ((numbers, _OF_NUMBERS), (digits, _OF_DIGITS)):
        query = select(table.c.page_id, *(what.label(name) for name, what in counted.items()))
        rows = connection.execute(query.where(table.c.page_id.in_(wanted)).group_by(table.c.page_id))
        for row in rows.mappings():
            found.setdefault(row["page_id"], dict(NO_COUNTS)).update({name: row[name] for name in counted})
    return found


def differing(one: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    """The counts that differ; a sum to which shares were added and taken from again has other last bits."""
    return [name for name in COUNTS if not isclose(one[name], other[name], abs_tol=1e-6)]


def recount(connection: Connection, page_id: int) -> None:
    """Has a page say what its rows say."""
    told = counted_anew(connection, [page_id]).get(page_id, NO_COUNTS)
    connection.execute(update(pages).where(pages.c.id == page_id).values(told))


def _of_rows(connection: Connection, *, uncounted: bool) -> dict[str, Any]:
    """The sums over all numbers and digits, or over those of pages that say nothing of them."""
    found: dict[str, Any] = {}
    for table, counted in ((numbers, _OF_NUMBERS), (digits, _OF_DIGITS)):
        query = select(*counted.values()).select_from(table)
        if uncounted:
            query = query.join(pages).where(_UNCOUNTED)
        found |= dict(zip(counted, connection.execute(query).one(), strict=True))
    return found


def _counts(total: int, told: Mapping[str, Any]) -> Counts:
    return Counts(
        pages=total,
        numbers=int(told["number_count"]),
        accepted=int(told["accepted_count"]),
        review=int(told["review_count"]),
        digits=int(told["digit_count"]),
        digits_in_review=int(told["digit_review_count"]),
        rejected=int(told["rejected_count"]),
        expected_wrong=float(told["expected_wrong"]),
    )
