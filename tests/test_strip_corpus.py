"""The second reader's corpus: real strips, none that models are judged by, one's own at a refresh."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from processor.errors import BadCommand
from training import datasets
from training.drawn import printed
from training.sources.measured import content_of
from training.strip_corpus import (
    CHEQUES,
    OLD,
    OWN,
    OWN_STRIPS,
    StripCorpus,
    own_strips,
    shipped_corpus,
    with_own,
)
from training.strip_sources import digest_of

FONTS = printed("0123456789", list(range(10)), "mnist-train")
RNG = np.random.default_rng(0)


def write_strips(folder: Path, numbers: dict[str, str]) -> Path:
    """Images of the numbers and their table, as users keep them."""
    (folder / "images").mkdir(parents=True)
    for name, text in numbers.items():
        pixels = np.full((60, 40 + 26 * len(text)), 225, np.uint8)
        cv2.putText(pixels, text, (16, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 40, 3, cv2.LINE_AA)
        Image.fromarray(pixels).save(folder / "images" / name)
    rows = [f'{name},"{text}"' for name, text in numbers.items()]
    (folder / "truth.csv").write_text("\n".join(["file,digits", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def drawn_only(tmp_path_factory: pytest.TempPathFactory) -> StripCorpus:
    return shipped_corpus(tmp_path_factory.mktemp("data"), FONTS, ([], []), RNG)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_strips(tmp_path / "own", {f"{n}.png": f"{n},{n + 5}" for n in range(10, 32)})


def test_without_cheques_all_numbers_are_drawn(drawn_only: StripCorpus) -> None:
    assert drawn_only.known == ()
    assert drawn_only.validation == ()
    assert all(len(images) for images in drawn_only.hands.pick(RNG).digits)


def test_a_refresh_trains_on_ones_own_and_keeps_every_tenth(drawn_only: StripCorpus, own: Path) -> None:
    corpus = with_own(drawn_only, own, own / "truth.csv")
    ((strips, share),) = corpus.known
    assert share == OWN
    assert len(strips) == 19
    assert len(corpus.validation) == 3
    assert not {s.name for s in strips} & {s.name for s in corpus.validation}
    assert all("," not in s.digits for s in strips)


def test_what_was_learned_before_is_not_forgotten(drawn_only: StripCorpus, own: Path) -> None:
    strips = with_own(drawn_only, own, own / "truth.csv").validation
    before = StripCorpus(drawn_only.hands, ((strips, CHEQUES),), strips)
    (_, old), (_, new) = with_own(before, own, own / "truth.csv").known
    assert new == OWN
    assert old == pytest.approx(OLD)


def test_the_same_strips_are_kept_whatever_stands_beside_them(drawn_only: StripCorpus, own: Path) -> None:
    one, other = (with_own(drawn_only, own, own / "truth.csv") for _ in range(2))
    assert [s.name for s in one.validation] == [s.name for s in other.validation]


def test_strips_that_are_not_there_are_named(drawn_only: StripCorpus, own: Path) -> None:
    (own / "images" / "12.png").unlink()
    (own / "images" / "13.png").write_bytes(b"no image")
    heard: list[str] = []
    corpus = with_own(drawn_only, own, own / "truth.csv", notice=heard.append)
    assert sum(len(strips) for strips, _ in corpus.known) + len(corpus.validation) == 20
    assert len(heard) == 2
    assert "12.png is not in" in heard[0]


def test_a_folder_without_a_number_is_refused(drawn_only: StripCorpus, tmp_path: Path) -> None:
    folder = write_strips(tmp_path / "none", {"1.png": "   "})
    with pytest.raises(BadCommand, match=r"truth\.csv: no number of it is found"):
        with_own(drawn_only, folder, folder / "truth.csv")


def test_a_strip_that_models_are_judged_by_is_refused(tmp_path: Path) -> None:
    folder = write_strips(tmp_path / "orand-car-a", {f"{n}.png": f"{n}" for n in range(300, 304)})
    held_out = sorted(datasets.held_out_strips(folder))
    with pytest.raises(BadCommand, match="by which every model is judged"):
        shipped_corpus(tmp_path, FONTS, (held_out, []), RNG)


def test_what_was_trained_on_is_told_and_known_again_under_any_name(
    drawn_only: StripCorpus, own: Path, tmp_path: Path
) -> None:
    corpus = with_own(drawn_only, own, own / "truth.csv")
    told = {row["source"]: row for row in corpus.data}
    assert set(told) == {"mnist-train", "european-forms", "printed-digits", OWN_STRIPS}
    assert told[OWN_STRIPS]["count"] == len(corpus.marks()) == 19
    renamed = write_strips(tmp_path / "again", {f"again-{n}.png": f"{n},{n + 5}" for n in range(10, 32)})
    again = own_strips(renamed, renamed / "truth.csv")
    assert {strip.mark for strip in again} == corpus.marks() | {s.mark for s in corpus.validation}
    assert digest_of(again[:3]) != digest_of(again[1:4])


def test_strips_that_models_are_judged_by_are_left_out_of_ones_own(
    drawn_only: StripCorpus, own: Path
) -> None:
    measured = content_of(own / "images" / "12.png")
    heard: list[str] = []
    corpus = with_own(drawn_only, own, own / "truth.csv", notice=heard.append, held_out={measured})
    assert "12.png" not in {s.name for s in (*corpus.known[0][0], *corpus.validation)}
    assert heard == ["12.png is one of the strips by which every model is judged."]
