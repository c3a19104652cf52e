"""A run as a person has it: interrupted and taken up again, refused, started from a model, and reported."""

import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from typer.testing import CliRunner

from processor.commands.console import Words
from processor.errors import BadCommand, BadModel, BadSettings
from processor.prediction.classifier import Classifier
from tests.sample_sources import sample_digits, write_mnist
from tests.stand_ins import Stopping
from tests.tiny_training import RECIPE, files_below
from training import plots, publish, runs
from training.cli import app
from training.course import Epoch
from training.interruption import Interrupted
from training.memory import Peak
from training.publish import WEIGHTS, find_run
from training.recipe import load_recipe
from training.report import PICTURES, confusion_counts
from training.starting import find_device

TRAINING = Path(sys.executable).with_name("training")


@pytest.fixture(autouse=True)
def data(home: Path) -> Path:
    """A data folder of a hundred digits; a recipe in the working directory; an archive of one's own."""
    write_mnist(home / "data" / "mnist", sample_digits())
    (home / "tiny.toml").write_text(RECIPE)
    (home / "models_archive").mkdir()
    return home / "data"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe, trained once for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("finished")
    write_mnist(folder / "data" / "mnist", sample_digits())
    (folder / "tiny.toml").write_text(RECIPE)
    order = runs.Order(
        recipe=load_recipe(str(folder / "tiny.toml")),
        data=folder / "data",
        run=folder / "one",
        workers=0,
        device="cpu",
    )
    runs.fit_run(order, Words(quiet=True))
    return folder / "one"


def call(*arguments: str | Path) -> str:
    """What the command prints on stdout, run in this process; its errors are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def fit(*arguments: str | Path) -> str:
    return call("fit", "--recipe", "tiny.toml", "--data", "data", "--workers", "0", *arguments)


def started(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The real command, in a process group of its own, as a shell starts it."""
    command = [str(TRAINING), "fit", "--recipe", "tiny.toml", "--data", "data", "--out", "run", *arguments]
    return subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def an_order(home: Path) -> runs.Order:
    recipe = load_recipe("tiny.toml")
    return runs.Order(recipe=recipe, data=Path("data"), run=home / "run", workers=0)


# --- interruption --------------------------------------------------------------------------------------


def test_ctrl_c_saves_and_the_same_command_comes_to_the_same_bits(home: Path) -> None:
    """Ctrl-C reaches the whole process group: the worker that makes the batches must not die of it."""
    fit("--epochs", "20", "--out", "whole")
    process = started(home, "--epochs", "20")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Stopped in epoch" in errors
    assert "The same command goes on from there." in errors
    assert "Traceback" not in errors
    assert [file.name for file in (home / "run").iterdir()] == ["checkpoints"]
    fit("--epochs", "20", "--out", "run")
    assert (home / "run" / WEIGHTS).read_bytes() == (home / "whole" / WEIGHTS).read_bytes()
    report = json.loads((home / "run" / "report.json").read_text())
    assert report["resumed"] == 1
    assert len(report["epochs"]) == 20
    assert not (home / "run" / "checkpoints").exists()
    assert not list((home / "models_archive").iterdir())


def test_a_run_that_was_stopped_while_it_was_measured_is_written_again(home: Path, finished: Path) -> None:
    order = an_order(home)
    with pytest.raises(Interrupted, match="at once"):
        runs.fit_run(order, Stopping("Measuring"))
    assert {file.name for file in order.run.iterdir()} == {"checkpoints", ".unfinished"}
    # A kill while the files were moved leaves some of them, perhaps of an earlier attempt.
    for left in (WEIGHTS, *PICTURES):
        (order.run / left).write_bytes(b"half")
    runs.fit_run(order, Words(quiet=True))
    assert (order.run / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()
    assert files_below(order.run).keys() == files_below(finished).keys()


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_killed_at_twenty_random_moments_it_comes_to_the_same_bits(home: Path) -> None:
    """Each time a fresh run is killed once, anywhere from its start to its end, and taken up again.

    Moments are found by what the run has written: by the clock, a busy machine would shift them all.
    """
    shutil.copytree(Path(__file__).parents[1] / "models_archive", home / "models_archive", dirs_exist_ok=True)
    archive = files_below(home / "models_archive")
    fit_for_real(home, "whole")
    whole = (home / "whole" / WEIGHTS).read_bytes()
    chance = random.Random(20)
    run, interrupted = home / "run", 0
    for number in range(20):
        killed_once(home, moment(run, number, chance), chance.uniform(0, 0.3))
        if not (run / "manifest.json").exists():
            interrupted += 1
            fit_for_real(home, "run")
        Classifier.load(run)
        assert (run / WEIGHTS).read_bytes() == whole, number
        assert files_below(home / "models_archive") == archive
        shutil.rmtree(run)
    assert interrupted >= 15


def moment(run: Path, number: int, chance: random.Random) -> Callable[[], bool]:
    """At the start, at one of the 48 batches, or while the finished run is measured and moved."""
    if number < 3:
        return (run / runs.SAMPLES).exists
    if number < 14:
        after = chance.randrange(1, 45)
        return lambda: any(int(f.stem[-8:]) >= after for f in run.glob("checkpoints/batch-*.json"))
    begun = [(run / runs.UNFINISHED), *(run / name for name in ("history.json", *PICTURES))]
    return chance.choice(begun).exists


def killed_once(home: Path, reached: Callable[[], bool], wait_seconds: float) -> None:
    with started(home, "--epochs", "12") as process:
        while not reached() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(wait_seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def fit_for_real(home: Path, out: str) -> None:
    with started(home, "--epochs", "12", "--out", out) as process:
        try:
            _, errors = process.communicate(timeout=1500)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)
            raise
    assert process.returncode == 0, errors


# --- what is refused -----------------------------------------------------------------------------------


def test_a_folder_is_used_once_and_by_one_training(home: Path, finished: Path) -> None:
    with pytest.raises(BadCommand, match="finished run"):
        fit("--out", finished)
    (home / "mine").mkdir()
    (home / "mine" / "thesis.tex").touch()
    (home / "mine" / "checkpoints").mkdir()
    with pytest.raises(BadCommand, match="not empty"):
        fit("--out", "mine", "--restart")
    with pytest.raises(BadCommand, match="not a folder"):
        fit("--out", "tiny.toml")
    (home / "busy" / "checkpoints").mkdir(parents=True)
    with (
        FileLock(home / "busy" / "checkpoints" / ".lock"),
        pytest.raises(BadCommand, match="Another training"),
    ):
        fit("--out", "busy")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("first", "a model first"),
        ("FIRST", "a model FIRST"),
        ("a/b", "cannot be a model's name"),
        ("current", "name"),
    ],
)
def test_a_name_that_cannot_be_published_is_refused_before_anything_is_gathered(
    home: Path, name: str, named: str
) -> None:
    (home / "models_archive" / "first").mkdir()
    (home / "data" / "mnist").rename(home / "gone")
    with pytest.raises(BadCommand, match=named):
        fit("--out", "run", "--publish", name)
    assert not (home / "run").exists()


def test_an_archive_that_cannot_be_is_refused_before_anything_is_gathered(home: Path) -> None:
    (home / "models_archive").rmdir()
    (home / "models_archive").touch()
    (home / "data" / "mnist").rename(home / "gone")
    with pytest.raises(BadCommand, match="models_archive cannot be written"):
        fit("--out", "run", "--publish", "new")


def test_data_that_are_missing_leave_no_folder_behind(home: Path, data: Path) -> None:
    (data / "mnist" / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(BadCommand, match="train-images"):
        fit("--out", "run")
    assert not (home / "run").exists()
    (home / "mine").mkdir()
    with pytest.raises(BadCommand, match="train-images"):
        fit("--out", "mine")
    assert list((home / "mine").iterdir()) == [], "a folder that somebody made stays, and is empty again"


def test_a_checkpoint_of_another_training_is_refused_until_it_is_thrown_away(home: Path, data: Path) -> None:
    with pytest.raises(Interrupted):
        runs.fit_run(an_order(home), Stopping("epoch 1/"))
    with pytest.raises(BadCommand, match=r"schedule\.seed is 9, there it is 1"):
        fit("--out", "run", "--seed", "9")
    with pytest.raises(BadCommand, match=r"samples is 4, there it is -1"):
        fit("--out", "run", "--samples", "4")
    changed = sample_digits()
    changed.images[0][14, 14] ^= 255
    write_mnist(data / "mnist", changed)
    with pytest.raises(BadCommand, match=r"digest .* there it is .* digest"):
        fit("--out", "run")
    fit("--out", "run", "--seed", "9", "--restart")
    assert json.loads((home / "run" / "report.json").read_text())["resumed"] == 0


def test_a_device_that_is_not_there_is_refused() -> None:
    assert find_device("cpu").type == "cpu"
    with pytest.raises(BadCommand, match="auto, cpu, cuda"):
        find_device("gpu")
    if torch.cuda.is_available():
        assert find_device("auto").type == find_device("cuda").type == "cuda"
    else:
        assert find_device("auto").type == "cpu"
        with pytest.raises(BadCommand, match="no GPU"):
            find_device("cuda")


@pytest.mark.parametrize("archive", ["models_archive", "elsewhere"])
def test_a_published_model_is_never_calibrated(home: Path, finished: Path, archive: str) -> None:
    """Neither in the project's archive, nor in another one, nor by another way to its folder."""
    publish.publish(finished, home / archive, "first")
    model = home / archive / "first"
    if archive == "elsewhere":
        (home / archive / "CURRENT").write_text("first\n")
    (home / "aside").symlink_to(model)
    before = files_below(model), (model / "manifest.json").stat().st_mode
    for named in (model, home / "aside"):
        with pytest.raises(BadCommand, match=f"{named} is a published model.*under a new name"):
            call("calibrate", named, "--data", "data")
    assert (files_below(model), (model / "manifest.json").stat().st_mode) == before


# --- starting from a model -----------------------------------------------------------------------------


def start_from(home: Path, model: Path | str, network: str = "") -> None:
    start = f"[network]\nstart_from = {str(model)!r}\n{network}\n"
    (home / "tiny.toml").write_text(start + RECIPE[RECIPE.index("[schedule]") :])


def test_a_run_starts_from_a_models_weights_and_names_it(home: Path, finished: Path) -> None:
    publish.publish(finished, home / "models_archive", "first")
    (home / "models_archive" / "CURRENT").write_text("first\n")
    start_from(home, "current")
    fit("--out", "refreshed", "--epochs", "1", "--batches", "2")
    model = find_run(home / "refreshed")
    assert model.manifest["parent"] == "first"
    assert model.manifest["parameters"] == find_run(finished).manifest["parameters"]
    assert model.manifest["recipe"]["network"]["start_from"] == "current"
    learned = [row["source"] for row in find_run(finished).manifest["data"]]
    assert [row["source"] for row in model.manifest["data"] if row.get("through") == "first"] == learned
    before = json.loads((finished / "report.json").read_text())["epochs"][0]["loss"]
    assert json.loads((home / "refreshed" / "report.json").read_text())["epochs"][0]["loss"] < 0.9 * before


def test_a_recipe_that_contradicts_the_model_it_starts_from_is_refused(home: Path, finished: Path) -> None:
    start_from(home, finished, "parameters = { classes = 11, widths = [16, 16] }")
    with pytest.raises(BadSettings, match="Take parameters out"):
        fit("--out", "run")
    start_from(home, finished, 'architecture = "strided-residual"')
    fit("--out", "run", "--epochs", "1", "--batches", "2")
    start_from(home, "nobody")
    with pytest.raises(BadModel, match="nobody"):
        fit("--out", "other")
    assert not (home / "other").exists()


# --- the report ----------------------------------------------------------------------------------------


def test_the_report_tells_what_the_run_was_made_from_and_what_came_of_it(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    trained, letters, kept = report["data"]
    assert (trained["source"], trained["part"], trained["count"]) == ("mnist-train", "trained on", 90)
    assert (kept["part"], kept["count"]) == ("kept out", 10)
    assert trained["groups"] + kept["groups"] == len(np.unique(sample_digits().groups))
    assert letters["groups_per_digit"][0]["digit"] == 10
    assert [row["digit"] for row in trained["groups_per_digit"]] == list(range(10))
    assert [epoch["epoch"] for epoch in report["epochs"]] == [1, 2, 3]
    assert report["early_stop"] == {"patience": 0, "stopped_early": False, "kept_epoch": 3}
    assert {row["set"] for row in report["in_source"]} == {"mnist-train, kept out", "mnist-test"}
    assert report["cross_source"] == []
    assert np.sum(report["confusion"]["counts"]) == 10
    assert report["metrics"]["mnist-test"]["count"] == 100
    assert report["recipe"]["schedule"]["seed"] == 1
    assert (report["device"], report["workers"], report["resumed"]) == ("cpu", 0, 0)
    assert 50 < report["peak_memory_mb"] < 20_000
    assert report["versions"].keys() > {"torch", "torchvision", "python"}
    assert report["seconds"]["training"] > 0


def test_the_pictures_are_pictures(finished: Path) -> None:
    for name in PICTURES:
        with Image.open(finished / name) as image:
            image.load()
            assert image.width > 600
            assert image.height > 150
            assert len(image.convert("L").getcolors(256) or []) > 10


def an_epoch(number: int, error: float) -> Epoch:
    return Epoch(number, error, 1 - error, 1 - error / 2, 1.0)


@pytest.mark.parametrize("errors", [[0.0], [0.5, 0.0], [0.9, 0.1, 0.01, 0.02]])
def test_curves_are_drawn_of_any_course(errors: list[float]) -> None:
    """One epoch alone; no error at all, which a logarithmic scale has no place for; an earlier one kept."""
    epochs = [an_epoch(number, error) for number, error in enumerate(errors, 1)]
    with Image.open(io.BytesIO(plots.learning_curves(epochs, best_epoch=1))) as image:
        assert image.size == (1080, 456)


@pytest.mark.parametrize("wrong", [0, 1, 75])
def test_mistakes_are_drawn_however_many_there_are(wrong: int) -> None:
    glyphs = np.zeros((100, 1, 28, 28), np.float32)
    labels = np.arange(100) % 10
    probabilities = np.eye(11, dtype=np.float32)[np.where(np.arange(100) < wrong, (labels + 1) % 10, labels)]
    picture = plots.worst_mistakes(glyphs, labels, probabilities, [*"0123456789", "none"])
    with Image.open(io.BytesIO(picture)) as image:
        lines = max(1, -(-min(wrong, plots.MOST_MISTAKES) // plots.COLUMNS))
        assert image.height == pytest.approx(120 * (lines * 1.22 + 0.5), abs=2)


def test_confusion_counts_truth_by_row() -> None:
    counts = confusion_counts(np.array([1, 1, 2, 0]), np.array([1, 2, 2, 2]), 3)
    assert counts.tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 1]]
    with Image.open(io.BytesIO(plots.confusion(counts * 0, "abc"))) as image:
        assert image.width > 600


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system does not tell")
def test_the_memory_of_helping_processes_counts() -> None:
    alone, together = Peak(), Peak()
    alone.look()
    helper = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    helper.start()
    try:
        deadline = time.monotonic() + 30
        while together.together_mb < alone.together_mb + 3 and time.monotonic() < deadline:
            together.look()
        assert together.together_mb > alone.together_mb + 3
        assert (together.mb or 0) >= together.together_mb - 0.1
    finally:
        helper.kill()
        helper.join()
