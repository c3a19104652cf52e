"""The archive finds and verifies models, and says of a damaged one which file and value is wrong."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

ROWS = [
    {"max_error_rate": rate, "confidence": level} for rate, level in ((0.01, 0.8), (0.001, 0.95), (0.1, 0.3))
]


def a_manifest(name: str, weights: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "created_at": "2026-11-22T12:00:00Z",
        "architecture": "strided-residual",
        "parameters": {"classes": 11},
        "input": {"shape": [1, 28, 28], "polarity": "ink is high", "range": [0, 1]},
        "classes": [*"0123456789", "none"],
        "temperature": 1.5,
        "thresholds": {"acceptance": ROWS},
        "weights": [{"file": "weights.safetensors", "sha256": hashlib.sha256(weights).hexdigest()}],
        "metrics": {},
        "data": [],
        "recipe": {},
        "parent": None,
        "versions": {},
    }


def add_model(archive: Path, name: str, **changes: Any) -> Path:
    folder = archive / name
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights of " + name.encode())
    manifest = {**a_manifest(name, b"weights of " + name.encode()), **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    add_model(tmp_path, "old")
    add_model(tmp_path, "new")
    (tmp_path / "CURRENT").write_text("new\n")
    return tmp_path


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


@pytest.mark.parametrize("name", ["older", "../new", "", ".", "new/../new"])
def test_a_model_that_is_not_there_is_refused_with_those_that_are(archive: Path, name: str) -> None:
    with pytest.raises(BadModel, match="new, old") as caught:
        find_model(archive, name)
    assert caught.value.exit_code == Exit.NO_MODEL


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"\xff\xfe"])
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
    file = archive / "new" / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest[key]
    file.write_text(json.dumps(manifest))
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
        ("temperature", float("nan")),
        ("temperature", True),
        ("thresholds", []),
        ("thresholds", {"acceptance": []}),
        ("thresholds", {"acceptance": [{"max_error_rate": 0.01}]}),
        ("weights", []),
        ("weights", ["weights.safetensors"]),
        ("weights", [{"file": "../old/weights.safetensors", "sha256": "0"}]),
        ("weights", [{"file": "/etc/passwd", "sha256": "0"}]),
        ("parameters", [1, 2]),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(BadModel, match=key):
        verify(add_model(tmp_path, "odd", **{key: value}))


def test_a_renamed_folder_is_refused(archive: Path) -> None:
    (archive / "new").rename(archive / "newer")
    with pytest.raises(BadModel, match="renamed"):
        verify(archive / "newer")


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"'])
def test_a_manifest_that_is_none_is_refused(archive: Path, content: str) -> None:
    (archive / "new" / "manifest.json").write_text(content)
    with pytest.raises(BadModel, match=r"manifest\.json"):
        verify(archive / "new")


def _append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"!")


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [_append, _truncate, Path.unlink])
def test_weights_that_are_not_those_that_were_published_are_refused(
    archive: Path, damage: Callable[[Path], None]
) -> None:
    damage(archive / "new" / "weights.safetensors")
    with pytest.raises(BadModel, match=r"weights\.safetensors"):
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
    model = ModelFolder(Path("any"), {"thresholds": {"acceptance": ROWS}}, ())
    strict, loose = min(one, other), max(one, other)
    assert model.acceptance_threshold(strict) >= model.acceptance_threshold(loose)


def test_looking_at_the_archive_does_not_wait_for_torch() -> None:
    code = "import processor.prediction.archive, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
