"""Second readers judged: figures of whole numbers, on strips not trained on, calibrated, and gates."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from processor.commands.console import Words
from processor.errors import BadCommand, BadModel
from processor.prediction.archive import current_name, verify
from processor.prediction.promotions import read_promotions
from processor.prediction.strip_reader import STRIPS, StripReader
from tests.model_folders import add_run, edit_manifest, overwrite
from tests.strip_models import saying, strips_of, with_reader
from tests.test_corrections import Project
from tests.test_strip_corpus import write_strips
from training import metrics, tables
from training.cards import card
from training.cli import app
from training.curves import coverage_figure, reliability_figure
from training.frozen import (
    FROZEN_STRIPS,
    frozen_strips,
    read_strips,
    write_frozen,
)
from training.frozen import (
    STRIPS as SHIPPED_STRIPS,
)
from training.frozen import write_strips as write_frozen_strips
from training.gate_sets import strip_gate_sets
from training.gates import Gate, Lack, judge_strips
from training.inks import collect
from training.judgement import Judgement, Numbers, number_details, number_figures
from training.promotion import NotPromoted, promote
from training.publish import entry, find_run, publish
from training.strip_run import judge_strips as judge_strips_of
from training.strip_run import measure, recalibrate_strips, second_reader
from training.strip_sets import (
    MEASURED,
    SECOND_READER,
    held_out_set,
    learned_by,
    own_set,
    read_set,
)

WHERE = Path("strips.safetensors")


def numbers(*rows: tuple[str, str, float], part: str = "") -> Numbers:
    truths, read, confidence = zip(*rows, strict=True)
    files = tuple(f"{place}.png" for place in range(len(rows)))
    return Numbers("mine", files, truths, read, np.array(confidence), part)


# --- figures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "read", "fewest"),
    [
        ("", "", 0),
        ("12", "12", 0),
        ("12", "", 2),
        ("", "7", 1),
        ("123", "13", 1),
        ("123", "1923", 1),
        ("19", "91", 2),
    ],
)
def test_edits_against_known_values(truth: str, read: str, fewest: int) -> None:
    assert metrics.edits(truth, read) == fewest


@given(st.text("012", max_size=7), st.text("012", max_size=7))
@how(deadline=None)
def test_edits_are_a_distance(one: str, other: str) -> None:
    found = metrics.edits(one, other)
    assert found == metrics.edits(other, one)
    assert abs(len(one) - len(other)) <= found <= max(len(one), len(other))
    assert (found == 0) == (one == other)


def test_figures_tell_numbers_digits_confidence_and_what_can_be_accepted() -> None:
    rows = (
        [("12", "12", 0.9)] * 60
        + [("345", "345", 0.9)] * 30
        + [("345", "35", 0.4)] * 6
        + [("7", "71", 0.9)] * 4
    )
    found = number_figures(numbers(*rows))
    assert (found["count"], found["right"], found["digits"]) == (100, 0.9, 60 * 2 + 36 * 3 + 4)
    assert found["right_low"] < 0.9 < found["right_high"]
    assert found["digit_error_rate"] == round(10 / found["digits"], 5)
    # 94 at 90 %, of which 90 are right; six at 40 %, all wrong.
    assert found["calibration_error"] == pytest.approx(abs(94 * 0.9 - 90) / 100 + 0.06 * 0.4, abs=1e-5)
    assert found["coverage_at_0.01"] == 0.0
    assert number_figures(numbers(*rows[:-4]))["coverage_at_0.01"] == round(90 / 96, 5)


def test_what_was_read_wrong_is_listed_the_surest_first() -> None:
    found = number_details(numbers(("1", "1", 0.9), ("2", "3", 0.2), ("4", "44", 0.8)))
    assert [row["file"] for row in found["wrong"]] == ["2.png", "1.png"]
    assert found["wrong"][0] == {"file": "2.png", "digits": "4", "read": "44", "confidence": 0.8}
    assert sum(row["count"] for row in found["reliability"]) == 3


def test_a_set_without_a_strip_has_no_figures() -> None:
    empty = Numbers("mine", (), (), (), np.zeros(0))
    assert number_figures(empty) == {"count": 0}
    assert number_details(empty) == {}


def test_tables_and_curves_show_numbers_as_well() -> None:
    seen = numbers(("12", "12", 0.9), ("34", "35", 0.3), part="the 2 of 3 not trained on")
    document = Judgement((), (), (), 0.5, np.zeros(0, np.float32), (seen,)).document()
    assert document["mine"]["part"] == "the 2 of 3 not trained on"
    ((columns, rows),) = tables.of_figures(document)
    assert columns[0].startswith("numbers")
    assert rows[0][:3] == ("mine", 2, 0.5)
    assert rows[0][4] == 0.25
    assert coverage_figure([seen]).axes[0].lines[0].get_label() == "mine (2)"
    assert reliability_figure([seen]).axes[0].get_title() == "mine (2)"


# --- which strips --------------------------------------------------------------------------------------


@pytest.fixture
def own(home: Path) -> Path:
    return write_strips(home / "own", {f"{n}.png": f"{n}" for n in range(300, 306)})


@pytest.fixture
def run(home: Path) -> Path:
    return with_reader(add_run(home / "runs" / "one"), saying(3))


def test_strips_kept_out_of_every_training_are_a_set(home: Path) -> None:
    assert held_out_set(home / "data") is None
    write_strips(home / "data" / "orand-car-a", {"3.png": "3", "77.png": "77"})
    found = held_out_set(home / "data")
    assert found is not None
    assert (found.name, sorted(found.digits), len(found)) == (MEASURED, ["3", "77"], 2)
    assert measure(StripReader.from_bytes(saying(3), WHERE), home / "data")[MEASURED]["right"] == 0.5
    assert measure(StripReader.from_bytes(saying(3), WHERE), home) == {}


def test_of_ones_own_strips_those_trained_on_do_not_count(own: Path) -> None:
    whole = own_set(own, None)
    assert (len(whole), whole.part) == (6, "")
    from training.strip_corpus import own_strips

    marks = [strip.mark for strip in own_strips(own, own / "truth.csv")]
    learned = learned_by({SECOND_READER: {"learned": " ".join(marks[:4])}}, {SECOND_READER: {}}, {})
    assert learned == set(marks[:4])
    left = own_set(own, own / "truth.csv", learned)
    assert (len(left), left.part) == (2, "the 2 of 6 not trained on")
    with pytest.raises(BadCommand, match="trained on all 6 strips"):
        own_set(own, None, set(marks))


def test_a_set_is_read_as_the_product_reads() -> None:
    found = read_set(StripReader.from_bytes(saying(3), WHERE), strips_of("3", "4", "33"))
    assert found.read == ("3", "3", "3")
    assert found.right.tolist() == [True, False, False]
    assert (found.confidence > 0.9).all()
    silent = read_set(StripReader.from_bytes(saying(None), WHERE), strips_of("3"))
    assert silent.read == ("",)


# --- evaluating and calibrating ------------------------------------------------------------------------


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_judges_the_second_reader_on_ones_own_strips(home: Path, run: Path, own: Path) -> None:
    (home / "data").mkdir()
    common = ("evaluate", run, "--data", home / "data", "--quiet", "--own")
    found = json.loads(call(*common, own, "--json").stdout)
    assert found.keys() == {"own-strips"}
    assert (found["own-strips"]["count"], found["own-strips"]["right"]) == (6, 0.0)
    assert len(found["own-strips"]["wrong"]) == 6
    assert "numbers, by the second reader" in call(*common, own).stdout
    table = own / "three.csv"
    table.write_text("file,digits\n300.png,3\n301.png,301\n")
    assert json.loads(call(*common, own, "--table", table, "--json").stdout)["own-strips"]["right"] == 0.5


def test_without_strips_named_those_kept_out_are_judged_and_none_where_there_is_no_reader(
    home: Path, run: Path
) -> None:
    write_strips(home / "data" / "orand-car-a", {"3.png": "3", "77.png": "77"})
    heard: list[str] = []
    (found,) = judge_strips_of(run, home / "data", notice=heard.append)
    assert (found.name, found.right.sum()) == (MEASURED, 1)
    assert f"{MEASURED}: 2 numbers" in heard
    assert judge_strips_of(add_run(home / "runs" / "plain"), home / "data") == ()


def test_a_reader_of_an_older_version_that_may_know_the_strips_is_told_of(run: Path, own: Path) -> None:
    heard: list[str] = []
    judge_strips_of(run, run, own=own, notice=heard.append)
    assert heard[0].startswith("one does not tell which strips")
    with_reader(run, saying(3), learned="")
    judge_strips_of(run, run, own=own, notice=(quiet := list[str]()).append)
    assert quiet == ["own-strips: 6 numbers"]


def test_strips_for_a_model_without_a_second_reader_are_refused(home: Path, own: Path) -> None:
    plain = add_run(home / "runs" / "plain")
    (home / "data").mkdir()
    for command in ("evaluate", "promote"):
        lone = call(command, plain, "--table", own / "truth.csv")
        assert "names numbers of no strips" in str(lone.exception)
    assert "no second reader" in str(call("evaluate", plain, "--data", home / "data", "--own", own).exception)
    with pytest.raises(BadCommand, match="no second reader"):
        recalibrate_strips(find_run(plain), home / "data", Words(quiet=True), own)


def test_calibration_finds_the_temperature_again_on_strips_not_trained_on(
    home: Path, run: Path, own: Path
) -> None:
    """A reader that says 3 of everything is too sure: on other numbers its confidence falls."""
    mixed = {f"{n}.png": "3" if n < 303 else str(n) for n in range(300, 306)}
    (own / "truth.csv").write_text("\n".join(["file,digits", *(f"{f},{d}" for f, d in mixed.items())]) + "\n")
    before = StripReader.load(run).read(strips_of("3").strips)[0].confidence
    model = recalibrate_strips(find_run(run), home, Words(quiet=True), own)
    found = second_reader(run)
    assert found is not None
    assert found.account["temperature"] > 1
    assert StripReader.load(run).read(strips_of("3").strips)[0].confidence < before
    assert (model.path / STRIPS).read_bytes() == found.content

    again = recalibrate_strips(find_run(run), home / "no-cheques", Words(quiet=True))
    assert (again.path / STRIPS).read_bytes() == found.content


def test_a_model_without_a_second_reader_is_calibrated_as_before(home: Path) -> None:
    plain = find_run(add_run(home / "runs" / "plain"))
    assert recalibrate_strips(plain, home, Words(quiet=True)) == plain


# --- gates ---------------------------------------------------------------------------------------------


def reader(digit: int | None) -> StripReader:
    return StripReader.from_bytes(saying(digit), WHERE)


def test_whole_numbers_are_a_gate_on_the_same_strips() -> None:
    strips = strips_of(*"3333344")
    (gate,) = judge_strips(reader(4), reader(3), [strips, strips_of()])
    assert isinstance(gate, Gate)
    assert gate.name == "mine, whole numbers"
    assert (gate.count, gate.right, gate.right_before, gate.lost, gate.won) == (7, 2, 5, 5, 2)
    assert gate.passed
    (shut,) = judge_strips(reader(4), reader(3), [strips_of(*"33333")])
    assert not shut.passed
    assert "5 lost" in str(shut)


def test_a_candidate_without_a_second_reader_lacks_what_the_one_in_use_has() -> None:
    (lack,) = judge_strips(None, reader(3), [strips_of("3")])
    assert isinstance(lack, Lack)
    assert not lack.passed
    assert lack.row() == {"name": "second reader", "passed": False}
    assert judge_strips(reader(3), None, [strips_of("3")]) == []
    assert judge_strips(None, None, []) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of four models, equal but for their second readers, and frozen sets of threes."""
    folder = tmp_path_factory.mktemp("made")
    readers = {"plain": None, "three": 3, "also-three": 3, "four": 4}
    for name, digit in readers.items():
        run = add_run(folder / "runs" / name)
        publish(run if digit is None else with_reader(run, saying(digit)), folder / "archive", name)
    blank = np.ones((28, 28), np.uint8)
    write_frozen(folder / "archive" / "frozen.npz", collect("any", [blank], [3], [0]))
    write_frozen_strips(folder / "archive" / FROZEN_STRIPS, strips_of(*"33333334"))
    return folder / "archive"


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "archive")


def test_a_worse_second_reader_is_refused_and_the_one_in_use_stays(models: Path) -> None:
    promote(models, "three")
    with pytest.raises(
        NotPromoted, match="frozen strips, whole numbers: 1 of 8 right, 7 by the model in use"
    ):
        promote(models, "four")
    assert current_name(models) == "three"
    assert promote(models, "also-three").overridden == ()
    gates = {gate["name"]: gate for gate in read_promotions(models)[-1].gates}
    assert gates["frozen strips, whole numbers"]["right"] == 7


def test_force_names_the_second_reader_that_it_overrides(models: Path) -> None:
    promote(models, "three")
    with pytest.raises(NotPromoted, match="second reader: the model in use has it") as caught:
        promote(models, "plain")
    assert "--force" in caught.value.remedy
    decision = promote(models, "plain", force=True)
    assert [gate.name for gate in decision.overridden] == ["second reader"]
    assert list(read_promotions(models)[-1].forced) == ["second reader"]


def test_strips_of_ones_own_are_a_gate(models: Path) -> None:
    promote(models, "three")
    with pytest.raises(NotPromoted, match=r"own-strips, whole numbers: 0 of 6 right, 6 by"):
        promote(models, "four", strips=[strips_of(*"333333", name="own-strips")])


def test_a_first_second_reader_is_promoted_if_it_can_be_loaded(models: Path) -> None:
    promote(models, "plain")
    overwrite(models / "four" / STRIPS, b"gone")
    with pytest.raises(BadModel, match=STRIPS):
        promote(models, "four")
    assert promote(models, "three").overridden == ()


def test_a_second_reader_in_use_that_cannot_be_loaded_holds_nobody_up(models: Path) -> None:
    promote(models, "three")
    odd = safetensors.torch.save({"odd": torch.ones(1)})
    overwrite(models / "three" / STRIPS, odd)
    edit_manifest(models / "three", lambda m: m["weights"].__setitem__(1, entry(STRIPS, odd)))
    heard: list[str] = []
    assert promote(models, "four", notice=heard.append).overridden == ()
    assert any("cannot be compared with" in line and STRIPS in line for line in heard)


def test_strips_are_gathered_where_both_models_read_them(models: Path, home: Path, own: Path) -> None:
    assert strip_gate_sets(models, "three", home / "data", own=own) == []
    promote(models, "plain")
    assert strip_gate_sets(models, "three", home / "data", own=own) == []
    promote(models, "three")
    assert strip_gate_sets(models, "plain", home / "data", own=own) == []
    write_strips(home / "data" / "orand-car-a", {"3.png": "3"})
    sets = strip_gate_sets(models, "four", home / "data", own=own)
    assert [(strips.name, len(strips)) for strips in sets] == [(MEASURED, 1), ("own-strips", 6)]
    project = Project(home)
    project.correct("4095", "4096", number=1)
    (*_, corrected) = strip_gate_sets(models, "four", home / "data", settings=project.settings)
    assert (corrected.name, corrected.digits) == ("corrections", ("4096",))


# --- frozen strips -------------------------------------------------------------------------------------


def test_the_shipped_strips_are_what_the_archives_readme_says(tmp_path: Path) -> None:
    shipped = frozen_strips(tmp_path)["frozen strips"]
    assert len(shipped) == SHIPPED_STRIPS
    assert all(strip.pixels[0].max() > 200 for strip in shipped.strips)
    assert {character for digits in shipped.digits for character in digits} == set("0123456789")
    archive = Path(__file__).parent.parent / "models_archive"
    assert (archive / FROZEN_STRIPS).stat().st_size < 1_000_000
    assert FROZEN_STRIPS in (archive / "README.md").read_text()


def test_frozen_strips_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_frozen_strips(tmp_path / "strips-ours.npz", strips_of("3", "40"))
    found = frozen_strips(tmp_path)["frozen strips-ours"]
    assert found.digits == ("3", "40")
    assert all(
        np.array_equal(a.pixels, b.pixels)
        for a, b in zip(found.strips, strips_of("3", "40").strips, strict=True)
    )


SOME: dict[str, Any] = {
    "strips": np.zeros((2, 2, 32, 9), np.uint8),
    "widths": np.array([9, 4]),
    "digits": np.array(["1", "22"]),
}


@pytest.mark.parametrize(
    "change",
    [
        {"strips": np.zeros((2, 1, 32, 9), np.uint8)},
        {"strips": np.zeros((2, 2, 32, 9), np.float32)},
        {"widths": np.array([9, 10])},
        {"widths": np.array([9, 0])},
        {"widths": np.array([9])},
        {"digits": np.array(["1", "x"])},
        {"digits": np.array([1, 2])},
        {"digits": None},
    ],
)
def test_a_file_that_holds_no_strips_is_refused_by_name(tmp_path: Path, change: dict[str, Any]) -> None:
    arrays = {name: array for name, array in {**SOME, **change}.items() if array is not None}
    np.savez(tmp_path / "strips-odd.npz", **arrays)
    with pytest.raises(BadCommand, match=r"strips-odd\.npz"):
        read_strips(tmp_path / "strips-odd.npz")


# --- what is told of it --------------------------------------------------------------------------------


def test_the_card_and_the_list_tell_of_the_second_reader(home: Path, run: Path) -> None:
    account = {
        "temperature": 1.25,
        "started_from": "before",
        "plan": {"steps": 7},
        "kept_out": 12,
        "data": [{"source": "cheque-strips", "count": 9, "licence": "research use", "digest": "d1"}],
        "learned": "0123abcd",
    }
    manifest = {**verify(run).manifest, SECOND_READER: account}
    text = card({**manifest, "metrics": {MEASURED: {"right": 0.875}}})
    assert "It went on from that of before. Temperature 1.25, by 12 strips" in text
    assert "| cheque-strips | 9 | research use | d1 |" in text
    assert "| plan.steps | 7 |" in text
    assert f"| {MEASURED} | right | 0.875 |" in text
    assert "0123abcd" not in text
    assert "Second reader" not in card({k: v for k, v in manifest.items() if k != SECOND_READER})

    publish(with_reader(run, saying(3)), home / "models_archive", "two")
    measured = {MEASURED: {"count": 8, "right": 0.875}}
    publish(add_run(home / "runs" / "old", metrics=measured), home / "models_archive", "old")
    promote(home / "models_archive", "two")
    assert f"{MEASURED} 87.50 %" in " ".join(call("list").stdout.split())
