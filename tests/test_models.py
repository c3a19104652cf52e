"""`processor models`: what the archive holds, and which model reads."""

import json
import shutil
from pathlib import Path

import pytest

from processor.errors import Exit
from processor.settings import shipped_archive
from tests.conftest import Call


def names(archive: Path) -> str:
    return (archive / "CURRENT").read_text().strip()


@pytest.fixture
def archive(home: Path) -> Path:
    """An archive of its own, with a copy of the shipped model."""
    shipped = shipped_archive()
    assert shipped is not None
    target = home / "models_archive"
    target.mkdir()
    shutil.copytree(shipped / names(shipped), target / names(shipped))
    (target / "CURRENT").write_text(names(shipped) + "\n")
    return target


def test_models_are_listed_and_the_current_one_is_marked(call: Call, archive: Path) -> None:
    code, out, _ = call("models")
    assert code == 0
    assert f"*  {names(archive)}" in out
    document = json.loads(call("models", "--json")[1])
    assert document["current"] == names(archive)
    assert [(model["name"], model["current"]) for model in document["models"]] == [(names(archive), True)]
    assert document["models"][0]["metrics"]


def test_a_damaged_model_is_named_and_stops_only_who_needs_it(call: Call, archive: Path) -> None:
    (archive / "half").mkdir()
    code, out, err = call("models", "--json")
    assert code == 0
    assert "half" in err
    assert "half" in json.loads(out)["damaged"][0]["message"]
    (archive / "CURRENT").write_text("half\n")
    code, out, err = call("models", "--json")
    assert code == Exit.NO_MODEL
    assert len(json.loads(out)["models"]) == 1
    assert "half" in err


def test_a_damaged_line_of_the_record_is_named_and_the_models_are_listed(call: Call, archive: Path) -> None:
    line = {"at": "2026-11-22T12:00:00Z", "kind": "promote", "name": names(archive), "previous": None}
    (archive / "PROMOTIONS").write_text(json.dumps({**line, "forced": [1]}) + "\n")
    for options in ([], ["--json"]):
        code, out, err = call("models", *options)
        assert code == 0
        assert names(archive) in out
        assert "PROMOTIONS: line 1 is damaged" in err
