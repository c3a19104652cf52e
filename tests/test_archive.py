"""The archive finds and verifies models, and says of a damaged one which file and value is wrong."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.errors import BadModel, Exit
from processor.prediction.archive import (
    REQUIRED_KEYS,
    ModelFolder,
    current_name,
    find_model,
    list_models,
    verify,
)
from processor.prediction.classifier import Classifier
from processor.prediction.promotions import Promotion, models_before, read_promotions
from tests.model_folders import ACCEPTANCE, add_run, edit_manifest, overwrite
from training.probes import probe_glyphs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    add_run(folder / "old")
    add_run(folder / "new")
    (folder / "CURRENT").write_text("new\n")
    return folder


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "archive")


def test_current_follows_the_file_and_a_name_is_taken_as_it_is(archive: Path) -> None:
    assert find_model(archive, "current").name == "new"
    assert find_model(archive, "old").path == archive / "old"
    (archive / "CURRENT").write_text("old\n")
    assert current_name(archive) == find_model(archive, "current").name == "old"


def test_a_verified_model_tells_what_its_manifest_says(archive: Path) -> None:
    model = verify(archive / "new")
    assert model.classes[:2] == ("0", "1")
    assert model.temperature == 1.5
    assert model.weights == (archive / "new" / "weights.safetensors",)


@pytest.mark.parametrize(
    "name", ["older", "../new", "", ".", "new/../new", "new/", "/etc", "new\0", "new\nold"]
)
def test_a_model_that_is_not_there_is_refused_with_those_that_are(archive: Path, name: str) -> None:
    with pytest.raises(BadModel, match="new, old") as caught:
        find_model(archive, name)
    assert caught.value.exit_code == Exit.NO_MODEL


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"\xff\xfe", b"new " * 2000])
def test_an_archive_without_a_current_model_says_how_to_promote_one(
    archive: Path, content: bytes | None
) -> None:
    (archive / "CURRENT").unlink()
    if content is not None:
        (archive / "CURRENT").write_bytes(content)
    with pytest.raises(BadModel, match="promote"):
        find_model(archive, "current")


def test_an_archive_that_is_not_there_is_a_bad_model_too(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="nowhere"):
        find_model(tmp_path / "nowhere", "current")
    assert list_models(tmp_path / "nowhere") == []


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_every_key_of_the_manifest_is_needed(archive: Path, key: str) -> None:
    edit_manifest(archive / "new", lambda manifest: manifest.pop(key))
    with pytest.raises(BadModel, match=f"lacks {key}"):
        verify(archive / "new")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", ["a", "b"]),
        ("classes", "0123456789"),
        ("classes", [*"0123456789", 7]),
        ("temperature", 0),
        ("temperature", "warm"),
        ("temperature", True),
        ("temperature", 1e-50),
        ("temperature", 0.0099),
        ("temperature", 101),
        ("temperature", 1e300),
        ("thresholds", {"acceptance": [{"max_error_rate": 0.01, "confidence": 0}]}),
        ("thresholds", {"acceptance": [{"max_error_rate": 0.01, "confidence": 1.01}]}),
        ("thresholds", {"acceptance": [{"max_error_rate": 1e-300, "confidence": 0.5}]}),
        ("thresholds", {"acceptance": [{"max_error_rate": 2, "confidence": 0.5}]}),
        ("thresholds", {"acceptance": [0.5]}),
        ("thresholds", []),
        ("thresholds", {"acceptance": []}),
        ("thresholds", {"acceptance": [{"max_error_rate": 0.01}]}),
        ("weights", []),
        ("weights", ["weights.safetensors"]),
        ("weights", [{"file": "../old/weights.safetensors", "sha256": "0"}]),
        ("weights", [{"file": "/etc/passwd", "sha256": "0"}]),
        ("parameters", [1, 2]),
        ("parameters", {"widths": [8, 10**12]}),
        ("name", 7),
        ("architecture", ["strided-residual"]),
        ("created_at", None),
        ("metrics", []),
        ("data", {}),
        ("parent", 3),
        ("classes", [*"0123456789", "none", "none"]),
        ("input", {"shape": [1, 32, 32], "polarity": "ink is high", "range": [0, 1]}),
        ("input", {"shape": [1, 28, 28], "polarity": "paper is high", "range": [0, 1]}),
        ("input", {"shape": [2, 28, 28], "polarity": "ink is high", "range": [0, 1]}),
        ("parameters", {"planes": 3}),
        ("parameters", {"planes": True}),
        ("parameters", {"planes": [1]}),
        ("probe", None),
        ("probe", {"file": "../old/probe.safetensors", "sha256": "0"}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(archive: Path, key: str, value: object) -> None:
    edit_manifest(archive / "new", lambda manifest: manifest.update({key: value}))
    with pytest.raises(BadModel, match=rf"manifest\.json: {key}"):
        verify(archive / "new")


@pytest.mark.parametrize("temperature", [0.01, 100])
def test_at_any_temperature_that_is_taken_probabilities_are_numbers(
    archive: Path, temperature: float
) -> None:
    change = {"temperature": temperature, "thresholds": {"acceptance": [dict(ACCEPTANCE[0], confidence=1)]}}
    edit_manifest(archive / "new", lambda manifest: manifest.update(change))
    found = Classifier.load(archive / "new").probabilities(probe_glyphs())
    assert found.sum(axis=1) == pytest.approx(np.ones(len(found)))


def test_a_renamed_folder_is_refused(archive: Path) -> None:
    (archive / "new").rename(archive / "newer")
    with pytest.raises(BadModel, match="renamed"):
        verify(archive / "newer")


FOREIGN = {
    "nothing": b"",
    "half": b"{",
    "list": b"[]",
    "text": b'"text"',
    "another program's": json.dumps({"format": "onnx", "version": 3}).encode(),
    "not UTF-8": b'{"name": "\xff"}',
    "nested": b"[" * 200_000 + b"]" * 200_000,
    "infinite": b'{"temperature": 1e999}',
    "NaN": b'{"temperature": NaN}',
    "endless number": b'{"temperature": 1' + b"0" * 5000 + b"}",
    "lone surrogate": b'{"name": "\\ud800"}',
    "too large": b'{"name": "' + b"x" * 1_000_000 + b'"}',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_manifest_that_is_none_is_refused(archive: Path, content: bytes) -> None:
    overwrite(archive / "new" / "manifest.json", content)
    with pytest.raises(BadModel, match=r"manifest\.json"):
        verify(archive / "new")


def test_a_whole_manifest_with_an_infinite_number_is_refused(archive: Path) -> None:
    file = archive / "new" / "manifest.json"
    overwrite(file, file.read_bytes().replace(b'"temperature": 1.5', b'"temperature": 1e999'))
    with pytest.raises(BadModel, match="1e999"):
        verify(archive / "new")


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize("depth", [29, 30, 500, 900])
@pytest.mark.parametrize("key", ["parameters", "recipe", "metrics"])
def test_what_is_nested_too_deep_is_refused(archive: Path, key: str, depth: int) -> None:
    edit_manifest(archive / "new", lambda manifest: manifest[key].update(deep=nested(depth)))
    if depth < 30:
        assert verify(archive / "new").name == "new"
        return
    with pytest.raises(BadModel, match=r"manifest\.json is nested deeper than 32 levels"):
        verify(archive / "new")


def _append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"!")


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [_append, _truncate, _link, _pipe, _folder, Path.unlink])
@pytest.mark.parametrize("name", ["weights.safetensors", "probe.safetensors"])
def test_files_that_are_not_those_that_were_published_are_refused(
    archive: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(archive / "new" / name)
    with pytest.raises(BadModel, match=name):
        verify(archive / "new")


@pytest.mark.parametrize("damage", [_link, _pipe, _folder, Path.unlink])
@pytest.mark.parametrize("name", ["new/manifest.json", "CURRENT"])
def test_what_is_no_plain_file_is_not_even_opened(
    archive: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(archive / name)
    with pytest.raises(BadModel, match=Path(name).name):
        find_model(archive, "current")


def test_a_weights_file_beyond_all_models_is_not_read(archive: Path) -> None:
    with (archive / "new" / "weights.safetensors").open("r+b") as stream:
        stream.truncate(600_000_000)
    with pytest.raises(BadModel, match="larger than 500 MB"):
        verify(archive / "new")


def test_a_damaged_model_is_listed_as_its_error_beside_the_others(archive: Path) -> None:
    _append(archive / "new" / "weights.safetensors")
    (archive / ".staged").mkdir()
    damaged, whole = list_models(archive)
    assert isinstance(damaged, BadModel)
    assert isinstance(whole, ModelFolder)
    assert whole.name == "old"


def test_thresholds_are_exact_where_calibrated_and_between_them_elsewhere(archive: Path) -> None:
    model = verify(archive / "new")
    assert model.acceptance_threshold(0.001) == 0.95
    assert model.acceptance_threshold(0.01) == 0.8
    assert model.acceptance_threshold(0.00316) == pytest.approx(0.875, abs=0.001)
    assert model.acceptance_threshold(1e-6) == 0.95
    assert model.acceptance_threshold(0.5) == 0.3


@given(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5))
def test_a_looser_error_rate_never_asks_for_more_confidence(one: float, other: float) -> None:
    model = ModelFolder(Path("any"), {"thresholds": {"acceptance": ACCEPTANCE}}, ())
    strict, loose = min(one, other), max(one, other)
    assert model.acceptance_threshold(strict) >= model.acceptance_threshold(loose)


def test_looking_at_the_archive_does_not_wait_for_torch() -> None:
    code = "import processor.prediction.archive, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def promotion(name: str, previous: str | None, kind: str = "promote") -> Promotion:
    return Promotion(at="2026-11-22T12:00:00Z", kind=kind, name=name, previous=previous)


def test_rollbacks_lead_further_back_and_not_forth_again() -> None:
    record = [promotion("b", "a"), promotion("c", "b"), promotion("d", "c")]
    assert models_before(record, "d") == ["c", "b", "a"]
    record.append(promotion("c", "d", "rollback"))
    assert models_before(record, "c") == ["b", "a"]
    record.append(promotion("a", "c", "rollback"))
    assert models_before(record, "a") == []
    record.append(promotion("e", "a"))
    assert models_before(record, "e") == ["a"]
    assert models_before(record, "set by hand") == ["e", "a"]
    assert models_before([], "a") == []


names = st.sampled_from("abcd")


@given(st.lists(st.tuples(names, st.none() | names, st.sampled_from(["promote", "rollback"]))), names)
def test_what_was_in_use_before_is_never_the_model_in_use_nor_unknown(
    rows: list[tuple[str, str | None, str]], current: str
) -> None:
    before = models_before([promotion(*row) for row in rows], current)
    assert current not in before
    assert len(before) == len(set(before))
    assert set(before) <= {name for row in rows for name in row[:2]}


def test_a_line_of_the_record_that_makes_no_sense_is_named_and_passed_over(tmp_path: Path) -> None:
    good = {"at": "2026-11-22T12:00:00Z", "kind": "promote", "name": "b", "previous": "a"}
    lines: list[Any] = [good, [], 7, {**good, "name": 7}, {"name": "b"}, {**good, "later": 1}]
    lines += [{**good, "forced": [1]}, {**good, "gates": ["none"]}, {**good, "kind": None}]
    lines += [{**good, "at": "\ud800"}, {**good, "forced": "all"}]
    text = "\n".join(json.dumps(line) for line in lines)
    (tmp_path / "PROMOTIONS").write_bytes(text.encode() + b"\n\xff\n\n" + b"[" * 100_000 + b"\n{")
    heard: list[str] = []
    assert [found.name for found in read_promotions(tmp_path, heard.append)] == ["b"]
    numbers = [*range(2, 13), 14, 15]
    assert [text.split(" is damaged")[0] for text in heard] == [
        f"{tmp_path / 'PROMOTIONS'}: line {number}" for number in numbers
    ]
    assert max(map(len, heard)) < 300
    assert read_promotions(tmp_path / "absent", heard.append) == []
    assert len(heard) == len(numbers)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_record_that_is_no_file_is_named_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "PROMOTIONS")
    heard: list[str] = []
    assert read_promotions(tmp_path, heard.append) == []
    assert "PROMOTIONS is no file" in heard[0]
