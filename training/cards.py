"""The card of a model: README.md beside its weights, from what its manifest says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CARD = "README.md"


def card(manifest: Mapping[str, Any], plots: Sequence[str] = ()) -> str:
    """Markdown: figures, data with their licences, recipe, how it was made, and the `plots` by file name."""
    parts = [
        f"# {_text(manifest['name'])}",
        _origin(manifest),
        "## Figures",
        _figures(manifest["metrics"]),
        "## Accepting",
        _thresholds(manifest),
        *_second_reader(manifest.get("second_reader")),
        "## Data",
        _table(("source", "samples", "licence", "digest"), _data(manifest["data"])),
        "## Recipe",
        _table(("key", "value"), _flat(manifest["recipe"])),
        "## Versions",
        _table(("program", "version"), manifest["versions"].items()),
    ]
    if plots:
        parts += ["## Plots", *(f"![{_text(plot.removesuffix('.png'))}](<{plot}>)" for plot in plots)]
    return "\n\n".join(parts) + "\n"


def _origin(manifest: Mapping[str, Any]) -> str:
    parent = manifest["parent"]
    begun = f"It went on from {_text(parent)}." if parent else "It was trained from scratch."
    return (
        f"Made {_text(manifest['created_at'])} by `training fit` and `training publish`. {begun} "
        f"Architecture {_text(manifest['architecture'])} with "
        f"{', '.join(f'{_text(key)} {_text(value)}' for key, value in manifest['parameters'].items())}."
    )


def _figures(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return "It was not measured."
    return _table(
        ("set", "figure", "value"),
        (
            (name, *row)
            for name, found in metrics.items()
            for row in _flat(found if _is_map(found) else {"": found})
        ),
    )


def _thresholds(manifest: Mapping[str, Any]) -> str:
    rows = manifest["thresholds"]["acceptance"]
    table = _table(
        ("errors among accepted digits", "confidence", "accepted"),
        ((row["max_error_rate"], row["confidence"], row.get("coverage", "")) for row in rows),
    )
    return f"Temperature {_text(manifest['temperature'])}.\n\n{table}"


def _second_reader(account: Any) -> Iterable[str]:
    """What is told of the reader of whole numbers; its figures stand with the others."""
    if not _is_map(account):
        return
    start = account.get("started_from")
    begun = f"It went on from that of {_text(start)}." if start else "It was trained from scratch."
    yield "## Second reader"
    yield (
        f"Reads whole numbers. {begun} Temperature {_text(account.get('temperature'))}, by "
        f"{_text(account.get('kept_out'))} strips kept out of its training."
    )
    rows = account.get("data")
    yield _table(("source", "samples", "licence", "digest"), _data(rows if isinstance(rows, list) else []))
    yield _table(("key", "value"), _flat(account.get("plan"), "plan"))


def _data(rows: Iterable[Any]) -> Iterable[tuple[object, ...]]:
    for row in rows:
        found = row if _is_map(row) else {"source": row}
        yield tuple(found.get(key, "") for key in ("source", "count", "licence", "digest"))


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, object]]:
    """`schedule.epochs` and its value; lists of objects are numbered, other lists stand as they are."""
    if _is_map(value):
        for key, part in value.items():
            yield from _flat(part, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(_is_map(part) for part in value):
        for number, part in enumerate(value, 1):
            yield from _flat(part, f"{prefix} {number}")
    else:
        yield prefix, value


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_text(cell) for cell in line)} |" for line in lines)


def _text(value: object) -> str:
    """One line that Markdown shows as it is."""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(shown.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
