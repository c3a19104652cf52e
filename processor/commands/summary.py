"""What a run tells at its end: counts for programs, a table and where to look for people."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from processor.characters import visible
from processor.commands.console import Words
from processor.intake.passed_over import no_scans, passed_over
from processor.intake.places import Place
from processor.results.address import without_password
from processor.results.tally import Tally
from processor.settings import LoadedSettings

KINDS = "JPEG, PNG, TIFF, BMP, WebP, GIF, PDF and HEIC files"


def report(tally: Tally, seconds: float, model: str) -> dict[str, Any]:
    """The counts of one run, as `--json` prints them. Raises BadDatabase where they contradict each other."""
    found = tally.summary()
    counts = asdict(found)
    return {
        **counts,
        **found.trust(),
        "seconds": round(seconds, 3),
        "pages_per_second": round(counts["pages"] / seconds, 3) if seconds > 0 else 0.0,
        "model": model,
    }


def say_summary(counts: dict[str, Any], settings: LoadedSettings, words: Words) -> None:
    """Says the counts of `report`, and where the results lie."""
    words.table(("scans", "", "read", ""), _side_by_side(counts))
    results = settings.results
    if counts["numbers"]:
        words.say(_trust(counts))
    if counts["pages"]:
        annotated = (
            ""
            if settings.values.outputs.annotated == "none"
            else f"   Annotated pages: {results / 'annotated'}"
        )
        words.say(f"Numbers: {results / 'numbers.csv'}{annotated}")
    if counts["ignored"] or counts["duplicate"]:
        words.say(_not_again(counts))
    if counts["failed"]:
        words.say(f"What failed, and why: {results / 'failed'}")
    words.say(f"Database: {visible(without_password(settings.database_url))}")


def say_passed_over(places: Sequence[Place], settings: LoadedSettings, words: Words) -> None:
    """Says that files were left where they are because they are no scans: somebody may wait for them."""
    own = (settings.results.resolve(), settings.inbox.resolve())
    found = passed_over(places, settings.values.intake, own=own)
    if found.no_scans:
        least = "" if found.complete else "At least "
        told = no_scans(found.no_scans, found.first_no_scan)
        where = "it is" if found.no_scans == 1 else "they are"
        words.say(f"{least}{told}, left where {where}: only {KINDS} are read.", "run.passed_over")


def _side_by_side(counts: dict[str, Any]) -> list[tuple[object, ...]]:
    """What became of the scans on the left, what was read on the right."""
    scans = ("seen", "done", "failed", "duplicate", "ignored", "pending")
    read = ("pages", "numbers", "digits", "review", "rejected", "seconds")
    # Beside the numbers to look at, `review` alone would be taken for their count.
    told = {"review": "digits in review", "rejected": "rejected marks"}
    rows = zip(scans, read, strict=True)
    return [(left, counts[left], told.get(right, right), counts[right]) for left, right in rows]


def _not_again(counts: dict[str, Any]) -> str:
    """Why scans were seen and are not done: who counts the pages that were put in looks for them."""
    why = {
        "ignored": "dealt with by an earlier run (ignored)",
        "duplicate": "the same as another scan (duplicate; `processor results --file NAME` tells which)",
    }
    told = [f"{counts[state]} {said}" for state, said in why.items() if counts[state]]
    return f"Not read once more: {', '.join(told)}."


def _trust(counts: dict[str, Any]) -> str:
    accepted = (
        f"Accepted: {counts['accepted']} of {counts['numbers']} numbers ({counts['accepted_share']:.0%})"
    )
    told = f"{accepted}, of which {counts['expected_error']:.2%} are expected to be wrong."
    left = counts["numbers"] - counts["accepted"]
    return f"{told} To look at: {left} (`processor results --status review`)." if left else told
