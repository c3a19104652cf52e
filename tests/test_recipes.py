"""Recipes that are refused: a line for each fault, with the file, the key, the value and what is right."""

import json
import re
from pathlib import Path

import pytest

from processor.errors import BadSettings
from training.recipe import load_recipe, recorded_recipe

GOOD = {"name": "x", "source": [{"name": "mnist", "share": 1}]}


def refusal(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(BadSettings) as caught:
        load_recipe(str(file))
    assert caught.value.remedy
    lines = str(caught.value.message).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_each_fault_is_a_line_of_its_own_in_plain_words(tmp_path: Path) -> None:
    lines = refusal(
        tmp_path,
        "[schedule]\nepochs = 0\nlearning_rat = 1\n[[source]]\nname = 'mnist'\nshare = 'much'\n"
        "[[source]]\nname = 'marks'\n",
    )
    assert lines[0] == "schedule.epochs = 0: it should be greater than or equal to 1."
    assert lines[1].startswith("there is no key schedule.learning_rat; known here are seed, epochs, ")
    assert lines[2].startswith("source.0.share = 'much': it should be a valid number")
    assert lines[3] == "source.1.share is missing."
    assert len(lines) == 4
    assert not re.search("pydantic|type=|validation error", "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[[source]]\nname='mnist'\nshare=1\nshere=2",
            "there is no key source.0.shere; known here are name, ",
        ),
        (
            "spurious = 1\n[[source]]\nname='mnist'\nshare=1",
            "there is no key spurious; known here are name, ",
        ),
        ("[[source]]\nname='mine'\npath='a'\nshare=1", "source.0: mine has a path, but no kind."),
        ("name = 'x'\n[[source]]\nname='mnist'\nshare=1", "there is no key name; the file's own name"),
        ("source = []", "source = []: Tuple should have at least 1 item"),
        (
            "[[source]]\nkind='nps'\npath='a'\nshare=1",
            "source.0.kind = 'nps': it should be 'digit-folders', 'image-list'",
        ),
        (f"[schedule]\nseed = '{'7x' * 500}'\n[[source]]\nname='mnist'\nshare=1", "schedule.seed = '7x7x"),
    ],
)
def test_a_fault_says_what_would_be_right(tmp_path: Path, text: str, line: str) -> None:
    (found,) = refusal(tmp_path, text)
    assert found.startswith(line)
    assert len(found) < 400


@pytest.mark.parametrize(
    ("recorded", "named"),
    [
        ({**GOOD, "schedule": {"epochs": 0}}, "run/manifest.json: schedule.epochs = 0"),
        ({**GOOD, "samples": 0}, "samples = 0"),
        ({**GOOD, "samples": "all"}, "samples = 'all'"),
        ({"name": "x"}, "source is missing"),
        (None, "recipe = 'None'"),
        ("by hand", "recipe = 'by hand'"),
    ],
)
def test_a_recorded_recipe_that_breaks_the_limits_is_refused_alike(recorded: object, named: str) -> None:
    with pytest.raises(BadSettings, match=re.escape(named)) as caught:
        recorded_recipe(recorded, "run/manifest.json")
    assert "train the run again" in str(caught.value.remedy)


def test_a_recorded_recipe_gives_the_recipe_and_its_samples() -> None:
    assert (
        load_recipe("refresh")
        == recorded_recipe({**json.loads(load_recipe("refresh").model_dump_json()), "samples": 20}, "x")[0]
    )
    assert recorded_recipe({**GOOD, "samples": 20}, "x")[1] == 20
    assert recorded_recipe(GOOD, "x")[1] == -1


def test_a_recipe_to_judge_by_need_not_share(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[[source]]\nkind='npz'\npath='a.npz'\n")
    (source,) = load_recipe(str(file), judging=True).source
    assert source.path == tmp_path / "a.npz"
    with pytest.raises(BadSettings, match="share is missing"):
        load_recipe(str(file))
