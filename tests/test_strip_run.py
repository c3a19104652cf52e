"""`training strips`: the second reader of a run, with it through the archive, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from processor.commands.console import Words
from processor.errors import BadCommand, Exit
from processor.pipeline import load_reader
from processor.prediction.archive import verify
from processor.prediction.classifier import Classifier
from processor.prediction.strip_networks import StripNetwork
from processor.prediction.strip_reader import STRIPS, StripReader, to_bytes
from processor.settings import load as load_settings
from tests.model_folders import add_run
from tests.sample_sources import sample_digits, write_mnist
from tests.stand_ins import Stopping
from tests.test_strip_corpus import write_strips
from training.checkpoints import STRIP_CHECKPOINTS
from training.cli import app
from training.interruption import Interrupted
from training.publish import find_run, publish
from training.strip_fit import StripPlan
from training.strip_run import (
    REFRESH_STEPS,
    STRIP_CURVES,
    STRIP_HISTORY,
    StripOrder,
    inherit,
    put,
    shorter,
    train_strips,
)
from training.strip_sets import MEASURED, SECOND_READER, learned_by


@pytest.fixture
def run(home: Path) -> Path:
    return add_run(home / "runs" / "one")


@pytest.fixture
def data(home: Path) -> Path:
    write_mnist(home / "data" / "mnist", sample_digits())
    return home / "data"


def strips(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["strips", *map(str, arguments), "--workers", "0"])


def test_a_run_gets_a_second_reader_and_brings_it_into_the_archive(home: Path, run: Path, data: Path) -> None:
    before = Classifier.load(run).model.manifest
    result = strips(run, "--data", data, "--steps", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(run)
    manifest = verify(run).manifest
    assert [row["file"] for row in manifest["weights"]] == [before["weights"][0]["file"], STRIPS]
    assert {k: v for k, v in manifest.items() if k not in {"weights", SECOND_READER}} == {
        k: v for k, v in before.items() if k != "weights"
    }
    account = manifest[SECOND_READER]
    assert (account["plan"]["steps"], account["started_from"], account["learned"]) == (1, None, "")
    assert {row["source"] for row in account["data"]} == {"mnist-train", "european-forms", "printed-digits"}
    StripReader.load(run)
    assert [row["step"] for row in json.loads((run / STRIP_HISTORY).read_text())] == [1]
    assert not (run / STRIP_CHECKPOINTS).exists()

    model = publish(run, home / "models_archive", "both")
    assert (model.path / STRIPS).read_bytes() == (run / STRIPS).read_bytes()
    assert (model.path / STRIP_CURVES).is_file()
    assert load_reader(load_settings(home / "settings.toml"), model.path).strips is not None


def test_a_refresh_goes_on_from_a_model_with_strips_of_ones_own(home: Path, run: Path, data: Path) -> None:
    assert strips(run, "--data", data, "--steps", "1").exit_code == 0
    own = write_strips(home / "own", {f"{n}.png": str(n) for n in range(100, 112)})
    refreshed = add_run(home / "runs" / "two")
    result = strips(refreshed, "--data", data, "--steps", "1", "--start", run, "--own", own)
    assert result.exit_code == 0, result.output
    assert (refreshed / STRIPS).read_bytes() != (run / STRIPS).read_bytes()
    account = verify(refreshed).manifest[SECOND_READER]
    assert account["started_from"] == "one"
    assert (len(account["learned"].split()), account["kept_out"]) == (10, 2)
    assert {row["through"] for row in account["data"] if "through" in row} == {"one"}
    assert learned_by(verify(refreshed).manifest) == set(account["learned"].split())


def test_a_run_that_began_from_a_model_inherits_its_second_reader(home: Path, run: Path, data: Path) -> None:
    plain = find_run(add_run(home / "runs" / "two"))
    assert inherit(run, plain).manifest["weights"] == plain.manifest["weights"]
    assert strips(run, "--data", data, "--steps", "1").exit_code == 0
    heir = inherit(run, plain)
    assert (heir.path / STRIPS).read_bytes() == (run / STRIPS).read_bytes()
    assert len(heir.manifest["weights"]) == 2


def test_a_second_reader_takes_the_place_of_the_first_one(run: Path) -> None:
    first, second = (to_bytes(StripNetwork(), warmth) for warmth in (1.0, 2.0))
    model = put(find_run(run), first, {MEASURED: {"count": 1, "right": 0.0}}, {"kept_out": 1})
    assert put(model, second, {}, {}).manifest["metrics"] == {}
    again = put(model, second, {MEASURED: {"count": 1, "right": 1.0}}, {"kept_out": 2})
    assert [row["file"] for row in again.manifest["weights"]].count(STRIPS) == 1
    assert (run / STRIPS).read_bytes() == second != first
    assert again.manifest["metrics"][MEASURED]["right"] == 1.0
    assert again.manifest[SECOND_READER] == {"kept_out": 2}


def test_a_refresh_is_shorter_and_gentler_unless_it_is_told() -> None:
    plan = StripPlan()
    assert shorter(plan, None, None, refresh=False) == plan
    refresh = shorter(plan, None, 7, refresh=True)
    assert (refresh.steps, refresh.seed) == (REFRESH_STEPS, 7)
    assert refresh.learning_rate < plan.learning_rate
    assert refresh.averaging < plan.averaging
    assert shorter(plan, 9, None, refresh=True).steps == 9


SMALL = StripPlan(steps=4, batch=2, parameters={"widths": (8, 8, 8, 8), "dropout": 0.3})


def an_order(run: Path, data: Path, **changes: Any) -> StripOrder:
    return replace(StripOrder(run=run, data=data, plan=SMALL, workers=0), **changes)


def test_interrupted_the_same_command_comes_to_the_same_bits(home: Path, run: Path, data: Path) -> None:
    whole = train_strips(an_order(add_run(home / "runs" / "two"), data), Words(quiet=True))
    for cue, told in (("batch 2/4", "Stopped after 2 of 4 batches."), ("Measuring", "Stopped at once.")):
        with pytest.raises(Interrupted) as caught:
            train_strips(an_order(run, data), Stopping(cue))
        assert caught.value.message == told
        assert "The same command goes on" in caught.value.remedy
        assert caught.value.exit_code == Exit.INTERRUPTED
        assert not (run / STRIPS).exists()
        find_run(run)
    with pytest.raises(BadCommand, match=r"another training: .*plan\.seed is 2, there it is 1") as refused:
        train_strips(an_order(run, data, plan=replace(SMALL, seed=2)), Words(quiet=True))
    assert "--restart" in refused.value.remedy
    heard: list[str] = []
    publish(run, home / "models_archive", "early", heard.append)
    assert "not finished" in heard[0]

    words = Stopping()
    train_strips(an_order(run, data), words)
    assert words.lines[2] == "Going on after 4 batches:"
    assert (run / STRIPS).read_bytes() == (whole.path / STRIPS).read_bytes()
    assert verify(run).manifest[SECOND_READER]["resumed"] == 2
    assert not (run / STRIP_CHECKPOINTS).exists()


def test_a_restart_throws_the_checkpoints_away(run: Path, data: Path) -> None:
    with pytest.raises(Interrupted, match="Stopped after 1 of 4"):
        train_strips(an_order(run, data), Stopping("batch 1/4"))
    words = Stopping()
    train_strips(an_order(run, data, plan=replace(SMALL, seed=2), restart=True), words)
    assert not any(line.startswith("Going on") for line in words.lines)


def test_a_stop_while_strips_are_gathered_leaves_nothing_behind(run: Path, data: Path) -> None:
    with pytest.raises(Interrupted, match="before the first checkpoint"):
        train_strips(an_order(run, data), Stopping("Gathering"))
    assert not (run / STRIP_CHECKPOINTS).exists()


def test_what_cannot_be_is_refused_with_its_name(home: Path, run: Path, data: Path) -> None:
    for arguments, named in (
        ((run, "--data", data, "--table", "numbers.csv"), "numbers.csv"),
        ((run, "--data", data, "--start", run), "no second reader"),
        ((home / "absent", "--data", data), "no finished run"),
        ((run, "--data", home / "nowhere"), "nowhere"),
    ):
        result = strips(*arguments)
        assert result.exit_code != 0
        assert named in str(result.exception)
    assert not (run / STRIPS).exists()
