"""Promotion: gates that tell a worse model from bad luck, a way back, and room made without loss."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from processor.commands.console import Words
from processor.commands.models import models as list_command
from processor.errors import BadCommand, BadDatabase, BadModel, Exit
from processor.prediction.archive import current_name, find_model, model_names
from processor.prediction.classifier import Classifier
from processor.prediction.promotions import read_promotions
from processor.records import Glyphs
from processor.results.database import open_database, writing
from processor.results.publish import write_whole
from processor.results.schema import models as model_rows
from processor.settings import load as load_settings
from processor.settings import shipped_archive
from tests.model_folders import Tensors, add_run, edit_manifest, overwrite, some_tensors
from training.cli import app
from training.frozen import DIGITS, FROZEN, NON_DIGITS, frozen_sets, read_frozen, write_frozen
from training.gate_sets import gate_sets
from training.gates import LEVEL, Gate, calibration, chance_of, compare, judge
from training.inks import NONE, Inks, collect
from training.promotion import NotPromoted, promote, rollback
from training.pruning import SHIPPED, prune
from training.publish import publish

TRAINING = Path(sys.executable).with_name("training")

# --- the paired test -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "won", "chance"),
    [(0, 0, 1), (5, 0, 1 / 32), (1, 0, 0.5), (10, 2, 79 / 4096), (2, 10, 4083 / 4096), (50, 50, 0.5397946)],
)
def test_the_exact_test_against_known_values(lost: int, won: int, chance: float) -> None:
    assert chance_of(lost, won) == pytest.approx(chance, abs=1e-7)


@given(st.integers(0, 300), st.integers(0, 300))
def test_more_losses_are_less_likely_and_more_wins_more(lost: int, won: int) -> None:
    assert 0 < chance_of(lost, won) <= 1
    assert chance_of(lost + 1, won) <= chance_of(lost, won)
    assert chance_of(lost, won + 1) >= chance_of(lost, won)


def outcomes(labels: list[int], wrong: set[int]) -> NDArray[np.bool_]:
    return np.array([place not in wrong for place in range(len(labels))])


def gates_of(labels: list[int], wrong: set[int], wrong_before: set[int]) -> dict[str, Gate]:
    found = compare("set", np.array(labels), outcomes(labels, wrong), outcomes(labels, wrong_before))
    return {gate.name.removeprefix("set, "): gate for gate in found}


def test_each_digit_has_its_gate_and_what_is_no_digit_too() -> None:
    labels = [0] * 20 + [7] * 20 + [NONE] * 20
    gates = gates_of(labels, wrong={0, 1, 21, 45}, wrong_before={1, 2, 50})
    assert gates.keys() == {"all digits", "digit 0", "digit 7", "no digit"}
    whole = gates["all digits"]
    assert (whole.count, whole.right, whole.right_before, whole.lost, whole.won) == (40, 37, 38, 2, 1)
    assert (gates["digit 0"].level, whole.level) == (LEVEL / 2, LEVEL)
    assert (gates["no digit"].lost, gates["no digit"].won) == (1, 1)
    assert all(gate.passed for gate in gates.values())


def test_a_digit_that_was_forgotten_shuts_its_gate_though_others_were_won() -> None:
    labels = [digit for digit in range(10) for _ in range(30)]
    sevens = {place for place, label in enumerate(labels) if label == 7}
    others = {place for place, label in enumerate(labels) if label != 7 and place % 5 == 0}
    gates = gates_of(labels, wrong=set(sorted(sevens)[:8]), wrong_before=others)
    assert [name for name, gate in gates.items() if not gate.passed] == ["digit 7"]
    assert gates["all digits"].right > gates["all digits"].right_before


def test_digits_that_are_kept_and_blots_that_now_pass_shut_the_gate_of_non_digits() -> None:
    labels = [3] * 50 + [NONE] * 50
    gates = gates_of(labels, wrong={60, 61, 62, 63, 64, 65}, wrong_before=set())
    assert [name for name, gate in gates.items() if not gate.passed] == ["no digit"]


@given(st.integers(0, 2**32 - 1))
@how(deadline=None)
def test_as_good_a_model_with_other_errors_passes_nearly_always(seed: int) -> None:
    """Here each of 22 gates is asked; the level keeps the chance of any of them near one in ten."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), 100)
    refused = 0
    for _ in range(20):
        right, before = rng.random(1000) < 0.98, rng.random(1000) < 0.98
        refused += any(not gate.passed for gate in compare("set", labels, right, before))
    assert refused <= 8


class Saying:
    """Reads in every glyph the class that is written in its first pixel, but for those it gets wrong."""

    def __init__(self, wrong: set[int]) -> None:
        self.wrong = wrong

    def logits(self, glyphs: Glyphs) -> NDArray[np.float32]:
        scores = np.zeros((len(glyphs), 13), np.float32)
        # Twelve classes: two kinds of non-digits after the ten digits.
        scores[:, 12] = 0.5
        for place in set(range(len(glyphs))) - self.wrong:
            scores[place, 3] = 1
        return scores


def test_judging_reads_the_same_samples_by_both_and_takes_every_further_class_for_no_digit() -> None:
    images = [np.full((5, 5), 255, np.uint8)] * 12
    inks = collect("any", images, [3] * 10 + [NONE] * 2, list(range(12)))
    gates = judge(Saying({0, 1, 2, 3, 4, 5, 10, 11}), Saying({10}), {"mine": inks, "none": inks.take([])})
    found = {gate.name: (gate.right, gate.right_before, gate.passed) for gate in gates}
    assert found == {
        "mine, all digits": (4, 10, False),
        "mine, digit 3": (4, 10, False),
        "mine, no digit": (2, 1, True),
    }


# --- frozen sets ---------------------------------------------------------------------------------------


def test_the_shipped_set_holds_what_its_card_says() -> None:
    archive = shipped_archive()
    assert archive is not None
    inks = frozen_sets(archive)["frozen"]
    counts = np.bincount(inks.labels)
    assert counts.tolist() == [DIGITS] * 10 + [NON_DIGITS]
    assert all(image.shape == (28, 28) and image.any() for image in inks.images)
    assert (archive / FROZEN).stat().st_size < 300_000
    assert "frozen.npz" in (archive / "README.md").read_text()


def test_a_persons_own_sets_are_gates_beside_or_instead_of_the_shipped_one(tmp_path: Path) -> None:
    own = collect("any", [np.ones((28, 28), np.uint8)] * 2, [4, NONE], [0, 1])
    write_frozen(tmp_path / "frozen-ours.npz", own)
    found = frozen_sets(tmp_path)
    assert {name: len(inks) for name, inks in found.items()} == {"frozen": 1200, "frozen-ours": 2}
    assert found["frozen-ours"].labels.tolist() == [4, NONE]
    write_frozen(tmp_path / "frozen.npz", own)
    assert len(frozen_sets(tmp_path)["frozen"]) == 2


def npz(file: Path, **arrays: Any) -> None:
    np.savez(file, **arrays)


IMAGES = np.zeros((3, 28, 28), np.uint8)


def headed(header: bytes) -> bytes:
    """An array of NumPy's format with any header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def packed(file: Path, array: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", array)


def flipped(file: Path) -> None:
    """Deflated data in whose midst bits are flipped."""
    np.savez_compressed(
        file, images=np.arange(7840, dtype=np.uint8).reshape(10, 28, 28), labels=np.zeros(10, int)
    )
    content = bytearray(file.read_bytes())
    content[60:160] = bytes(byte ^ 0xFF for byte in content[60:160])
    file.write_bytes(content)


NO_SETS: dict[str, Callable[[Path], object]] = {
    "text": lambda file: file.write_text("no zip"),
    "empty": lambda file: file.write_bytes(b""),
    "no labels": lambda file: npz(file, images=IMAGES),
    "objects": lambda file: npz(file, images=np.array([{}, {}]), labels=np.array([1, 2])),
    "floats": lambda file: npz(file, images=IMAGES.astype(np.float32), labels=np.zeros(3, int)),
    "too few labels": lambda file: npz(file, images=IMAGES, labels=np.zeros(2, int)),
    "eleven": lambda file: npz(file, images=IMAGES, labels=np.array([1, 2, 11])),
    "words": lambda file: npz(file, images=IMAGES, labels=np.array(["1", "2", "3"])),
    "no sample": lambda file: npz(file, images=IMAGES[:0], labels=np.zeros(0, int)),
    "no pixel": lambda file: npz(file, images=np.zeros((5, 0, 0), np.uint8), labels=np.zeros(5, int)),
    "no image": lambda file: packed(file, b"no array at all"),
    "empty array": lambda file: packed(file, b""),
    "header cut": lambda file: packed(file, headed(b"{'descr': '|u1', 'shape': (3,")),
    "header nested": lambda file: packed(file, headed(b"-" * 9900 + b"1")),
    "header odd": lambda file: packed(file, headed(b"{[]: 1}")),
    "header indented": lambda file: packed(file, headed(b"  x\n y")),
    "lying header": lambda file: packed(
        file, headed(b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 28, 28)}")
    ),
    "flipped bits": lambda file: flipped(file),
    "bomb": lambda file: np.savez_compressed(file, images=np.zeros((140_000, 28, 28), np.uint8)),
}


@pytest.mark.parametrize("write", NO_SETS.values(), ids=NO_SETS)
def test_a_file_that_is_no_frozen_set_is_refused_by_name(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    write(tmp_path / "frozen-odd.npz")
    with pytest.raises(BadCommand, match=r"frozen-odd\.npz"):
        frozen_sets(tmp_path)
    with pytest.raises(BadCommand, match=r"absent\.npz"):
        read_frozen(tmp_path / "absent.npz")


# --- promoting -----------------------------------------------------------------------------------------


def always(digit: int) -> Tensors:
    """A network that reads the class `digit` in everything."""
    tensors = {name: torch.zeros_like(tensor) for name, tensor in some_tensors().items()}
    tensors["head.bias"][digit] = 5.0
    return tensors


def dated(month: int) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(created_at=f"2026-{month + 1:02}-01T00:00:00Z")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of four models, none in use; each takes everything for one class: its name says which."""
    folder = tmp_path_factory.mktemp("made")
    archive = folder / "archive"
    for place, (name, digit) in enumerate({"three": 3, "other-three": 3, "four": 4, "none": NONE}.items()):
        tensors = always(digit)
        tensors["head.bias"][0] += place / 100
        run = add_run(folder / f"run-{name}", tensors)
        publish(run, archive, name)
        edit_manifest(archive / name, dated(place))
    blank = np.ones((28, 28), np.uint8)
    write_frozen(archive / "frozen.npz", collect("any", [blank] * 40, [3] * 20 + [4] * 20, list(range(40))))
    return archive


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "archive")


def some(label: int, count: int = 30) -> Inks:
    return collect("any", [np.ones((28, 28), np.uint8)] * count, [label] * count, list(range(count)))


def test_the_first_promotion_has_nothing_to_be_worse_than_and_says_so(models: Path) -> None:
    heard: list[str] = []
    decision = promote(models, "three", notice=heard.append)
    assert (decision.model.name, decision.previous, decision.gates) == ("three", None, ())
    assert current_name(models) == "three"
    assert "No gate is measured" in heard[0]


def test_a_worse_model_is_refused_and_the_one_in_use_stays(models: Path) -> None:
    promote(models, "three")
    with pytest.raises(NotPromoted, match=r"four is worse than three(.|\n)*mine, digit 3: 0 of 30") as caught:
        promote(models, "four", sets={"mine": some(3)})
    assert caught.value.exit_code == Exit.SOME_FAILED
    assert "--force" in caught.value.remedy
    assert current_name(models) == "three"
    assert len(read_promotions(models)) == 1


class Claiming:
    """Takes every glyph for a 3, this surely."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def probabilities(self, glyphs: Glyphs) -> NDArray[np.float32]:
        scores = np.full((len(glyphs), 11), (1 - self.confidence) / 10, np.float32)
        scores[:, 3] = self.confidence
        return scores


def test_how_true_the_confidences_are_is_told_of_both_models() -> None:
    """Of the digits 80 % are threes: who says 80 % is right, who says 99 % promises too much."""
    images = [np.full((5, 5), 255, np.uint8)] * 210
    inks = collect("any", images, [3] * 160 + [7] * 40 + [NONE] * 10, list(range(210)))
    lines = calibration(Claiming(0.99), Claiming(0.8), {"mine": inks, "none": inks.take(range(200, 210))})
    (line,) = lines
    assert line.startswith("mine, calibration error: 19.00%, 0.00% of the model in use (for information; ")
    assert calibration(Claiming(0.8), Claiming(0.9), {"mine": inks})[0].startswith(
        "mine, calibration error: 0.00%, 10.00% of"
    )


def test_promotion_tells_the_calibration_on_the_frozen_set_and_makes_it_no_gate(models: Path) -> None:
    promote(models, "three")
    heard: list[str] = []
    decision = promote(models, "other-three", notice=heard.append)
    assert any(line.startswith("frozen, calibration error: ") for line in heard)
    assert not any("calibration" in gate.name for gate in decision.gates)


def test_the_frozen_set_of_the_archive_is_a_gate_without_being_named(models: Path) -> None:
    promote(models, "three")
    with pytest.raises(NotPromoted, match="frozen, digit 3"):
        promote(models, "four")


def test_a_model_that_is_as_good_is_promoted_and_its_gates_are_recorded(models: Path) -> None:
    promote(models, "three")
    decision = promote(models, "other-three", sets={"mine": some(3)})
    assert [gate.name for gate in decision.gates if gate.name.startswith("mine")] == [
        "mine, all digits",
        "mine, digit 3",
    ]
    record = read_promotions(models)[-1]
    assert (record.name, record.previous, record.forced) == ("other-three", "three", [])
    assert {gate["name"]: gate["passed"] for gate in record.gates}["mine, digit 3"]


def test_force_says_and_records_which_gates_it_overrides(models: Path) -> None:
    promote(models, "three")
    decision = promote(models, "four", force=True)
    assert [gate.name for gate in decision.overridden] == ["frozen, digit 3"]
    assert current_name(models) == "four"
    assert list(read_promotions(models)[-1].forced) == ["frozen, digit 3"]


def test_a_damaged_model_in_use_holds_nobody_up(models: Path) -> None:
    promote(models, "three")
    overwrite(models / "three" / "weights.safetensors", b"gone")
    heard: list[str] = []
    assert promote(models, "four", notice=heard.append).previous == "three"
    assert "weights.safetensors" in heard[0]


@pytest.mark.parametrize("name", ["nobody", "current", "../archive/four"])
def test_a_model_that_is_not_there_is_not_promoted(models: Path, name: str) -> None:
    with pytest.raises(BadModel):
        promote(models, name)
    assert not (models / "CURRENT").exists()


def test_a_model_that_cannot_be_loaded_is_not_promoted_even_by_force(models: Path) -> None:
    promote(models, "three")
    overwrite(models / "four" / "weights.safetensors", b"gone")
    with pytest.raises(BadModel, match=r"weights\.safetensors"):
        promote(models, "four", force=True)
    assert current_name(models) == "three"


def test_promoting_the_current_model_changes_and_records_nothing(models: Path) -> None:
    promote(models, "three")
    assert promote(models, "current").model.name == promote(models, "three").model.name == "three"
    assert len(read_promotions(models)) == 1


def test_a_record_that_a_crash_cut_short_swallows_no_later_line(models: Path) -> None:
    promote(models, "three")
    with (models / "PROMOTIONS").open("ab") as stream:
        stream.write(b'{"at": "2026-11-')
    promote(models, "other-three")
    assert [promotion.name for promotion in read_promotions(models)] == ["three", "other-three"]


def pipe(record: Path) -> None:
    os.mkfifo(record)


def lost_link(record: Path) -> None:
    record.symlink_to("nowhere/at/all")


@pytest.mark.parametrize("occupy", [Path.mkdir, pipe, lost_link])
def test_where_the_record_cannot_be_written_the_model_in_use_stays(
    models: Path, occupy: Callable[[Path], object]
) -> None:
    promote(models, "three")
    (models / "PROMOTIONS").unlink()
    occupy(models / "PROMOTIONS")
    with pytest.raises(BadCommand, match="PROMOTIONS"):
        promote(models, "other-three")
    assert current_name(models) == "three"


# --- rolling back --------------------------------------------------------------------------------------


def test_rollbacks_go_further_back_and_then_say_that_there_is_nothing_left(models: Path) -> None:
    for name in ("three", "four", "none"):
        promote(models, name, force=True)
    assert [rollback(models).model.name, rollback(models).model.name] == ["four", "three"]
    assert current_name(models) == "three"
    with pytest.raises(BadCommand, match="no usable model that was in use before three"):
        rollback(models)


def test_a_rollback_passes_over_what_is_gone_or_damaged_and_names_it(models: Path) -> None:
    for name in ("three", "four", "other-three", "none"):
        promote(models, name, force=True)
    shutil.rmtree(models / "other-three")
    overwrite(models / "four" / "probe.safetensors", b"gone")
    heard: list[str] = []
    assert rollback(models, heard.append).model.name == "three"
    assert [text.split()[0] for text in heard] == ["other-three", "four"]


def test_what_was_set_by_hand_is_rolled_back_to_the_last_of_the_record(models: Path) -> None:
    promote(models, "three")
    write_whole(models / "CURRENT", b"nonsense\n")
    assert rollback(models).model.name == "three"


def test_an_archive_without_a_record_has_nothing_to_go_back_to(models: Path) -> None:
    with pytest.raises(BadCommand, match="training list"):
        rollback(models)


# --- listing -------------------------------------------------------------------------------------------


def test_the_list_shows_what_was_forced_and_how_large_a_model_is(
    models: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(models, "three")
    promote(models, "four", force=True)
    overwrite(models / "none" / "probe.safetensors", b"gone")
    settings = home / "settings.toml"
    settings.write_text(f"[paths]\nmodels_archive = {str(models)!r}\n")
    list_command(load_settings(settings), as_json=True, words=Words())
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert listed.keys() == {"three", "other-three", "four"}
    assert listed["four"]["current"]
    assert listed["four"]["forced"] == ["frozen, digit 3"]
    assert listed["other-three"]["promoted_at"] is None
    trained = Classifier.load(models / "four")._network.parameters()
    # Loading folds each batch norm's scale into its convolution: fewer numbers than were trained.
    assert listed["four"]["weights"] > sum(tensor.numel() for tensor in trained)
    list_command(load_settings(settings), as_json=False, words=Words())
    shown = capsys.readouterr()
    assert "forced: frozen, digit 3" in shown.out
    assert "probe.safetensors" in shown.err


# --- pruning -------------------------------------------------------------------------------------------


@pytest.fixture
def settings_file(home: Path, models: Path) -> Path:
    file = home / "settings.toml"
    file.write_text(f"[paths]\nmodels_archive = {str(models)!r}\n")
    return file


def kept(models: Path, settings: Path, **options: Any) -> dict[str, str]:
    return {found.name: found.kept for found in prune(models, load_settings(settings), **options)}


def add_database(settings: Path, read_by: str) -> None:
    """A results database in which the model `read_by` has read."""
    loaded = load_settings(settings)
    loaded.results.mkdir()
    engine = open_database(loaded.database_url)
    with writing(engine) as connection:
        connection.execute(model_rows.insert().values(name=read_by, first_used_at=datetime.now(UTC)))
    engine.dispose()


def test_pruning_keeps_what_is_in_use_what_was_before_and_the_newest(
    models: Path, settings_file: Path
) -> None:
    promote(models, "three")
    promote(models, "other-three")
    reasons = {"three": "was in use before", "other-three": "in use", "four": "", "none": "among the newest"}
    assert kept(models, settings_file, keep=1, dry_run=True) == reasons
    assert model_names(models) == sorted(reasons)
    assert kept(models, settings_file, keep=1) == reasons
    assert model_names(models) == ["none", "other-three", "three"]
    assert rollback(models).model.name == "three"


def test_pruning_keeps_what_is_pinned_used_or_damaged(models: Path, settings_file: Path) -> None:
    promote(models, "three")
    settings_file.write_text(settings_file.read_text() + '[recognition]\nmodel = "other-three"\n')
    add_database(settings_file, read_by="four")
    (models / "none" / "manifest.json").unlink()
    reasons = kept(models, settings_file, keep=0)
    assert reasons == {
        "three": "in use",
        "other-three": "named in recognition.model",
        "four": "read scans that are in the database",
        "none": "cannot be verified",
    }
    assert model_names(models) == sorted(reasons)


def test_a_database_in_a_folder_with_a_question_mark_keeps_the_models_it_names(
    models: Path, tmp_path: Path
) -> None:
    project = tmp_path / "what? is this"
    project.mkdir()
    settings = project / "settings.toml"
    settings.write_text(f"[paths]\nmodels_archive = {str(models)!r}\n")
    promote(models, "three")
    add_database(settings, read_by="four")
    reasons = kept(models, settings, keep=0, dry_run=True)
    assert reasons["four"] == "read scans that are in the database"
    assert reasons["none"] == ""


def test_without_a_database_all_that_was_ever_in_use_stays(models: Path, settings_file: Path) -> None:
    for name in ("four", "three", "other-three"):
        promote(models, name, force=True)
    heard: list[str] = []
    reasons = kept(models, settings_file, keep=0, notice=heard.append)
    assert reasons == {
        "three": "was in use before",
        "other-three": "in use",
        "four": "was in use, and there is no database to say for what",
        "none": "",
    }
    assert "results.db: every model that was ever in use stays" in heard[0]
    add_database(settings_file, read_by="three")
    assert kept(models, settings_file, keep=0, notice=heard.append)["four"] == ""
    assert len(heard) == 1


def test_pruning_removes_nothing_where_the_database_or_current_cannot_be_read(
    models: Path, settings_file: Path
) -> None:
    with pytest.raises(BadModel, match="CURRENT"):
        kept(models, settings_file, keep=0)
    promote(models, "three")
    loaded = load_settings(settings_file)
    loaded.results.mkdir()
    (loaded.results / "results.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(BadDatabase):
        kept(models, settings_file, keep=0)
    assert len(model_names(models)) == 4


def test_models_that_came_with_the_program_are_listed_and_stay(home: Path, settings_file: Path) -> None:
    archive = shipped_archive()
    assert archive is not None
    names = (archive / SHIPPED).read_text().split()
    assert find_model(archive, "current").name in names
    assert set(names) <= set(model_names(archive))
    own = shutil.copytree(archive, home / "own", ignore=shutil.ignore_patterns(".*"))
    add = add_run(home / "run")
    publish(add, own, "mine")
    edit_manifest(own / "mine", lambda manifest: manifest.update(created_at="2020-01-01T00:00:00Z"))
    (own / "CURRENT").write_text("mine\n")
    reasons = kept(own, settings_file, keep=0)
    assert reasons["mine"] == "in use"
    assert {reasons[name] for name in names} == {"came with the program"}


# --- what a candidate is judged by ---------------------------------------------------------------------


def test_sets_that_are_not_there_are_named(home: Path) -> None:
    heard: list[str] = []
    assert gate_sets(load_settings(), home / "nowhere", heard.append) == {}
    assert "holds no test set" in heard[0]
    assert "no corrections" in heard[1]


def test_a_database_without_corrections_is_no_gate(home: Path) -> None:
    loaded = load_settings()
    loaded.results.mkdir()
    open_database(loaded.database_url).dispose()
    heard: list[str] = []
    assert gate_sets(loaded, home, heard.append) == {}
    assert "holds no corrections" in heard[1]


# --- the commands --------------------------------------------------------------------------------------


def start(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [str(TRAINING), *arguments]
    return subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def call(*arguments: str) -> Result:
    """The command in this process: torch is loaded already."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_the_command_refuses_overrides_and_goes_back(models: Path, home: Path) -> None:
    archive = shutil.copytree(models, home / "models_archive")
    (archive / "CURRENT").write_text("three\n")
    refused = start(home, "promote", "four")
    _, words = refused.communicate()
    assert refused.returncode == Exit.SOME_FAILED, words
    assert "four is worse than three" in words
    forced = call("promote", "four", "--force")
    assert (forced.exit_code, forced.stdout) == (0, "")
    assert "overridden: frozen, digit 3" in forced.stderr
    assert "three is the model in use; before: four" in call("rollback").stderr
    assert "three is the model in use already" in call("promote", "three").stderr
    loaded = load_settings()
    loaded.results.mkdir(exist_ok=True)
    open_database(loaded.database_url).dispose()
    listed = json.loads(call("prune", "--keep", "0", "--json").stdout)["models"]
    found = {model["name"]: model["kept"] for model in listed}
    assert found == {"three": "in use", "four": "", "other-three": "", "none": ""}
    assert model_names(archive) == ["three"]
    assert "in use" in call("prune").stdout


def test_two_promote_at_once_and_one_after_the_other_wins(models: Path, home: Path) -> None:
    archive = shutil.copytree(models, home / "models_archive")
    (archive / "CURRENT").write_text("three\n")
    both = [start(home, "promote", name, "--force") for name in ("four", "none")]
    words = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    first, second = read_promotions(archive)
    assert (first.previous, second.previous) == ("three", first.name)
    assert current_name(archive) == second.name


@pytest.mark.slow
def test_promote_killed_at_twenty_moments_always_leaves_a_whole_model_in_use(
    models: Path, home: Path
) -> None:
    archive = shutil.copytree(models, home / "models_archive")
    (archive / "CURRENT").write_text("three\n")
    begun = time.monotonic()
    whole = start(home, "promote", "four", "--force")
    whole.communicate()
    assert whole.returncode == 0
    whole_seconds = time.monotonic() - begun
    for moment in range(20):
        process = start(home, "promote", ("three", "four")[moment % 2], "--force")
        time.sleep(whole_seconds * (0.66 + 0.36 * moment / 19))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert Classifier.load(find_model(archive, "current").path).name in {"three", "four"}
    rollback(archive)
    assert find_model(archive, "current").name in {"three", "four"}
