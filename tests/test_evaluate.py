"""Evaluation: which sets, what is in-source, the figures of digits and non-digits, curves, the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from processor.errors import BadCommand, BadSettings
from processor.prediction.archive import MANIFEST
from processor.prediction.classifier import Classifier
from processor.rejection.open_set import LOW_SIZE, size_weight
from tests.sample_sources import sample_digits, write_digit_folders, write_mnist, write_omniglot, write_strips
from training import curves, evaluate, judgement, tables, testsets
from training.chosen import INHERITED, KEPT_OUT, LEARNED, WHOLE, chosen_sets
from training.cli import app
from training.inks import NONE, Inks
from training.judgement import Digits, Judgement, NonDigits
from training.recipe import Recipe, Schedule, Source
from training.sources import SOURCES, Corpus, Pool, gather

ARCHIVE = Path(__file__).parent.parent / "models_archive"


@pytest.fixture(scope="module")
def digits() -> Inks:
    return sample_digits()


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    """The model that comes with the program: a real one, that reads the digits of the sample."""
    return Classifier.load(ARCHIVE / (ARCHIVE / "CURRENT").read_text().strip())


@pytest.fixture
def data(tmp_path: Path, digits: Inks) -> Path:
    """A data folder with the sample as MNIST's training and test part."""
    write_mnist(tmp_path / "data" / "mnist", digits)
    return tmp_path / "data"


def write_jc_progjava(data: Path, digits: Inks) -> None:
    (data / "jc-progjava").mkdir()
    np.savez(data / "jc-progjava" / "digits.npz", images=np.stack(list(digits.images)), labels=digits.labels)


# --- in-source and cross-source ------------------------------------------------------------------------


def of_source(source: str, inks: Inks, labels: NDArray[np.int64] | None = None) -> Inks:
    return Inks(source, inks.images, inks.labels if labels is None else labels, inks.groups)


def relations(rows: list[dict[str, object]]) -> dict[object, object]:
    return {row["set"]: row["relation"] for row in rows}


def test_the_other_part_of_a_collection_that_was_trained_on_is_in_source(
    shipped: Classifier, data: Path, digits: Inks
) -> None:
    write_jc_progjava(data, digits)
    corpus = Corpus((Pool(digits, 1, 0.0),), (digits.take(range(30)),))
    rows = evaluate.side_by_side(shipped, corpus, data)
    assert relations(rows) == {
        "mnist-train, kept out": "in-source",
        "mnist-test": "in-source",
        "jc-progjava": "cross-source",
    }
    assert [row["count"] for row in rows] == [30, 100, 100]
    assert all(row["accuracy"] > 0.9 for row in rows)
    json.dumps(rows, allow_nan=False)


def test_a_model_of_another_collection_is_judged_by_mnist_across_sources(
    shipped: Classifier, data: Path, digits: Inks
) -> None:
    write_jc_progjava(data, digits)
    copies = of_source("jc-progjava", digits)
    rows = evaluate.side_by_side(shipped, Corpus((Pool(copies, 1, 0.0),), (copies.take(range(9)),)), data)
    # What was trained on without a part kept out judges nothing.
    assert relations(rows) == {"jc-progjava, kept out": "in-source", "mnist-test": "cross-source"}


def test_what_a_model_began_from_has_seen_the_collections_that_it_learned_from(
    shipped: Classifier, tmp_path: Path, data: Path, digits: Inks
) -> None:
    write_jc_progjava(data, digits)
    folder = tmp_path / shipped.model.path.name
    shutil.copytree(shipped.model.path, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    rows = [{**row, "through": "older"} for row in manifest["data"]]
    (folder / MANIFEST).chmod(0o644)
    (folder / MANIFEST).write_text(json.dumps({**manifest, "data": rows}))
    refreshed = Classifier.load(folder)
    own = of_source("mine", digits)
    found = evaluate.side_by_side(refreshed, Corpus((Pool(own, 1, 0.0),), (own.take(range(9)),)), data)
    # The seed's data set, which it learned through the older one, judges nothing.
    assert relations(found) == {"mine, kept out": "in-source", "mnist-test": "in-source"}
    (judged,) = chosen_sets("jc-progjava", data, {**refreshed.model.manifest, "recipe": {}})
    assert judged.part == INHERITED


def test_non_digits_that_are_kept_out_do_not_count_as_digits(
    shipped: Classifier, tmp_path: Path, digits: Inks
) -> None:
    half = np.where(np.arange(len(digits)) % 2, digits.labels, NONE)
    mixed, none = of_source("mine", digits, half), of_source("marks", digits, np.full(len(digits), NONE))
    rows = evaluate.side_by_side(shipped, Corpus((Pool(mixed, 1, 0.0),), (mixed, none)), tmp_path)
    assert [(row["set"], row["count"]) for row in rows] == [("mine, kept out", 50)]


def test_wrong_readings_lower_the_accuracy(shipped: Classifier, tmp_path: Path, digits: Inks) -> None:
    labels = digits.labels.copy()
    labels[:40] = (labels[:40] + 5) % 10
    mine = of_source("mine", digits, labels)
    (row,) = evaluate.side_by_side(shipped, Corpus((Pool(mine, 1, 0.0),), (mine,)), tmp_path)
    assert 0.5 < row["accuracy"] <= 0.62


def test_every_set_knows_its_collection(data: Path) -> None:
    assert [(test.name, test.origin) for test in testsets.digit_sets(data)] == [("mnist-test", "mnist")]
    assert testsets.origin("pieces") == "mnist"
    assert testsets.origin("cheque-proposals") == "orand-car-a"
    assert testsets.origin("my forms") == "my forms"


# --- the sets at hand ----------------------------------------------------------------------------------


def a_frame(height: int, width: int, top: int = 40) -> NDArray[np.uint8]:
    """A mark of so many pixels in a line 64 px high."""
    frame = np.zeros((64, 64), np.uint8)
    frame[top : top + height, 30 : 30 + width] = 255
    return frame


def write_non_digits(data: Path) -> None:
    write_omniglot(data / "non-digits" / "omniglot.zip")
    for kind, size in (("point", (6, 6)), ("minus", (5, 22))):
        folder = data / "non-digits" / "strokes" / kind
        folder.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(a_frame(*size)).save(folder / f"{number}.png")
    (data / "non-digits" / "cells" / "blank").mkdir(parents=True)


def write_cell(file: Path, digits: Inks, digit: int | None) -> None:
    """A photographed cell with the digit in its middle, or none."""
    paper = np.full((128, 128), 214, np.uint8)
    if digit is not None:
        ink = np.kron(digits.images[int(np.flatnonzero(digits.labels == digit)[0])], np.ones((3, 3)))
        paper[22:106, 22:106] -= (ink * 0.7).astype(np.uint8)
    Image.fromarray(paper).convert("RGB").save(file, quality=95)


def test_every_set_at_hand_is_found_and_none_is_needed(tmp_path: Path, data: Path, digits: Inks) -> None:
    write_non_digits(data)
    write_cell(data / "non-digits" / "cells" / "blank" / "a.jpg", digits, None)
    sets = [*testsets.digit_sets(data), *testsets.non_digit_sets(data)]
    assert {test.name: (len(test.inks), test.framed) for test in sets} == {
        "mnist-test": (100, False),
        "latin-letters": (2, False),
        "latin-letters-unlike-digits": (1, False),
        "minus": (3, True),
        "point": (3, True),
    }
    assert [(pages.name, len(pages.files)) for pages in testsets.page_sets(data)] == [("blank-cells", 1)]
    nowhere = tmp_path / "nowhere"
    assert not [
        *testsets.digit_sets(nowhere),
        *testsets.non_digit_sets(nowhere),
        *testsets.page_sets(nowhere),
    ]
    assert not testsets.untrained_sets(nowhere)


def test_digits_of_one_strip_are_one_group(tmp_path: Path, digits: Inks) -> None:
    write_strips(tmp_path / "orand-car-a", digits, 4)
    (held_out,) = testsets.digit_sets(tmp_path)
    assert held_out.inks.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


# --- digits --------------------------------------------------------------------------------------------


def rows_of(read: list[int], confidence: list[float]) -> NDArray[np.float32]:
    """Probabilities (N, 11) with the best class and its share; the rest is spread evenly."""
    rest = (1 - np.array(confidence, np.float32)) / np.float32(10)
    rows = np.asarray(np.repeat(rest[:, None], 11, axis=1), np.float32)
    rows[np.arange(len(read)), read] = confidence
    return rows


def seen(labels: list[int], read: list[int], confidence: list[float]) -> Digits:
    truth = np.array(labels, np.int64)
    return Digits("some", rows_of(read, confidence), truth, np.arange(len(labels)))


LEVELS = ({"max_error_rate": 0.001, "confidence": 0.95}, {"max_error_rate": 0.01, "confidence": 0.6})


def test_a_digit_eaten_by_none_is_told_from_a_wrong_one() -> None:
    rows = np.full((4, 11), 0.01, np.float32)
    rows[[0, 1, 2, 3], [5, 5, 6, 7]] = 0.4
    rows[1, NONE] = 0.5
    found = judgement.digit_figures(Digits("some", rows, np.array([5, 5, 6, 8]), np.arange(4)))
    assert (found["accuracy"], found["accuracy_over_all_classes"]) == (0.75, 0.5)
    assert found["accuracy_low"] < 0.31 < 0.75 < found["accuracy_high"]


def test_figures_of_digits_tell_what_the_best_and_the_manifests_thresholds_accept() -> None:
    found = judgement.digit_figures(
        seen([1, 2, 3, 4, 5], [1, 2, 8, 4, 5], [0.99, 0.97, 0.9, 0.8, 0.5]), LEVELS
    )
    assert found["coverage_at_0.001"] == found["coverage_at_0.01"] == 0.4
    assert found["threshold_0.001_coverage"] == 0.4
    assert found["threshold_0.001_error"] == 0
    assert (found["threshold_0.01_coverage"], found["threshold_0.01_error"]) == (0.8, 0.25)
    assert found["threshold_0.01_error_low"] < 0.25 < found["threshold_0.01_error_high"]


def test_confidence_is_that_of_the_best_digit_whatever_none_says() -> None:
    """A 5 with 0.4 of it and 0.6 of "none" is reported with 0.4."""
    row = np.zeros((1, 11), np.float32)
    row[0, [5, NONE]] = 0.4, 0.6
    found = judgement.digit_figures(Digits("one", row, np.array([5]), np.zeros(1, np.int64)))
    assert found["calibration_error"] == pytest.approx(0.6)


def test_each_digit_has_its_own_interval_and_confusions() -> None:
    some = seen([3, 3, 3, 3, 7], [3, 3, 3, 8, NONE], [0.9] * 5)
    details = judgement.digit_details(some, LEVELS)
    three, seven = details["per_digit"]
    assert (three["digit"], three["count"], three["right"], three["accuracy"]) == (3, 4, 3, 0.75)
    assert three["accuracy_low"] < 0.75 < three["accuracy_high"]
    assert (seven["digit"], seven["right"]) == (7, 0)
    assert details["confusion"][3][3] == 3
    assert details["confusion"][3][8] == 1
    assert details["confusion"][7][NONE] == 1
    assert [row["accepted"] for row in details["thresholds"]] == [0, 4]


def test_one_class_only_and_no_sample_at_all_have_figures() -> None:
    alone = judgement.digit_figures(seen([4, 4], [4, 4], [0.9, 0.8]), LEVELS)
    assert (alone["accuracy"], alone["coverage_at_0.001"]) == (1.0, 1.0)
    nothing = Digits("none", np.zeros((0, 11), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert judgement.digit_figures(nothing, LEVELS) == {"count": 0}
    assert judgement.digit_details(nothing, LEVELS) == {}


# --- non-digits ----------------------------------------------------------------------------------------


def test_non_digits_are_counted_at_the_level_of_the_digits() -> None:
    shape = np.array([0.9, 0.6, 0.3, 0.1], np.float32)
    some = NonDigits("commas", shape * np.array([0.5, 1, 1, 1]), shape, np.array([True, True, False, False]))
    found = judgement.non_digit_figures(some, 0.5, np.array([0.95, 0.7], np.float32))
    assert (found["accepted"], found["accepted_as_read"], found["taken_for_a_digit"]) == (0.5, 0.25, 0.5)
    assert found["auroc"] == pytest.approx(7 / 8)
    assert found["auroc_as_read"] == 1.0
    assert found["accepted_low"] < 0.5 < found["accepted_high"]


def test_without_digits_non_digits_have_no_area_and_without_samples_no_figures() -> None:
    some = NonDigits("pages", np.array([0.9, 0.0]))
    found = judgement.non_digit_figures(some, 0.5, np.zeros(0, np.float32))
    assert found["accepted_as_read"] == 0.5
    assert not {"auroc_as_read", "accepted", "taken_for_a_digit"} & found.keys()
    empty = NonDigits("pages", np.zeros(0))
    assert judgement.non_digit_figures(empty, 0.5, np.ones(3, np.float32)) == {"count": 0}


def test_the_size_of_a_mark_decides_before_its_shape() -> None:
    high, low = a_frame(56, 10, top=4), a_frame(22, 8)
    assert evaluate.standing_as_digit(high) == 1.0
    assert evaluate.standing_as_digit(low) == size_weight(22 / 64) < 1
    # A point and a dash are rejected by their shape alone, and an empty frame holds nothing to read.
    assert evaluate.standing_as_digit(a_frame(8, 8)) == 0.0
    assert evaluate.standing_as_digit(a_frame(6, 40)) == 0.0
    assert evaluate.standing_as_digit(np.zeros((64, 64), np.uint8)) == 0.0


def test_a_mark_at_the_edge_of_its_frame_is_not_at_the_edge_of_the_paper() -> None:
    assert evaluate.standing_as_digit(a_frame(44, 12, top=20)) == 1.0


def test_the_weight_of_a_size_falls_from_one_to_nothing() -> None:
    weights = [size_weight(size) for size in (2.0, 1.0, LOW_SIZE, 0.4, 0.3, 0.2, 0.0)]
    assert weights[:3] == [1, 1, 1]
    assert weights == sorted(weights, reverse=True)
    assert weights[3] < 1
    assert weights[-1] < 1e-3


# --- all together --------------------------------------------------------------------------------------


def test_a_model_is_measured_on_every_set_with_plain_numbers(
    shipped: Classifier, data: Path, digits: Inks
) -> None:
    write_non_digits(data)
    heard: list[str] = []
    found = evaluate.judge_all(shipped, data, notice=heard.append).figures()
    assert found == evaluate.measure(shipped, data)
    assert len(heard) == len(found) == 5
    assert found["mnist-test"]["accuracy"] > 0.9
    assert found["point"]["accepted_as_read"] == found["minus"]["accepted_as_read"] == 0
    # 98 of the 100 digits are accepted at the level that the non-digits are judged by.
    confidence = evaluate.probabilities_of(shipped, digits)[:, :NONE].max(axis=1)
    assert (confidence >= found["point"]["level"] - 1e-5).sum() in (98, 99, 100)
    for figures in found.values():
        assert all(isinstance(value, int | float) for value in figures.values())
    json.dumps(found, allow_nan=False)


def test_a_page_with_a_digit_on_it_is_a_false_accept_and_a_blank_one_is_none(
    shipped: Classifier, data: Path, digits: Inks
) -> None:
    write_non_digits(data)
    cells = data / "non-digits" / "cells" / "blank"
    for name, digit in (("a", None), ("b", 3), ("c", None)):
        write_cell(cells / f"{name}.jpg", digits, digit)
    pages = testsets.page_sets(data)
    judged = evaluate.judge(shipped, [], pages, data)
    (blank,) = judged.non_digits
    assert blank.as_read[[0, 2]].tolist() == [0, 0]
    assert blank.as_read[1] > 0.5
    assert judged.figures()["blank-cells"]["auroc_as_read"] > 0.6


def test_a_set_of_digits_and_non_digits_is_judged_as_both(
    shipped: Classifier, tmp_path: Path, digits: Inks
) -> None:
    labels = np.where(np.arange(len(digits)) < 30, NONE, digits.labels)
    mixed = testsets.TestSet("mine", of_source("mine", digits, labels), "mine")
    found = evaluate.judge(shipped, [mixed], [], tmp_path).figures()
    assert {name: figures["count"] for name, figures in found.items()} == {"mine": 70, "mine, non-digits": 30}
    # MNIST is not at hand, so the set's own digits say what is accepted; real digits all but pass as such.
    assert found["mine, non-digits"]["accepted"] > 0.8


def test_where_there_are_no_digits_the_manifests_threshold_is_the_level(
    shipped: Classifier, tmp_path: Path, digits: Inks
) -> None:
    none = testsets.TestSet("marks", of_source("marks", digits, np.full(len(digits), NONE)), "marks")
    judged = evaluate.judge(shipped, [none], [], tmp_path)
    assert judged.level == shipped.acceptance_threshold(0.01)
    assert "auroc" not in judged.figures()["marks"]


def test_an_empty_set_is_reported_as_such(shipped: Classifier, tmp_path: Path, digits: Inks) -> None:
    empty = testsets.TestSet("nothing", digits.take([]), "nothing")
    document = evaluate.judge(shipped, [empty], [], tmp_path).document()
    assert document == {"nothing": {"count": 0}}
    assert list(tables.of_figures(document)) == [(("set", "count"), [("nothing", 0)])]


# --- sources that a person names -----------------------------------------------------------------------


def taught(seed: int = 1, *names: str, **changes: object) -> dict[str, object]:
    """The manifest of a model that was trained on the sources `names`."""
    sources = tuple(Source(name=name, share=1, **changes) for name in names or ("marks",))
    recipe = Recipe(name="any", schedule=Schedule(seed=seed), source=sources)
    return {"recipe": {**recipe.model_dump(mode="json"), "samples": -1}, "data": []}


def test_of_a_source_of_training_only_what_the_models_seed_keeps_out(data: Path) -> None:
    recipe = Recipe(name="any", schedule=Schedule(seed=5), source=(Source(name="mnist", share=1),))
    expected = gather(recipe, data).validation[0]
    (test,) = chosen_sets("mnist", data, taught(5, "mnist"))
    assert test.part == KEPT_OUT
    assert test.inks.digest() == expected.digest()
    assert test.inks.digest() != chosen_sets("mnist", data, taught(6, "mnist"))[0].inks.digest()
    assert test.origin == "mnist"


def test_a_source_that_keeps_nothing_out_says_so(data: Path) -> None:
    (test,) = chosen_sets("european-forms", data, taught())
    assert test.part == LEARNED
    assert len(test.inks) > 100


def write_recipe(tmp_path: Path, digits: Inks) -> Path:
    write_digit_folders(tmp_path / "mine", digits)
    (tmp_path / "mine" / "4" / "torn.png").write_bytes(b"torn")
    file = tmp_path / "mine.toml"
    file.write_text("[[source]]\nname = 'my hand'\nkind = 'digit-folders'\npath = 'mine'\nshare = 1\n")
    return file


def test_data_of_ones_own_are_judged_on_whole_unless_they_were_trained_on(
    tmp_path: Path, data: Path, digits: Inks
) -> None:
    file = write_recipe(tmp_path, digits)
    heard: list[str] = []
    (test,) = chosen_sets(str(file), data, taught(), notice=heard.append)
    assert (test.name, len(test.inks), test.part) == ("my hand", 100, WHOLE)
    assert any("torn.png" in fault for fault in heard)
    learned = taught(1, "my hand", kind="digit-folders", path=tmp_path / "mine", validation=0.3)
    (kept,) = chosen_sets(str(file), data, learned)
    assert kept.part == KEPT_OUT
    assert 20 <= len(kept.inks) <= 40


@pytest.mark.parametrize("manifest", [{"recipe": None}, {"recipe": {}}, {"recipe": {"schedule": 3}}])
def test_a_manifest_that_tells_nothing_of_its_training_will_do(
    data: Path, manifest: dict[str, object]
) -> None:
    (test,) = chosen_sets("mnist", data, manifest)
    assert test.part == KEPT_OUT


def test_a_source_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadCommand, match=r"'emnist'") as refused:
        chosen_sets("emnist", tmp_path, taught())
    assert set(SOURCES) <= set(str(refused.value.remedy).replace(".", "").replace(":", ",").split(", "))
    (tmp_path / "odd.toml").write_text("[[source]]\nname = 'emnist'\nshare = 1")
    with pytest.raises((BadCommand, BadSettings), match="emnist"):
        chosen_sets(str(tmp_path / "odd.toml"), tmp_path, taught())


# --- curves and the command ----------------------------------------------------------------------------


def test_curves_are_drawn_of_what_there_is(shipped: Classifier, data: Path, tmp_path: Path) -> None:
    write_non_digits(data)
    judged = evaluate.judge_all(shipped, data)
    drawn = curves.draw(judged, tmp_path / "plots")
    assert [file.name for file in drawn] == ["coverage.png", "reliability.png", "open-set.png"]
    for file in drawn:
        with Image.open(file) as picture:
            assert min(picture.size) > 500
            assert len(set(picture.convert("L").resize((60, 40)).tobytes())) > 10
    only = Judgement((), judged.non_digits, judged.thresholds, judged.level, judged.reference)
    assert [file.name for file in curves.draw(only, tmp_path / "one")] == ["open-set.png"]
    assert curves.draw(Judgement((), (), (), 1.0, np.zeros(0, np.float32)), tmp_path / "none") == []


def test_a_curve_rises_where_the_errors_are() -> None:
    some = seen([1, 2, 3, 4], [1, 2, 3, 8], [0.99, 0.9, 0.8, 0.7])
    line = curves.coverage_figure([some]).axes[0].lines[0]
    expected = [[0.25, 1e-4], [0.5, 1e-4], [0.75, 1e-4], [1.0, 0.25]]
    np.testing.assert_allclose(np.asarray(line.get_xydata(), np.float64), np.array(expected))


@pytest.fixture
def product(home: Path, data: Path) -> Path:
    """A product folder whose archive holds the shipped model, and whose data are the sample's."""
    shutil.copytree(ARCHIVE, home / "models_archive")
    write_non_digits(data)
    return home


def call(*arguments: str | Path) -> str:
    """What the command prints on stdout, run in this process; its errors are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_tells_everything_as_json_and_draws(product: Path, data: Path) -> None:
    found = json.loads(call("evaluate", "--data", data, "--json", "--quiet", "--out", product / "plots"))
    assert set(found) == {
        "mnist-test", "latin-letters", "latin-letters-unlike-digits", "minus", "point"
    }  # fmt: skip
    digits = found["mnist-test"]
    assert np.array(digits["confusion"]).shape == (10, 11)
    assert sum(row["count"] for row in digits["per_digit"]) == digits["count"] == 100
    assert [row["max_error_rate"] for row in digits["thresholds"]] == sorted(
        row["max_error_rate"] for row in digits["thresholds"]
    )
    assert len(list((product / "plots").glob("*.png"))) == 3


@pytest.mark.usefixtures("product")
def test_the_tables_hold_the_main_figures_and_every_digit(data: Path) -> None:
    shown = call("evaluate", "current", "--data", data, "--quiet")
    first, second, third = shown.strip().split("\n\n")
    assert "calibration error" in first
    assert "mnist-test" in first
    assert "AUROC" in second
    assert {"point", "minus", "latin-letters"} <= {line.split()[0] for line in second.splitlines()[1:]}
    assert [line.split()[0] for line in third.splitlines()[1:]] == list("0123456789")


def test_the_command_judges_on_a_named_source_alone(product: Path, data: Path, digits: Inks) -> None:
    recipe = write_recipe(product, digits)
    arguments = ("--source", recipe, "--source", "mnist", "--data", data, "--json", "--quiet")
    found = json.loads(call("evaluate", *arguments))
    assert {name: figures["part"] for name, figures in found.items()} == {"my hand": WHOLE, "mnist": KEPT_OUT}
    assert found["my hand"]["accuracy"] > 0.9
