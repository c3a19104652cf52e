"""The training loop: batches and loss, stops that change nothing, checkpoints, early stop, spoiled glyphs."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from processor.errors import BadCommand, Transient
from processor.prediction import networks
from processor.prediction.glyphs import normalise
from tests.sample_sources import sample_digits
from tests.tiny_training import Watching, a_corpus, a_recipe, figures, files_below, weights
from training.augment import Hand
from training.checkpoints import KEPT, Checkpoint, Checkpoints, differences
from training.course import train
from training.fit import Batches, batch_loss, validation_glyphs
from training.inks import NONE, Inks, Labels
from training.interruption import Interrupted, Stop, signals
from training.learning import running_average
from training.recipe import Augment
from training.sources import Corpus, Pool
from training.stock import Stock


@pytest.fixture(scope="module")
def digits() -> Inks:
    return sample_digits()


# --- batches and loss ----------------------------------------------------------------------------------


def test_batches_repeat_themselves_and_differ_from_each_other(digits: Inks) -> None:
    batches = Batches(a_corpus(digits).pools, a_recipe().schedule, Hand())
    assert len(batches) == 12
    images, labels, ambiguous = batches[3]
    assert not ambiguous.any()
    assert images.shape == (32, 2, 28, 28)
    again, same, _ = batches[3]
    assert (images == again).all()
    assert (labels == same).all()
    assert not (images == batches[4][0]).all()
    with pytest.raises(IndexError):
        batches[12]


def test_samples_are_shown_in_company_as_often_as_the_source_says(digits: Inks) -> None:
    schedule = a_recipe(batch=128).schedule
    for company in (0.0, 0.5, 1.0):
        glyphs = Batches((Pool(digits, 1, 1.0, company=company),), schedule, Hand())[0][0].numpy()
        alone = np.mean([(own == around).all() for own, around in glyphs])
        # Now and then nothing is beside a digit in company.
        assert 1 - company - 0.15 < alone < 1 - company + 0.25


def test_training_lowers_the_loss_and_repeats_itself(digits: Inks) -> None:
    recipe, corpus = a_recipe(epochs=3, batches_per_epoch=12), a_corpus(digits)
    first = train(recipe, corpus, watching := Watching())
    second = train(recipe, corpus, Watching())
    assert [epoch.epoch for epoch in watching.epochs] == [1, 2, 3]
    assert watching.batches == 36
    assert watching.epochs[2].loss < 0.85 * watching.epochs[0].loss
    assert watching.epochs[2].validation_accuracy > watching.epochs[0].validation_accuracy
    assert not first.network.training
    assert (first.best_epoch, first.stopped_early, first.resumed) == (3, False, 0)
    assert weights(first.network) == weights(second.network)


class Sure(nn.Module):
    """Says of every glyph, whatever it is, that it is a 4; learns only through its one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(20.0))

    def forward(self, glyphs: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(len(glyphs), 11)
        return torch.cat([scores[:, :4], self.weight.expand(len(glyphs), 1), scores[:, 5:]], dim=1)


def test_a_non_digit_that_looks_like_a_digit_is_left_out_once_trimming_begins() -> None:
    plan = a_recipe().schedule
    images = torch.zeros(2, 1, 28, 28)
    piece, three, every = torch.tensor([4, NONE]), torch.tensor([4, 3]), torch.ones(2, dtype=torch.bool)
    before, _ = batch_loss(Sure(), (images, piece, every), plan, trim=False)
    after, _ = batch_loss(Sure(), (images, piece, every), plan, trim=True)
    assert before > 5
    assert after < 0.5
    letter, _ = batch_loss(Sure(), (images, piece, ~every), plan, trim=True)
    wrong, _ = batch_loss(Sure(), (images, three, every), plan, trim=True)
    assert letter > 5
    assert wrong > 5


def test_non_digits_count_as_much_as_the_recipe_says() -> None:
    plan = a_recipe().schedule
    batch = (torch.zeros(2, 1, 28, 28), torch.tensor([NONE, NONE]), torch.zeros(2, dtype=torch.bool))
    whole, _ = batch_loss(Sure(), batch, plan, trim=False)
    half, _ = batch_loss(Sure(), batch, plan.model_copy(update={"none_weight": 0.5}), trim=False)
    torch.testing.assert_close(half, whole / 2)


def test_the_running_average_forgets_the_untrained_weights_at_once_and_keeps_counters() -> None:
    average = running_average(0.99)
    start, goal = torch.zeros(3), torch.ones(3)
    value = start
    for step in range(1, 30):
        value = average(value, goal, step)
    assert value.min() > 0.9
    late = average(start, goal, 10_000)
    torch.testing.assert_close(late, torch.full((3,), 0.01))
    assert average(torch.tensor(5), torch.tensor(9), 3) == 9


def test_validation_holds_each_sample_clean_and_augmented(digits: Inks) -> None:
    images, labels = validation_glyphs([digits.take(range(6))], seed=1)
    assert images.shape == (12, 2, 28, 28)
    np.testing.assert_array_equal(labels[:6], labels[6:])
    np.testing.assert_array_equal(images[0, 0], normalise(digits.images[0]))
    assert not (images[:6] == images[6:]).all()


# --- stops and checkpoints -----------------------------------------------------------------------------

ORIGIN = {"schedule": {"seed": 1}, "samples": -1}


@pytest.mark.parametrize("stops", [(1,), (4,), (6,), (2, 3, 1, 4)])
def test_a_training_that_was_stopped_comes_to_the_same_bits(
    tmp_path: Path, digits: Inks, stops: tuple[int, ...]
) -> None:
    """In the middle of an epoch, at its end, and again and again; with dropout, trimming and spoiling."""
    recipe, corpus = a_recipe(augment={"erased": 0.3, "noise": 0.05}), a_corpus(digits)
    whole = train(recipe, corpus, uninterrupted := Watching())
    done = 0
    for stop in stops:
        with pytest.raises(Interrupted) as caught:
            train(recipe, corpus, Watching(stop), checkpoints=Checkpoints(tmp_path, ORIGIN))
        done += stop
        assert f"epoch {done // 4 + 1} of 3, after {done % 4} of its batches" in caught.value.message
        torch.randn(7)  # Another process would have drawn other random numbers.
    resumed = train(recipe, corpus, watching := Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN))
    assert watching.begun == [(done, done // 4)]
    assert watching.batches == 12 - done
    assert weights(resumed.network) == weights(whole.network)
    assert figures(resumed.epochs) == figures(whole.epochs) == figures(uninterrupted.epochs)
    assert resumed.resumed == len(stops)


def test_workers_and_checkpoints_change_nothing(tmp_path: Path, digits: Inks) -> None:
    recipe, corpus = a_recipe(epochs=2), a_corpus(digits)
    alone = train(recipe, corpus, Watching())
    often = Checkpoints(tmp_path, ORIGIN, every_seconds=0)
    helped = train(recipe, corpus, Watching(), workers=1, checkpoints=often)
    assert weights(alone.network) == weights(helped.network)
    again = train(recipe, corpus, watching := Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN))
    assert watching.batches == 0
    assert weights(again.network) == weights(alone.network)


def test_a_training_that_goes_on_keeps_its_number_of_threads(tmp_path: Path, digits: Inks) -> None:
    """Another number of threads adds up in another order: the result would not be the same."""
    recipe, corpus = a_recipe(), a_corpus(digits)
    with pytest.raises(Interrupted):
        train(recipe, corpus, Watching(1), checkpoints=Checkpoints(tmp_path, ORIGIN))
    saved = Checkpoints(tmp_path, ORIGIN).newest(pytest.fail)
    assert saved is not None
    threads = torch.get_num_threads()
    other = Checkpoint(2, saved.tensors, {**saved.state, "threads": threads + 1})
    Checkpoints(tmp_path, ORIGIN).save(other)
    try:
        assert (
            train(recipe, corpus, Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN)).threads
            == threads + 1
        )
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_a_worker_that_is_killed_ends_the_training_with_a_word(tmp_path: Path, digits: Inks) -> None:
    class Killing(Watching):
        def steps(self) -> None:
            super().steps()
            for child in multiprocessing.active_children() if self.batches == 3 else ():
                os.kill(child.pid or 0, signal.SIGKILL)

    checkpoints = Checkpoints(tmp_path, ORIGIN, every_seconds=0)
    with pytest.raises(Transient, match="goes on from the last checkpoint"):
        train(a_recipe(epochs=50), a_corpus(digits), Killing(), workers=1, checkpoints=checkpoints)
    newest = checkpoints.newest(pytest.fail)
    assert newest is not None
    assert newest.batch >= 2


def saved_thrice(folder: Path) -> Checkpoints:
    checkpoints = Checkpoints(folder, ORIGIN)
    for batch in (2, 4, 6):
        checkpoints.save(Checkpoint(batch, {"weights": torch.full((40,), float(batch))}, {"losses": 0.1}))
    return checkpoints


def test_the_newest_checkpoints_are_kept_and_what_a_kill_left_is_cleared(tmp_path: Path) -> None:
    for left in ("batch-00000001.safetensors", ".0123456789abcdef.part"):
        (tmp_path / left).write_bytes(b"left by a kill")
    (tmp_path / "notes.txt").write_text("somebody's own")
    checkpoints = saved_thrice(tmp_path)
    assert len(checkpoints) == KEPT
    names = ["batch-00000004", "batch-00000006"]
    files = [f"{name}{suffix}" for name in names for suffix in (".json", ".safetensors")]
    assert sorted(file.name for file in tmp_path.iterdir()) == [*files, "notes.txt"]
    newest = checkpoints.newest(pytest.fail)
    assert newest is not None
    assert (newest.batch, newest.state) == (6, {"losses": 0.1})
    assert newest.tensors["weights"].tolist() == [6.0] * 40
    checkpoints.remove()
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@given(st.sampled_from([".json", ".safetensors"]), st.floats(0, 1, exclude_max=True), st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_serves(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, place: float, bit: int
) -> None:
    """Any bit of either file turned, or the file cut off there."""
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints = saved_thrice(folder)
    file = folder / f"batch-00000006{suffix}"
    content = bytearray(file.read_bytes())
    at = int(place * len(content))
    if bit == 8:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    file.write_bytes(content)
    warnings: list[str] = []
    found = checkpoints.newest(warnings.append)
    assert found is not None
    if found.batch == 6:
        # White space between JSON's words, or its last line feed.
        assert suffix == ".json"
        assert found.state == {"losses": 0.1}
        return
    assert found.batch == 4
    assert "batch-00000006.json is damaged" in warnings[0]
    assert len(checkpoints) == 1


def test_a_training_without_one_whole_checkpoint_says_how_to_begin_again(tmp_path: Path) -> None:
    checkpoints = saved_thrice(tmp_path)
    (tmp_path / "batch-00000006.safetensors").unlink()
    (tmp_path / "batch-00000004.json").write_text("[" * 100_000)
    warnings: list[str] = []
    with pytest.raises(BadCommand, match="--restart"):
        checkpoints.newest(warnings.append)
    assert len(warnings) == 2
    assert Checkpoints(tmp_path / "none", ORIGIN).newest(pytest.fail) is None


def rewritten(file: Path, **changed: object) -> None:
    """The checkpoint with other values (without those that are None), and the hash that belongs to them."""
    content = {**json.loads(file.read_text())["content"], **changed}
    content = {key: value for key, value in content.items() if value is not None}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps({"content": content, "sha256": digest}))


def test_a_checkpoint_of_a_newer_format_is_refused_and_kept(tmp_path: Path) -> None:
    checkpoints = saved_thrice(tmp_path)
    rewritten(tmp_path / "batch-00000006.json", format=2)
    before = files_below(tmp_path)
    with pytest.raises(BadCommand, match=r"batch-00000006\.json is of format 2, this program reads 1"):
        checkpoints.newest(pytest.fail)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_checkpoint_that_cannot_be_read_is_refused_and_kept(tmp_path: Path, suffix: str) -> None:
    """A link to itself stands for whatever the system refuses: rights do not bind every user."""
    checkpoints = saved_thrice(tmp_path)
    file = tmp_path / f"batch-00000006{suffix}"
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(BadCommand, match=rf"batch-00000006\{suffix} cannot be read.*--restart"):
        checkpoints.newest(pytest.fail)
    assert file.is_symlink()
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["format", "batch", "state", "origin", "tensors"])
def test_a_checkpoint_without_one_of_its_keys_is_damaged(tmp_path: Path, key: str) -> None:
    checkpoints = saved_thrice(tmp_path)
    rewritten(tmp_path / "batch-00000006.json", **{key: None})
    warnings: list[str] = []
    found = checkpoints.newest(warnings.append)
    assert found is not None
    assert found.batch == 4
    assert f"batch-00000006.json is damaged: it has no {key}" in warnings[0]


@pytest.mark.parametrize("state", [{}, {"rates": 3}])
def test_a_checkpoint_that_does_not_fit_says_how_to_begin_again(
    tmp_path: Path, digits: Inks, state: dict[str, object]
) -> None:
    Checkpoints(tmp_path, ORIGIN).save(Checkpoint(2, {"weights": torch.zeros(3)}, state))
    with pytest.raises(BadCommand, match=r"after 2 batches does not fit .*--restart"):
        train(a_recipe(), a_corpus(digits), Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN))


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_folder_in_place_of_a_checkpoint_is_damaged(tmp_path: Path, suffix: str) -> None:
    checkpoints = saved_thrice(tmp_path)
    place = tmp_path / f"batch-00000006{suffix}"
    place.unlink()
    (place / "within").mkdir(parents=True)
    warnings: list[str] = []
    found = checkpoints.newest(warnings.append)
    assert found is not None
    assert found.batch == 4
    assert "batch-00000006.json is damaged" in warnings[0]
    assert len(checkpoints) == 1
    assert not place.exists()


def test_checkpoints_of_another_training_are_refused_with_both_named(tmp_path: Path) -> None:
    saved_thrice(tmp_path)
    other = Checkpoints(tmp_path, {"schedule": {"seed": 7}, "samples": 5})
    with pytest.raises(BadCommand, match=r"samples is 5, there it is -1; schedule\.seed is 7, there it is 1"):
        other.newest(pytest.fail)


def test_differences_name_every_key_and_what_is_on_one_side_only() -> None:
    there = {"a": [1, {"b": 2}], "gone": True}
    here = {"a": [1, {"b": 3}, 4], "name": "x"}
    assert differences(there, here) == [
        "a.2.b is 3, there it is 2",
        "a.3 is 4, there it is absent",
        "gone is absent, there it is true",
        'name is "x", there it is absent',
    ]
    assert differences(here, here) == []


def test_the_second_signal_stops_at_once_and_the_first_only_where_somebody_waits() -> None:
    with signals() as stop, stop.patiently():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not Stop().asked


# --- samples in one file -------------------------------------------------------------------------------


def test_samples_in_a_file_are_the_same_samples_in_every_process(tmp_path: Path, digits: Inks) -> None:
    """Shapes of their own, an empty source among them; pickled, they are a file name and shapes."""
    corpus = a_corpus(digits)
    shapes = [(3, 70), (2, 4, 5), (1, 1)]
    odd = Inks("odd", [np.full(shape, 7 + n, np.uint8) for n, shape in enumerate(shapes)], *digits_like(3))
    pools = (*corpus.pools, Pool(odd.take([]), 1, 0), Pool(odd, 1, 0))
    stock = Stock(tmp_path / "samples")
    moved = [stock.take(pool) for pool in pools]
    size = sum(image.size for pool in pools for image in pool.inks.images)
    assert (tmp_path / "samples").stat().st_size == size
    for before, after in zip(pools, moved, strict=True):
        # What spawning does with them.
        there = ForkingPickler.loads(ForkingPickler.dumps(after))
        for pool in (after, there):
            assert pool.inks.digest() == before.inks.digest()
            assert len(pool.inks.images) == len(before.inks.images)
    assert len(ForkingPickler.dumps(moved[0])) < 10_000
    images = moved[-1].inks.images
    assert [image.shape for image in images] == shapes
    assert [int(image.max()) for image in images[::-1]] == [9, 8, 7]
    assert images[-1].tolist() == [[9]]
    with pytest.raises(IndexError):
        images[3]
    recipe = a_recipe(epochs=1)
    plain = Corpus(corpus.pools, corpus.validation)
    light = Corpus(tuple(moved[:2]), corpus.validation)
    ways = [train(recipe, found, Watching(), workers=w) for found, w in ((plain, 0), (light, 0), (light, 1))]
    assert len({weights(trained.network) for trained in ways}) == 1


def digits_like(count: int) -> tuple[Labels, Labels]:
    return np.arange(count), np.arange(count)


def test_a_full_disk_is_named(tmp_path: Path, digits: Inks) -> None:
    with pytest.raises(Transient, match="cannot be written"):
        Stock(tmp_path / "absent" / "samples").take(a_corpus(digits).pools[0])


# --- early stop and another start ----------------------------------------------------------------------


def test_a_training_without_progress_stops_early_and_keeps_its_best_epoch(
    tmp_path: Path, digits: Inks
) -> None:
    recipe = a_recipe(epochs=6, patience=2, learning_rate=1e-9, averaging=0.0)
    corpus = a_corpus(digits)
    with pytest.raises(Interrupted):
        train(recipe, corpus, Watching(4), checkpoints=Checkpoints(tmp_path, ORIGIN))
    first = Checkpoints(tmp_path, ORIGIN).newest(pytest.fail)
    assert first is not None
    resumed = train(recipe, corpus, watching := Watching(), checkpoints=Checkpoints(tmp_path, ORIGIN))
    kept = resumed.best_epoch
    assert resumed.stopped_early
    assert len(resumed.epochs) == kept + 2 < 6
    best = max(epoch.validation_accuracy for epoch in watching.epochs)
    assert resumed.epochs[kept - 1].validation_accuracy == best
    if kept == 1:
        for name, tensor in resumed.network.state_dict().items():
            torch.testing.assert_close(tensor, first.tensors[f"averaged.module.{name}"], rtol=0, atol=0)
    whole = train(recipe, corpus, Watching())
    assert weights(whole.network) == weights(resumed.network)
    assert (
        len(
            train(
                recipe.model_copy(update={"schedule": a_recipe(epochs=6, learning_rate=1e-9).schedule}),
                corpus,
                Watching(),
            ).epochs
        )
        == 6
    )


def test_a_training_begins_with_the_weights_it_is_given(digits: Inks) -> None:
    corpus = a_corpus(digits)
    taught = train(a_recipe(epochs=4, batches_per_epoch=12), corpus, before := Watching())
    start = taught.network.state_dict()
    train(a_recipe(epochs=1, learning_rate=1e-9), corpus, Watching(), start=start)
    refreshed = train(a_recipe(epochs=1, learning_rate=1e-5), corpus, after := Watching(), start=start)
    assert after.epochs[0].loss < 0.8 * before.epochs[0].loss
    for name, tensor in refreshed.network.named_parameters():
        torch.testing.assert_close(tensor.data, start[name], rtol=0, atol=1e-3)


# --- torchvision's transforms --------------------------------------------------------------------------


def test_glyphs_are_spoiled_by_the_batchs_number_alone(digits: Inks) -> None:
    plan, pools = a_recipe().schedule, a_corpus(digits).pools
    clean = Batches(pools, plan, Hand())
    spoiled = Batches(pools, plan, Hand(), Augment(erased=0.5))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    images, labels, _ = spoiled[3]
    assert (torch.rand(3) == expected).all(), "a batch drew from the numbers that dropout continues with"
    assert (images == spoiled[3][0]).all()
    assert (labels == clean[3][1]).all()
    changed = (images != clean[3][0]).flatten(1)
    assert 0 < changed.any(dim=1).sum() < len(images)
    assert (images.flatten(1)[changed] == 0).all(), "only ink is taken away"


def test_noise_keeps_the_range_and_follows_its_size(digits: Inks) -> None:
    plan, pools = a_recipe().schedule, a_corpus(digits).pools
    clean = Batches(pools, plan, Hand())[0][0]
    noisy = Batches(pools, plan, Hand(), Augment(noise=0.1))[0][0]
    assert 0 <= noisy.min() <= noisy.max() <= 1
    inside = (clean > 0.4) & (clean < 0.6)
    assert 0.06 < (noisy - clean)[inside].std() < 0.14


def test_torchvision_opens_where_its_operators_cannot_be_loaded() -> None:
    """With its compiled library refused, as beside another build of torch, its own import stops."""
    code = """
import torch
def refuse(path): raise OSError(f"{path}: undefined symbol")
torch.ops.load_library = refuse
try:
    import torchvision
except RuntimeError as error:
    assert "torchvision::nms" in str(error), error
else:
    raise SystemExit("torchvision needs no help any more")
from training.recipe import Augment
from training.sources import Corpus, Pool
from training.stock import Stock
from training.vision import Spoiler
glyphs = torch.ones(16, 1, 28, 28)
spoiled = Spoiler(Augment(erased=1.0, noise=0.1))(glyphs, 3)
assert spoiled.shape == glyphs.shape and (spoiled < 0.5).flatten(1).any(1).all()
"""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_training_that_runs_away_stops_at_once_and_names_its_learning_rate(
    digits: Inks, value: float, tmp_path: Path
) -> None:
    recipe = a_recipe(learning_rate=0.5)
    network = networks.build(recipe.network.architecture, recipe.network.parameters)
    for parameter in network.parameters():
        nn.init.constant_(parameter, value)
    start = network.state_dict()
    watching, checkpoints = Watching(), Checkpoints(tmp_path, {})
    with pytest.raises(BadCommand, match=r"The loss is nan in epoch 1 of 3.*learning_rate = 0\.5") as caught:
        train(recipe, a_corpus(digits), watching, start=start, checkpoints=checkpoints)
    assert "--restart" in str(caught.value.remedy)
    assert watching.batches == 0
    assert len(checkpoints) == 0
