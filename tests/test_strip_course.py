"""The course of a training of the second reader: it learns, and a stop at any moment changes no bit of it."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from processor.errors import BadCommand, Transient
from processor.prediction.strip_networks import StripNetwork
from processor.prediction.strip_reader import StripReader
from tests.test_strip_training import PLAN, SMALL, fonts, page
from tests.tiny_training import weights
from training.checkpoints import Checkpoint, Checkpoints
from training.interruption import Interrupted
from training.strings import Hands, Source
from training.strip_corpus import StripCorpus
from training.strip_course import INTERVALS, Interval, fit_strips
from training.strip_fit import copied, temperature, whole_right
from training.strip_sources import KnownStrip, known_strips

ORIGIN = {"plan": {"seed": 1}}


@pytest.fixture(scope="module")
def known() -> list[KnownStrip]:
    return known_strips((f"{text}.png", text, page(text)) for text in ("307", "41", "9265", "58"))


@pytest.fixture(scope="module")
def corpus(known: Sequence[KnownStrip]) -> StripCorpus:
    return StripCorpus(Hands([Source(fonts(), 1.0)]), ((known, 0.5),), tuple(known[:2]))


class Watching:
    """Notes what a training tells, and asks it to stop after so many batches."""

    def __init__(self, stop_after: int | None = None, act: Callable[[int], None] = lambda _: None) -> None:
        self.begun: list[tuple[int, int]] = []
        self.losses: list[float] = []
        self.intervals: list[Interval] = []
        self.warnings: list[str] = []
        self._stop_after, self._act = stop_after, act

    def begins(self, done: int, intervals: Sequence[Interval]) -> None:
        self.begun.append((done, len(intervals)))

    def steps(self, loss: float) -> None:
        self.losses.append(loss)
        self._act(len(self.losses))

    def ends(self, interval: Interval) -> None:
        self.intervals.append(interval)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stops(self) -> bool:
        return len(self.losses) == self._stop_after


def timeless(intervals: Sequence[Interval]) -> list[Interval]:
    return [replace(interval, seconds=0) for interval in intervals]


WITH_DROPOUT = replace(PLAN, parameters={**SMALL, "dropout": 0.3})


@pytest.mark.parametrize("stops", [(1,), (3,), (2, 2, 1)])
def test_a_training_that_was_stopped_comes_to_the_same_bits(
    tmp_path: Path, corpus: StripCorpus, stops: tuple[int, ...]
) -> None:
    """In the midst of a group of batches, at its end, and again and again; with dropout."""
    whole = fit_strips(corpus, WITH_DROPOUT, Watching())
    done = 0
    for stop in stops:
        with pytest.raises(Interrupted) as caught:
            fit_strips(corpus, WITH_DROPOUT, Watching(stop), checkpoints=Checkpoints(tmp_path, ORIGIN))
        done += stop
        assert caught.value.message == f"Stopped after {done} of 6 batches."
        assert "goes on" in caught.value.remedy
        torch.randn(7)  # Another process would have drawn other random numbers.
    resumed = fit_strips(
        corpus, WITH_DROPOUT, watching := Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN)
    )
    assert watching.begun == [(done, done)]
    assert len(watching.losses) == 6 - done
    assert weights(resumed.network) == weights(whole.network)
    assert timeless(resumed.intervals) == timeless(whole.intervals)
    assert resumed.resumed == len(stops)


def test_workers_checkpoints_and_strips_kept_out_change_nothing(tmp_path: Path, corpus: StripCorpus) -> None:
    blind = replace(corpus, validation=())
    alone = fit_strips(blind, WITH_DROPOUT, Watching())
    often = Checkpoints(tmp_path, ORIGIN, every_seconds=0)
    helped = fit_strips(corpus, WITH_DROPOUT, Watching(), workers=1, checkpoints=often)
    assert weights(alone.network) == weights(helped.network)
    assert {interval.validation_right for interval in alone.intervals} == {None}
    again = fit_strips(corpus, WITH_DROPOUT, idle := Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN))
    assert idle.losses == []
    assert weights(again.network) == weights(alone.network)
    assert again.intervals == helped.intervals


def test_a_worker_that_is_killed_ends_the_training_with_a_word(tmp_path: Path, corpus: StripCorpus) -> None:
    def kill(batches: int) -> None:
        for child in multiprocessing.active_children() if batches == 3 else ():
            os.kill(child.pid or 0, signal.SIGKILL)

    checkpoints = Checkpoints(tmp_path, ORIGIN, every_seconds=0)
    plan = replace(PLAN, steps=90)
    with pytest.raises(Transient, match="goes on from the last checkpoint"):
        fit_strips(corpus, plan, Watching(act=kill), workers=1, checkpoints=checkpoints)
    newest = checkpoints.newest(pytest.fail)
    assert newest is not None
    # The death may be noticed before or after the batch at which it happened was kept.
    assert newest.batch >= 2


def test_a_checkpoint_that_does_not_fit_says_how_to_begin_again(tmp_path: Path, corpus: StripCorpus) -> None:
    Checkpoints(tmp_path, ORIGIN).save(Checkpoint(2, {"network.odd": torch.ones(2)}, {"rates": {}}))
    with pytest.raises(BadCommand, match="after 2 batches does not fit") as caught:
        fit_strips(corpus, PLAN, Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN))
    assert "--restart" in caught.value.remedy


def test_what_it_came_to_is_told_at_intervals_and_at_the_end(corpus: StripCorpus) -> None:
    plan = replace(PLAN, steps=2 * INTERVALS + 1, batch=2)
    trained = fit_strips(corpus, plan, watching := Watching())
    assert [interval.step for interval in trained.intervals] == [*range(3, plan.steps, 3), plan.steps]
    assert trained.intervals == tuple(watching.intervals)
    second = trained.intervals[1]
    assert second.loss == pytest.approx(sum(watching.losses[3:6]) / 3)
    assert second.validation_right in {0.0, 0.5, 1.0}


def test_a_training_that_runs_away_stops_at_once(corpus: StripCorpus) -> None:
    with pytest.raises(BadCommand, match=r"loss is (nan|inf) after \d+ batches"):
        fit_strips(corpus, replace(PLAN, steps=30, learning_rate=1e30), Watching())


def test_a_little_training_learns_its_strips(corpus: StripCorpus, known: Sequence[KnownStrip]) -> None:
    plan = replace(PLAN, steps=200, batch=16, averaging=0.95, guided=0.4, learning_rate=8e-3)
    trained = fit_strips(corpus, plan, Watching())
    begun, reader = StripReader(StripNetwork(**SMALL)), StripReader(copied(trained.network))
    assert whole_right(begun, known) == 0
    read = [reading.digits for reading in reader.read([strip.strip for strip in known])]
    assert sum(found == strip.digits for found, strip in zip(read, known, strict=True)) >= 3
    assert 0 < whole_right(reader, known) <= 1
    assert 0.7 <= temperature(trained.network, known) <= 3.0
    assert trained.intervals[-1].loss < 0.2 * trained.intervals[0].loss


def test_a_refresh_begins_with_what_was_learned_and_is_shown_nothing(corpus: StripCorpus) -> None:
    learned = fit_strips(corpus, PLAN, Watching()).network
    gentle = replace(PLAN, steps=1, learning_rate=1e-9)
    trained = fit_strips(corpus, gentle, Watching(), start=copied(learned))
    guided = fit_strips(corpus, replace(gentle, guided=0.0), Watching(), start=copied(learned))
    assert torch.allclose(trained.network.head.weight, learned.head.weight, atol=1e-4)
    assert weights(trained.network) == weights(guided.network)
