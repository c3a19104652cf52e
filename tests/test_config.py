"""`processor config`: where each setting comes from, and a place to start."""

import json
from pathlib import Path

import pytest

from processor.errors import Exit
from processor.settings import shipped_archive
from tests.conftest import Call


def test_config_show_tells_where_each_value_comes_from(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "settings.toml").write_text("[limits]\nmax_pages = 7\n")
    monkeypatch.setenv("PROCESSOR_REVIEW__PORT", "9000")
    code, out, _ = call("config", "show")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["limits.max_pages"] == ["7", str(home / "settings.toml")]
    assert rows["review.port"] == ["9000", "PROCESSOR_REVIEW__PORT"]
    assert rows["outputs.annotated"] == ['"jpg"', "default"]
    shipped = shipped_archive()
    assert rows["paths.models_archive"] == [f'"{shipped}"', "came", "with", "the", "program"]
    document = json.loads(call("config", "show", "--json")[1])
    assert document["settings"]["paths.models_archive"]["value"] == str(shipped)
    assert document["settings"]["limits.max_pages"] == {"value": 7, "origin": str(home / "settings.toml")}
    assert document["file"] == str(home / "settings.toml")


def test_config_init_makes_a_place_to_start(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    code, out, err = call("config", "init")
    assert (code, out) == (0, "")
    assert "settings.toml" in err
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["inbox", "results", "settings.toml"]
    assert call("config", "show")[0] == 0


def test_config_init_keeps_what_is_there(call: Call, home: Path) -> None:
    (home / "settings.toml").write_text("# mine\n")
    code, _, err = call("config", "init")
    assert code == Exit.BAD_COMMAND
    assert "--force" in err
    assert (home / "settings.toml").read_text() == "# mine\n"
    assert call("config", "init", "--force")[0] == 0
    assert "[paths]" in (home / "settings.toml").read_text()


def test_config_init_writes_where_it_is_told(call: Call, tmp_path: Path) -> None:
    assert call("config", "init", "--settings", tmp_path / "deep" / "own.toml")[0] == 0
    assert (tmp_path / "deep" / "inbox").is_dir()
