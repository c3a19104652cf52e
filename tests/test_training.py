"""Training: recipes, augmentation, non-digits, calibration, a tiny run, the archive's doors."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from processor.errors import BadCommand, BadSettings
from processor.prediction.archive import find_model
from processor.prediction.classifier import Classifier
from processor.prediction.glyphs import normalise, stroke_width, with_surroundings
from processor.records import Box, CutOut, Page
from processor.segmentation.blobs import find_blobs
from tests.sample_sources import sample_digits, write_mnist
from training import drawn, negatives
from training.augment import Augmenter, Hand
from training.cli import app
from training.company import in_company
from training.cutting import LARGEST, compact, cut_boxes, label_candidates
from training.inks import NONE, Inks, own_of
from training.recipe import load_recipe, shipped_recipes
from training.sources import SOURCES

TINY = """
[network]
parameters = { classes = 11, widths = [8, 16], hidden = 8, dropout = 0.0 }

[schedule]
epochs = 2
batches_per_epoch = 4
batch = 32
trim_from_epoch = 2

[[source]]
name = "mnist"
share = 5
untouched = 0.5

[[source]]
name = "marks"
share = 2
"""

Training = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def digits() -> Inks:
    return sample_digits()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def data(tmp_path: Path, digits: Inks) -> Path:
    """A data folder with the sample as MNIST's training and test part."""
    write_mnist(tmp_path / "data" / "mnist", digits)
    return tmp_path / "data"


# --- recipes -------------------------------------------------------------------------------------------


def test_every_shipped_recipe_names_sources_that_exist() -> None:
    assert "default" in shipped_recipes()
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert {source.name for source in recipe.source if source.kind is None} <= SOURCES.keys()


def test_flags_win_over_the_recipe_and_none_keeps_it() -> None:
    usual = load_recipe("default")
    changed = load_recipe("default", epochs=3, seed=None)
    assert changed.schedule.epochs == 3
    assert changed.schedule.seed == usual.schedule.seed


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not toml", "not valid TOML"),
        ("[schedule]\nepochs = 0\n[[source]]\nname='mnist'\nshare=1", "epochs"),
        ("[schedule]\nepoch = 3\n[[source]]\nname='mnist'\nshare=1", "epoch"),
        ("[[source]]\nname='mnist'\nshare=-1", "share"),
        ("[[source]]\nname='mnist'\nshare=1\ncompany=2", "company"),
        ("[network]\nparameters={planes=3}\n[[source]]\nname='mnist'\nshare=1", "planes"),
        ("", "source"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_its_key(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(BadSettings, match=named):
        load_recipe(str(file))


SOURCE = "[[source]]\nname='mnist'\nshare=1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"[network]\nparameters = {{ classes = 12 }}\n{SOURCE}", "network.parameters.*expected 11"),
        (f"[network]\nparameters = {{ classes = 10 }}\n{SOURCE}", "network.parameters.*expected 11"),
        (
            f"[network]\nparameters = {{ classes = 11, dropout = nan }}\n{SOURCE}",
            "network.parameters.dropout",
        ),
        (f"[schedule]\nlearning_rate = inf\n{SOURCE}", "schedule.learning_rate"),
        (f"[schedule]\nlearning_rate = 1e30\n{SOURCE}", "schedule.learning_rate"),
        (f"[schedule]\nnone_weight = inf\n{SOURCE}", "schedule.none_weight"),
        (f"[schedule]\nnone_weight = 1e30\n{SOURCE}", "schedule.none_weight"),
        (f"{SOURCE}\nsamples = {10**23}", "source.0.samples"),
    ],
)
def test_a_recipe_that_would_lose_its_training_at_the_end_is_refused_at_once(
    tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(BadSettings, match=f"(?s){named}"):
        load_recipe(str(file))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"schedule = 5\n{SOURCE}", "schedule"),
        (f"schedule = 'x'\n{SOURCE}", "schedule"),
        (f"[[schedule]]\nseed = 1\n{SOURCE}", "schedule"),
        (f"{SOURCE}\nkind='npz'\npath=\"a\\u0000b\"", r"source.0.path = 'a\\x00b'"),
        (f"{SOURCE}\nkind='npz'\npath='~nouserx/b'", "source.0.path = '~nouserx/b'"),
        (f"{SOURCE}\nkind='digit-strips'\npath='a'\ntable='~nouserx/b'", "source.0.table = '~nouserx/b'"),
        (f"[schedule]\nseed = {'1' * 5000}\n{SOURCE}", "seed = 111"),
        (f"[network]\nparameters = {'[' * 3000}", r"parameters = \[\["),
        ("[[source]]\nname='mnist'\nshare=inf", "source.0.share"),
        ("[[source]]\nname='mnist'\nshare=1e308\n[[source]]\nname='marks'\nshare=1e308", "source.1.share"),
        (f"[schedule]\nseed = {10**23}\n{SOURCE}", "schedule.seed"),
        (f"[schedule]\nbatch = {10**12}\n{SOURCE}", "schedule.batch"),
        (f"[schedule]\nepochs = {10**19}\n{SOURCE}", "schedule.epochs"),
        (f"[network]\nparameters = 3\n{SOURCE}", "network.parameters"),
        ("source = 3", "source"),
        ("source = [3]", "source.0"),
    ],
)
def test_a_recipe_of_odd_values_is_refused_by_its_key_with_its_exit_code(
    tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(BadSettings, match=f"(?s)odd.toml.*{named}") as caught:
        load_recipe(str(file), batches_per_epoch=2)
    assert caught.value.exit_code == 3
    assert caught.value.remedy


def test_a_recipe_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadSettings, match="default"):
        load_recipe("defalt")


# --- augmentation and non-digits -----------------------------------------------------------------------


def test_augmentation_repeats_itself_with_the_same_generator(digits: Inks) -> None:
    augment = Augmenter(Hand())
    one = [augment(image, np.random.default_rng(3)) for image in digits.images[:20]]
    two = [augment(image, np.random.default_rng(3)) for image in digits.images[:20]]
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("scale", [1, 3, 6])
def test_a_digit_is_still_itself_when_it_was_augmented_gently(digits: Inks, scale: int) -> None:
    """At any size: enlarging and shrinking take different ways through OpenCV."""
    none = dict.fromkeys(
        ("stroke", "binarised", "blurred", "coarse", "broken", "underlined", "smudged", "salted"), 0.0
    )
    augment = Augmenter(Hand(rotation_degrees=0, shear=0, stretch=0, elastic=0, **none))
    rng = np.random.default_rng(1)
    for image in digits.images[:10]:
        large = np.kron(image, np.ones((scale, scale), np.uint8))
        assert likeness(normalise(augment(large, rng)), normalise(large)) > 0.85


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The best correlation of two glyphs, one of them shifted by at most a pixel."""
    shifts = [np.roll(one, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return float(max(np.corrcoef(shifted.ravel(), other.ravel())[0, 1] for shifted in shifts))


def test_no_augmentation_loses_all_ink_or_leaves_the_range(digits: Inks, rng: np.random.Generator) -> None:
    wild = Hand(stroke=1, binarised=0.5, blurred=1, coarse=0.5, broken=1, underlined=1, smudged=1, salted=1)
    augment = Augmenter(wild)
    for image in digits.images:
        ink = augment(image, rng)
        assert ink.dtype == np.float32
        assert np.isfinite(ink).all()
        assert ink.max() > 0.2
        assert ink.min() >= -0.01


def test_strokes_become_both_bolder_and_finer(digits: Inks, rng: np.random.Generator) -> None:
    augment = Augmenter(Hand(stroke=1))
    image = digits.images[0]
    widths = [stroke_width(normalise(augment(image, rng))) for _ in range(40)]
    usual = stroke_width(normalise(image))
    assert min(widths) < usual < max(widths)


def test_non_digits_are_labelled_none_and_hold_ink(digits: Inks, rng: np.random.Generator) -> None:
    letters = drawn.printed("AR", [NONE] * 2, "printed-letters", scripts=True)
    for inks in (
        negatives.pieces(digits, 40, rng),
        negatives.runs(digits, 40, rng),
        negatives.marks(200, rng),
        letters,
    ):
        assert set(inks.labels) == {NONE}
        assert all(image.any() and image.dtype == np.uint8 for image in inks.images)


def test_printed_and_european_digits_cover_what_they_promise(rng: np.random.Generator) -> None:
    printed = drawn.printed("0123456789", range(10), "printed-digits")
    assert set(printed.labels) == set(range(10))
    european = drawn.european(3, rng)
    forms = {digit: len(forms) for digit, forms in drawn.EUROPEAN.items()}
    assert {int(d): int((european.labels == d).sum()) for d in set(european.labels)} == {
        digit: 3 * count for digit, count in forms.items()
    }
    # A form that was taken apart into its points would leave specks instead of strokes.
    for image in european.images:
        count, _, stats, _ = cv2.connectedComponentsWithStats((image > 100).view(np.uint8))
        assert count - 1 <= 3
        assert stats[1:, cv2.CC_STAT_HEIGHT].max() > 30


def test_proposals_are_labelled_by_the_digits_they_hold() -> None:
    left, right = np.zeros((60, 90), np.uint8), np.zeros((60, 90), np.uint8)
    cv2.ellipse(left, (24, 30), (15, 20), 0, 0, 360, 255, 4)
    cv2.ellipse(right, (56, 30), (15, 20), 0, 0, 360, 255, 4)
    row = np.maximum(left, right)
    found = label_candidates(row, row > 0, [(0, left > 0), (0, right > 0)])
    whole = [image for image, label in found if label == 0]
    # The seams pass the place where the digits touch on either side: each may keep the other's edge.
    assert len(whole) == 2
    assert all(30 <= own_width(image) <= 42 for image in whole)
    others = [own_width(image) / own_height(image) for image, label in found if label == NONE]
    assert min(others) < 0.4
    assert max(others) > 1.2


def own_width(image: CutOut) -> int:
    return int(cv2.boundingRect(own_of(image))[2])


def own_height(image: CutOut) -> int:
    return int(cv2.boundingRect(own_of(image))[3])


def test_proposals_of_mnist_rows_hold_digits_and_non_digits(digits: Inks, rng: np.random.Generator) -> None:
    labels = negatives.proposals(digits, 12, rng).labels
    assert (labels == NONE).sum() > 10
    assert (labels != NONE).sum() > 3


def test_digits_are_cut_by_their_boxes_without_the_neighbours() -> None:
    page = np.full((50, 120), 235, np.uint8)
    cv2.line(page, (25, 10), (25, 40), 30, 3)
    cv2.ellipse(page, (60, 25), (9, 15), 0, 0, 360, 30, 3)
    cv2.line(page, (95, 10), (95, 40), 30, 3)
    boxes = [(1, Box(20, 8, 10, 35)), (0, Box(48, 8, 24, 35)), (1, Box(90, 8, 10, 35))]
    cut = cut_boxes(Page(number=1, pixels=page, dpi=None), boxes)
    assert [digit for _, digit in cut] == [1, 0, 1]
    own, around = with_surroundings(cut[1][0])
    assert np.ptp(np.flatnonzero(around.any(axis=0))) > np.ptp(np.flatnonzero(own.any(axis=0)))
    hole = own
    assert hole[14, 14] < 0.2
    assert np.ptp(np.flatnonzero(normalise(cut[0][0][0]).any(axis=0))) < 8


def test_a_large_cut_out_is_made_small_with_all_about_it() -> None:
    page = np.zeros((400, 300), np.uint8)
    cv2.ellipse(page, (150, 200), (80, 120), 0, 0, 360, 255, 20)
    ring = find_blobs(page > 0, 1)[0]
    large = ring.cut_out(page)
    small = compact(large)
    assert max(cv2.boundingRect(small[0])[2:]) <= LARGEST + 2
    assert small.shape[1] / large.shape[1] == pytest.approx(small.shape[2] / large.shape[2], rel=0.03)
    assert likeness(normalise(small[0]), normalise(large[0])) > 0.8
    assert compact(large[0]).ndim == 2


# --- in company ----------------------------------------------------------------------------------------


def test_a_digit_in_company_is_still_itself_and_no_longer_alone(
    digits: Inks, rng: np.random.Generator
) -> None:
    crowded = 0
    for image in digits.images[:40]:
        cut = in_company(own_of(image), lambda: own_of(digits.images[3]), rng)
        own, around = with_surroundings(cut)
        assert likeness(own, normalise(own_of(image))) > 0.9
        assert (around >= own).all()
        crowded += int((around > own + 0.5).sum() > 20)
    assert 18 <= crowded < 40


def test_neighbours_larger_than_the_view_are_cut_off(rng: np.random.Generator) -> None:
    tiny, huge = np.full((2, 1), 255, np.uint8), np.full((90, 400), 255, np.uint8)
    for own, other in ((tiny, huge), (huge, tiny), (tiny, tiny)):
        planes = [in_company(own, lambda other=other: other, rng) for _ in range(30)]  # type: ignore[misc]
        assert all((around >= alone).all() for alone, around in planes)


def test_what_happens_to_a_digit_happens_to_what_stands_about_it(
    digits: Inks, rng: np.random.Generator
) -> None:
    wild = Hand(stroke=1, binarised=0.5, blurred=1, coarse=0.5, broken=1, underlined=1, smudged=1, salted=1)
    augment = Augmenter(wild)
    for image in digits.images[:30]:
        alone = np.stack([own_of(image), own_of(image)])
        ink = augment(alone, rng)
        assert ink.shape[0] == 2
        np.testing.assert_array_equal(ink[0], ink[1])
        crowded = augment(in_company(own_of(image), lambda: own_of(digits.images[7]), rng), rng)
        assert np.isfinite(crowded).all()
        assert crowded[1].sum() >= crowded[0].sum()


# --- the command line ----------------------------------------------------------------------------------


@pytest.fixture
def training(home: Path) -> Training:
    """Runs the console command `training` in the product folder, with an archive and a recipe of its own."""
    (home / "models_archive").mkdir()
    (home / "tiny.toml").write_text(TINY)

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [str(Path(sys.executable).with_name("training")), *map(str, arguments)]
        return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=200, check=False)

    return run


def test_a_model_is_trained_published_promoted_and_listed(training: Training, home: Path, data: Path) -> None:
    recipe = ("--recipe", home / "tiny.toml", "--data", data, "--workers", "0")
    fitted = training("fit", *recipe, "--out", home / "runs" / "one", "--samples", "5", "--publish", "tiny-1")
    assert fitted.returncode == 0, fitted.stderr
    assert "epoch 2/2" in fitted.stderr
    assert fitted.stdout.strip() == str(home / "models_archive" / "tiny-1")
    history = json.loads((home / "runs" / "one" / "history.json").read_text())
    assert [row["epoch"] for row in history] == [1, 2]

    call("promote", "tiny-1")
    model = find_model(home / "models_archive", "current")
    assert model.name == "tiny-1"
    assert model.manifest["metrics"]["mnist-test"]["count"] == 100
    assert model.manifest["recipe"]["samples"] == 5
    assert {row["source"] for row in model.manifest["data"]} == {"mnist-train", "marks"}
    assert Classifier.load(model.path).probabilities(np.zeros((2, 1, 28, 28), np.float32)).shape == (2, 11)

    assert json.loads(call("list", "--json"))["current"] == "tiny-1"
    judged = json.loads(call("evaluate", "current", "--data", data, "--json"))
    assert judged["mnist-test"].items() >= model.manifest["metrics"]["mnist-test"].items()
    again = json.loads(call("calibrate", home / "runs" / "one", "--data", data, "--json"))
    assert again["temperature"] == model.temperature

    with pytest.raises(BadCommand, match="finished run"):
        call("fit", *recipe, "--out", home / "runs" / "one")


def call(*arguments: str | Path) -> str:
    """What the command prints on stdout, run in this process; its errors are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_model_that_is_not_there_ends_with_its_exit_code(training: Training) -> None:
    refused = training("promote", "nobody")
    assert refused.returncode == 4
    assert "nobody" in refused.stderr
    assert training("fit", "--recipe", "nothing").returncode == 3


COMMANDS = ["", "fit", "evaluate", "calibrate", "publish", "promote", "rollback", "list", "prune"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(training: Training, command: str) -> None:
    shown = training(*command.split(), "--help")
    assert shown.returncode == 0
    assert command in shown.stdout
    if command:
        assert "--settings" in shown.stdout


def test_help_does_not_wait_for_torch() -> None:
    code = "import training.cli, sys; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
