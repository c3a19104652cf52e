"""Pictures of a training: what their axes say."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from training.course import Epoch
from training.plots import draw_curves


def some_epochs(count: int) -> list[Epoch]:
    return [Epoch(1 + k, 1.2 / (1 + k), 0.7 + 0.01 * k, 0.71 + 0.012 * k, 9.0) for k in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_epochs_are_whole_numbers_and_shares_are_labelled(count: int) -> None:
    figure = draw_curves(some_epochs(count), 1)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    left, right = figure.axes
    for axes in (left, right):
        low, high = axes.get_xlim()
        shown = [float(place) for place in axes.get_xticks() if low <= place <= high]
        assert shown
        assert all(place == round(place) for place in shown)
        assert len(shown) <= count + 1
    low, high = right.get_ylim()
    ticks = [*right.yaxis.get_major_ticks(), *right.yaxis.get_minor_ticks()]
    labelled = [tick for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]
    assert labelled
