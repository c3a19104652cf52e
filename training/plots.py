"""Pictures of a training, as PNG files: its course, what it takes for what, and its worst mistakes."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from processor.records import Glyphs
from training.course import Epoch
from training.inks import Labels
from training.strip_course import Interval

INK, SOFT, BLUE, ORANGE = "#222222", "#8a8a8a", "#1f5fa8", "#c8641b"

COLUMNS = 10
MOST_MISTAKES = 60

_DPI = 120


def learning_curves(epochs: Sequence[Epoch], best_epoch: int) -> bytes:
    """Loss, and the share of wrong glyphs in training and validation, over the epochs."""
    return _png(draw_curves(epochs, best_epoch))


def draw_curves(epochs: Sequence[Epoch], best_epoch: int) -> Figure:
    """The picture of `learning_curves`, not yet written."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [epoch.epoch for epoch in epochs]
    left.plot(numbers, [epoch.loss for epoch in epochs], "o-", color=BLUE, markersize=3.5)
    left.set_title("Training loss", loc="left")
    left.set_ylim(bottom=0)
    # Accuracies near 1 all look alike: errors on a logarithmic scale tell 99.5 % from 99.7 %.
    for values, name, colour in (
        ([1 - epoch.train_accuracy for epoch in epochs], "training, augmented", ORANGE),
        ([1 - epoch.validation_accuracy for epoch in epochs], "validation, averaged weights", BLUE),
    ):
        shown = [max(100 * value, 0.01) for value in values]
        right.plot(numbers, shown, "o-", color=colour, markersize=3.5, label=name)
    right.set_yscale("log")
    low, high = right.get_ylim()
    # Less than a decade may hold no 1, 2 or 5, the only ones that are labelled.
    if high < 10 * low:
        right.set_ylim(low / 3, high * 3)
    right.set_title("Wrong, in % of glyphs", loc="left")
    for axis in (right.yaxis.set_major_formatter, right.yaxis.set_minor_formatter):
        axis(FuncFormatter(_percent_tick))
    if best_epoch != numbers[-1]:
        right.axvline(best_epoch, color=SOFT, linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}")
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(numbers) == 1:
            axes.set_xlim(numbers[0] - 0.5, numbers[0] + 0.5)
        _quiet(axes)
    return figure


def strip_curves(intervals: Sequence[Interval]) -> bytes:
    """Loss, and the share of kept strips read wrong by the averaged weights, over the batches."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [interval.step for interval in intervals]
    left.plot(steps, [interval.loss for interval in intervals], "o-", color=BLUE, markersize=3.5)
    left.set_title("Training loss, a character", loc="left")
    judged = [(i.step, 100 * (1 - i.validation_right)) for i in intervals if i.validation_right is not None]
    right.plot([step for step, _ in judged], [wrong for _, wrong in judged], "o-", color=BLUE, markersize=3.5)
    right.set_title("Wrong, in % of the strips kept out" if judged else "No strips were kept out", loc="left")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, 1.03 * steps[-1])
        axes.set_xlabel("batches")
        _quiet(axes)
    return _png(figure)


def confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """What glyphs of each true class (a row) were read as (a column); `counts` is (classes, classes).

    Shades are of the mistakes alone, as a share of their row: beside the diagonal they would all be white.
    """
    rows = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(rows, 1)
    mistakes = np.where(np.eye(len(classes), dtype=bool), 0, shares)
    figure = Figure(figsize=(7.4, 6.6), layout="constrained")
    axes = figure.subplots()
    top = max(float(mistakes.max()), 1e-9)
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=1.15 * top, aspect="auto")
    for (true, read), count in np.ndenumerate(counts):
        if true == read and rows[true, 0]:
            axes.text(read, true, f"{shares[true, read]:.1%}", **_CELL, color=BLUE, fontweight="bold")
        elif count:
            dark = mistakes[true, read] > 0.6 * top
            axes.text(read, true, str(count), **_CELL, color="white" if dark else INK)
    labels = [f"{name}  ({int(total)})" for name, total in zip(classes, rows[:, 0], strict=True)]
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), labels)
    axes.xaxis.tick_top()
    axes.set_xlabel("read as")
    axes.set_ylabel("true class (glyphs)")
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return _png(figure)


def worst_mistakes(
    glyphs: Glyphs, labels: Labels, probabilities: NDArray[np.float32], classes: Sequence[str]
) -> bytes:
    """The glyphs (N, 1, 28, 28) that were read wrong most surely: the truth, what was read, how surely."""
    read, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(read != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
    lines = max(1, -(-len(worst) // COLUMNS))
    figure = Figure(figsize=(COLUMNS * 0.95, lines * 1.22 + 0.5), layout="constrained")
    figure.suptitle(
        f"{len(wrong)} of {len(labels)} read wrong"
        + (f"; the {len(worst)} surest (true → read)" if len(worst) else ""),
        x=0.01,
        ha="left",
        fontsize=11,
    )
    for place, axes in enumerate(np.ravel(figure.subplots(lines, COLUMNS, squeeze=False))):
        axes.set_axis_off()
        if place < len(worst):
            which = worst[place]
            axes.imshow(1 - glyphs[which, 0], cmap="gray", vmin=0, vmax=1)
            caption = f"{_short(classes[labels[which]])} → {_short(classes[read[which]])}"
            axes.set_title(f"{caption}\n{sure[which]:.1%}", fontsize=8.5, color=INK, pad=3)
    return _png(figure)


_CELL: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5}


def _short(name: str) -> str:
    return "–" if name == "none" else name


def _percent_tick(value: float, place: int) -> str:  # noqa: ARG001
    """Labels at 1, 2 and 5 of each power of ten: a scale of less than a decade has no other."""
    first = round(value / 10 ** np.floor(np.log10(value)), 6)
    return f"{value:g}" if first in {1, 2, 5} else ""


def _quiet(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    # A Figure of its own draws with Agg: no pyplot, no window, nothing kept between two pictures.
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, facecolor="white")
    return stream.getvalue()
