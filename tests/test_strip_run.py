"""`training strips`: the second reader of a run, with it through the archive, and what is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from processor.pipeline import load_reader
from processor.prediction.archive import verify
from processor.prediction.classifier import Classifier
from processor.prediction.strip_networks import StripNetwork
from processor.prediction.strip_reader import STRIPS, StripReader, to_bytes
from processor.settings import load as load_settings
from tests.model_folders import add_run
from tests.sample_sources import sample_digits, write_mnist
from tests.test_strip_corpus import write_strips
from training.cli import app
from training.publish import find_run, publish
from training.strip_fit import StripPlan
from training.strip_run import REFRESH_STEPS, inherit, put, shorter


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
    assert {k: v for k, v in manifest.items() if k != "weights"} == {
        k: v for k, v in before.items() if k != "weights"
    }
    StripReader.load(run)

    model = publish(run, home / "models_archive", "both")
    assert (model.path / STRIPS).read_bytes() == (run / STRIPS).read_bytes()
    assert load_reader(load_settings(home / "settings.toml"), model.path).strips is not None


def test_a_refresh_goes_on_from_a_model_with_strips_of_ones_own(home: Path, run: Path, data: Path) -> None:
    assert strips(run, "--data", data, "--steps", "1").exit_code == 0
    own = write_strips(home / "own", {f"{n}.png": str(n) for n in range(100, 112)})
    refreshed = add_run(home / "runs" / "two")
    result = strips(refreshed, "--data", data, "--steps", "1", "--start", run, "--own", own)
    assert result.exit_code == 0, result.output
    assert (refreshed / STRIPS).read_bytes() != (run / STRIPS).read_bytes()


def test_a_run_that_began_from_a_model_inherits_its_second_reader(home: Path, run: Path, data: Path) -> None:
    plain = find_run(add_run(home / "runs" / "two"))
    assert inherit(run, plain).manifest["weights"] == plain.manifest["weights"]
    assert strips(run, "--data", data, "--steps", "1").exit_code == 0
    heir = inherit(run, plain)
    assert (heir.path / STRIPS).read_bytes() == (run / STRIPS).read_bytes()
    assert len(heir.manifest["weights"]) == 2


def test_a_second_reader_takes_the_place_of_the_first_one(run: Path) -> None:
    first, second = (to_bytes(StripNetwork(), warmth) for warmth in (1.0, 2.0))
    model = put(find_run(run), first, {})
    again = put(model, second, {"cheque-strips-held-out": {"count": 1, "right": 1.0}})
    assert [row["file"] for row in again.manifest["weights"]].count(STRIPS) == 1
    assert (run / STRIPS).read_bytes() == second != first
    assert again.manifest["metrics"]["cheque-strips-held-out"]["right"] == 1.0


def test_a_refresh_is_shorter_and_gentler_unless_it_is_told() -> None:
    plan = StripPlan()
    assert shorter(plan, None, None, refresh=False) == plan
    refresh = shorter(plan, None, 7, refresh=True)
    assert (refresh.steps, refresh.seed) == (REFRESH_STEPS, 7)
    assert refresh.learning_rate < plan.learning_rate
    assert shorter(plan, 9, None, refresh=True).steps == 9


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
