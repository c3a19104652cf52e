"""What the training commands refuse at once, and what they tell while they work."""

import re
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from processor.errors import BadCommand, BadModel
from tests.sample_sources import sample_digits, write_mnist
from tests.stand_ins import Stopping
from tests.tiny_training import RECIPE
from training import runs
from training.cli import app
from training.interruption import Interrupted
from training.publish import find_run
from training.recipe import load_recipe


@pytest.fixture(autouse=True)
def data(home: Path) -> Path:
    write_mnist(home / "data" / "mnist", sample_digits())
    (home / "tiny.toml").write_text(RECIPE)
    (home / "models_archive").mkdir()
    return home / "data"


def call(*arguments: str | Path) -> None:
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def an_order(home: Path) -> runs.Order:
    recipe = load_recipe("tiny.toml")
    return runs.Order(recipe=recipe, data=Path("data"), run=home / "run", workers=0, device="cpu")


@pytest.mark.parametrize("command", ["fit", "evaluate", "calibrate run", "promote default"])
def test_a_mistyped_data_folder_is_refused_at_once(home: Path, command: str) -> None:
    (home / "file").touch()
    for wrong, why in (("dota", "does not exist"), ("file", "is a file")):
        with pytest.raises(BadCommand, match=f"--data {wrong}: this {why}"):
            call(*command.split(), "--data", wrong)


def test_no_samples_at_all_are_refused(home: Path) -> None:
    with pytest.raises(BadCommand, match="--samples 0"):
        call("fit", "--recipe", "tiny.toml", "--samples", "0")
    assert not (home / "runs").exists()


@pytest.mark.parametrize("command", [("publish", "run", "new"), ("calibrate", "run")])
def test_an_unfinished_run_says_so_and_how_to_go_on(home: Path, command: tuple[str, ...]) -> None:
    (home / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(BadModel, match="not finished") as caught:
        call(*command)
    assert "`training fit`" in str(caught.value.remedy)
    assert f"--out {home / 'run'}" in str(caught.value.remedy)
    assert list((home / "models_archive").iterdir()) == []
    with pytest.raises(BadModel, match="no finished run"):
        find_run(home / "nowhere")


def test_an_unknown_model_is_refused_before_any_test_set_is_read(data: Path) -> None:
    for file in (data / "mnist").glob("t10k-*"):
        file.write_bytes(b"would be refused, if it were read")
    with pytest.raises(BadModel, match="There is no model 'nobody'") as caught:
        call("promote", "nobody", "--data", "data")
    assert "It holds: none" in str(caught.value.remedy)


def test_each_source_is_named_before_it_is_read(home: Path) -> None:
    words = Stopping("Training on", signal.SIGTERM)
    with pytest.raises(Interrupted):
        runs.fit_run(an_order(home), words)
    gathering = next(place for place, line in enumerate(words.lines) if line.startswith("Gathering"))
    named = [line.strip() for line in words.lines[gathering + 1 : gathering + 3]]
    assert named == ["1/2  mnist …", "2/2  drawn-letters …"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_sources_are_read_promises_no_checkpoint(home: Path, number: int) -> None:
    with pytest.raises(Interrupted, match="before the first checkpoint") as caught:
        runs.fit_run(an_order(home), Stopping("  2/2", number))
    assert re.search("begins anew", str(caught.value.remedy))
    assert caught.value.exit_code == 130
    assert not (home / "run").exists()
