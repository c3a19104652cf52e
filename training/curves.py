"""Curves of an evaluation, as PNG files: coverage against error, reliability, digits against non-digits."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training import metrics
from training.judgement import RATES, Digits, Judgement, NonDigits, Numbers

Judged = Digits | Numbers

DOTS_PER_INCH = 150
LEAST_ERROR = 1e-4
LEAST_SHARE = 1e-3
"""Where the logarithmic axes of errors among many, and of shares, begin; less is drawn on this edge."""

FAINT = "0.6"


def draw(judgement: Judgement, folder: Path) -> list[Path]:
    """Writes `coverage.png`, `reliability.png` and `open-set.png` into `folder`, as far as there are data."""
    sets: list[Judged] = [*judgement.digits, *judgement.numbers]
    digits = [seen for seen in sets if len(seen.right)]
    non_digits = [seen for seen in judgement.non_digits if len(seen.as_read)]
    pictures: dict[str, Callable[[], Figure]] = {}
    if digits:
        pictures["coverage.png"] = lambda: coverage_figure(digits)
        pictures["reliability.png"] = lambda: reliability_figure(digits)
    if non_digits and len(judgement.reference):
        pictures["open-set.png"] = lambda: open_set_figure(judgement, non_digits)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures.items():
        figure().savefig(folder / name, dpi=DOTS_PER_INCH)
    return [folder / name for name in pictures]


def coverage_figure(digits: Sequence[Judged]) -> Figure:
    """Errors among the accepted (logarithmic) over the share accepted, a line a set of digits or numbers."""
    figure, (axes,) = _sheet(1, 7.0, 4.5)
    for seen in digits:
        coverage, error = metrics.Ranking(seen.confidence, seen.right).curve()
        line = f"{seen.name} ({len(seen.right)})"
        axes.plot(coverage, np.maximum(error, LEAST_ERROR), drawstyle="steps-post", label=line)
    for rate in RATES:
        axes.axhline(rate, color=FAINT, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(_per_cent)
    _logarithmic(axes, "y", LEAST_ERROR)
    axes.set_xlabel("share accepted, the surest first")
    axes.set_ylabel("wrong among the accepted")
    axes.legend(loc="upper left", frameon=False)
    return figure


def reliability_figure(digits: Sequence[Judged]) -> Figure:
    """Errors measured over errors expected, in bins of equally many samples with 95 % intervals.

    Logarithmic, because nearly all of a good model's digits are in the last per cent of confidence; below the
    diagonal it is surer to be right than it says. A bin without an error is drawn on the lower edge.
    """
    figure, panels = _sheet(len(digits), 4.2, 4.4)
    for axes, seen in zip(panels, digits, strict=True):
        rows = metrics.reliability(seen.confidence, seen.right)
        expected = np.clip([1 - row["confidence"] for row in rows], LEAST_SHARE, 1)
        wrong = np.array([1 - row["accuracy"] for row in rows])
        spans = [
            metrics.wilson(round(share * row["count"]), round(row["count"]))
            for share, row in zip(wrong, rows, strict=True)
        ]
        measured = np.maximum(wrong, LEAST_SHARE)
        reach = np.abs(np.maximum(np.array(spans).T, LEAST_SHARE) - measured)
        axes.plot((LEAST_SHARE, 1), (LEAST_SHARE, 1), color=FAINT, linewidth=0.8, linestyle=":")
        axes.errorbar(
            expected,
            measured,
            yerr=reach,
            fmt="o",
            markersize=4,
            elinewidth=0.8,
            clip_on=False,
        )
        _logarithmic(axes, "xy", LEAST_SHARE)
        axes.set_title(f"{seen.name} ({len(seen.right)})", fontsize="medium")
        axes.set_xlabel("wrong by its own account")
    panels[0].set_ylabel("wrong, measured")
    return figure


def open_set_figure(judgement: Judgement, non_digits: Sequence[NonDigits]) -> Figure:
    """Digits accepted over non-digits accepted (logarithmic), a line a kind: as read, and dashed by shape.

    The dot is the level at which non-digits are judged; a kind of which none passes is on the left edge.
    """
    figure, (axes,) = _sheet(1, 7.0, 5.0)
    accepted = float((judgement.reference >= judgement.level).mean())
    for seen in non_digits:
        area = metrics.auroc(judgement.reference, seen.as_read)
        passed, kept = metrics.roc(judgement.reference, seen.as_read)
        line = f"{seen.name} ({len(seen.as_read)}): AUROC {area:.4f}"
        (drawn,) = axes.plot(np.maximum(passed, LEAST_SHARE), kept, label=line)
        share = max(float((seen.as_read >= judgement.level).mean()), LEAST_SHARE)
        axes.plot(share, accepted, "o", markersize=5, color=drawn.get_color(), clip_on=False)
        if seen.by_shape is not None and (seen.by_shape != seen.as_read).any():
            passed, kept = metrics.roc(judgement.reference, seen.by_shape)
            axes.plot(np.maximum(passed, LEAST_SHARE), kept, "--", linewidth=0.9, color=drawn.get_color())
    _logarithmic(axes, "x", LEAST_SHARE)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(_per_cent)
    axes.set_xlabel("non-digits accepted")
    axes.set_ylabel("digits accepted")
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize="small")
    return figure


def _sheet(panels: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    """A figure of panels of so many inches, drawn without a window and without pyplot's state."""
    figure = Figure(figsize=(panels * width, height), layout="constrained")
    row: Sequence[Axes] = figure.subplots(1, panels, squeeze=False)[0]
    for axes in row:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, row


def _logarithmic(axes: Axes, directions: str, least: float) -> None:
    """Shares from `least` to 1 along x, y or both."""
    for direction in directions:
        axes.set(**{f"{direction}scale": "log", f"{direction}lim": (least, 1)})
        {"x": axes.xaxis, "y": axes.yaxis}[direction].set_major_formatter(_per_cent)


def _per_cent(share: float, _: float | None = None) -> str:
    return f"{100 * share:g} %"
