"""A manifest names its sources, and tells nothing of the machine's folders."""

import json
from pathlib import Path

import pytest

from processor.errors import BadCommand
from training.places import placed, portable
from training.recipe import Recipe, load_recipe

OWN = "[[source]]\nkind = 'digit-strips'\npath = '{path}'\ntable = '{path}/t.csv'\nshare = 1\n"


def a_recipe(folder: Path, path: Path | str) -> Recipe:
    file = folder / "own.toml"
    file.write_text(OWN.format(path=path))
    return load_recipe(str(file))


def test_paths_below_the_settings_are_relative_and_are_found_again(tmp_path: Path) -> None:
    strips = tmp_path / "forms" / "november"
    strips.mkdir(parents=True)
    (strips / "t.csv").touch()
    recipe = a_recipe(tmp_path, "forms/november")
    values = portable(recipe, tmp_path)
    (row,) = values["source"]
    assert (row["path"], row["table"]) == ("forms/november", "forms/november/t.csv")
    assert str(tmp_path) not in json.dumps(values)
    again = placed(Recipe.model_validate(values), tmp_path, "run/manifest.json")
    assert again == recipe


@pytest.mark.parametrize("base", [None, "project"])
def test_paths_elsewhere_are_told_by_their_last_name(tmp_path: Path, base: str | None) -> None:
    (tmp_path / "secret" / "november").mkdir(parents=True)
    recipe = a_recipe(tmp_path, tmp_path / "secret" / "november")
    values = portable(recipe, None if base is None else tmp_path / base)
    (row,) = values["source"]
    assert (row["name"], row["path"], row["table"]) == ("november", "november", "t.csv")
    assert "secret" not in json.dumps(values)
    with pytest.raises(BadCommand, match="the source november is not at") as caught:
        placed(Recipe.model_validate(values), tmp_path / "project", "run/manifest.json")
    assert "run/manifest.json" in str(caught.value.message)


def test_a_model_to_begin_with_is_told_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f"[network]\nstart_from = '{tmp_path}/runs/one'\n[[source]]\nname='mnist'\nshare=1\n")
    assert portable(load_recipe(str(file)), tmp_path)["network"]["start_from"] == "one"
    assert portable(load_recipe("refresh"), None)["network"]["start_from"] == "current"
