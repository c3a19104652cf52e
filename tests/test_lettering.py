"""Letters of installed fonts: what is set, what is passed over, and that a seed repeats it."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from training.inks import NONE
from training.lettering import HEIGHTS, font_files, font_folders, installed_letters
from training.negatives import LETTERS

OWN = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_letters_are_ink_of_several_fonts_and_sizes_all_labelled_as_no_digit() -> None:
    inks = installed_letters(200, rng(), [OWN])
    assert len(inks) == 200
    assert set(inks.labels.tolist()) == {NONE}
    assert len(np.unique(inks.groups)) > 5
    heights = [image.shape[0] for image in inks.images]
    assert max(heights) > 1.5 * min(heights)
    assert all(image.dtype == np.uint8 and image.max() > 100 for image in inks.images)
    assert max(heights) < 3 * HEIGHTS[1]


def test_the_paper_around_letters_is_blank() -> None:
    for image in installed_letters(60, rng(), [OWN]).images:
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert not border.any()


def test_one_seed_gives_the_same_letters_and_another_seed_others() -> None:
    first = installed_letters(30, rng(4), [OWN])
    assert first.digest() == installed_letters(30, rng(4), [OWN]).digest()
    assert first.digest() != installed_letters(30, rng(5), [OWN]).digest()


def test_no_digit_and_no_letter_like_one_is_set() -> None:
    assert not set(LETTERS) & set("0123456789OoIilSsBbZzgqcj|+()")


def test_a_broken_font_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font at all")
    (tmp_path / "empty.otf").write_bytes(b"")
    (tmp_path / "good.ttf").write_bytes((OWN / "DejaVuSans.ttf").read_bytes())
    heard: list[str] = []
    inks = installed_letters(12, rng(), [tmp_path], notice=heard.append)
    assert len(inks) == 12
    assert [notice.split()[0] for notice in heard] == ["broken.ttf", "empty.otf"]


@pytest.mark.parametrize("name", ["cmsy10.ttf", "cmex10.ttf", "STIXSizOneSymReg.ttf"])
def test_fonts_of_symbols_give_no_letters(tmp_path: Path, name: str) -> None:
    (tmp_path / "renamed.ttf").write_bytes((OWN / name).read_bytes())
    assert len(installed_letters(5, rng(), [tmp_path])) == 0
    (tmp_path / "renamed.ttf").rename(tmp_path / name)
    assert font_files([tmp_path]) == []


def test_a_machine_without_fonts_has_no_letters(tmp_path: Path) -> None:
    inks = installed_letters(5, rng(), [tmp_path, tmp_path / "not there"])
    assert len(inks) == 0
    assert inks.labels.shape == (0,)


def test_fonts_are_found_below_folders_and_each_name_once(tmp_path: Path) -> None:
    for place in ("a", "b/deeper"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "one.TTF").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    assert font_files([tmp_path]) == [tmp_path / "a" / "one.TTF"]
    assert font_files([tmp_path / "a" / "one.TTF"]) == [tmp_path / "a" / "one.TTF"]


def test_the_folders_of_this_platform_end_with_matplotlib_s() -> None:
    assert font_folders()[-1] == OWN
    assert len(installed_letters(5, rng())) == 5
