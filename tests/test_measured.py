"""What models are judged by is never trained on, under whatever name and in whatever folder it comes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from processor.errors import BadCommand
from processor.settings import load
from tests.sample_sources import sample_digits, write_mnist, write_strips
from training import datasets
from training.inks import NONE
from training.recipe import Recipe, Source
from training.sources import Corpus, gather, read_source
from training.sources.measured import MNIST_TEST, contents_held_out, refuse_test_part

STRIPS = datasets.HELD_OUT_STRIPS + 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST, and 206 cheque strips no two of which are the same file."""
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder / "mnist", sample_digits())
    write_strips(folder / "orand-car-a", sample_digits(), STRIPS)
    for number in range(STRIPS):
        file = folder / "orand-car-a" / "images" / f"{number}.png"
        pixels = np.asarray(Image.open(file)).copy()
        pixels[0, 0] = number
        Image.fromarray(pixels).save(file)
    return folder


def gathered(data: Path, **source: object) -> Corpus:
    rows = [{"share": 1, "name": "mine", "validation": 0, **source}]
    return gather(Recipe.model_validate({"name": "x", "source": rows}), data, settings=load())


@pytest.mark.parametrize("copied", [False, True])
def test_mnists_test_part_is_judged_on_and_never_trained_on(tmp_path: Path, data: Path, copied: bool) -> None:
    folder = data / "mnist"
    if copied:
        folder = shutil.copytree(folder, tmp_path / "elsewhere")
    with pytest.raises(BadCommand, match="mine is MNIST's test part") as caught:
        gathered(data, kind="idx", path=folder, part="test")
    assert 'part = "train"' in str(caught.value.remedy)
    assert len(gathered(data, kind="idx", path=folder, part="train").pools[0].inks) == 100
    source = Source(name="mine", kind="idx", path=folder, part="test", share=1)
    assert len(read_source(source, data).inks) == 100


def test_the_published_test_part_is_known_without_the_data_folder(tmp_path: Path) -> None:
    class Published(type(sample_digits())):  # type: ignore[misc]
        def digest(self) -> str:
            return MNIST_TEST

    digits = sample_digits()
    copy = Published("mine", digits.images, digits.labels, digits.groups)
    source = Source(name="mine", kind="npz", path=tmp_path / "a.npz", share=1)
    refuse_test_part(source, digits, tmp_path)
    with pytest.raises(BadCommand, match="test part"):
        refuse_test_part(source, copy, tmp_path)


def test_a_test_pair_of_ones_own_may_be_trained_on(tmp_path: Path, data: Path) -> None:
    write_mnist(tmp_path / "own", sample_digits().take(range(50)))
    assert len(gathered(data, kind="idx", path=tmp_path / "own", part="test").pools[0].inks) == 50


def test_a_copy_of_the_strips_keeps_those_that_are_judged_by_out(tmp_path: Path, data: Path) -> None:
    """Renamed, too: it is the content that counts."""
    copy = shutil.copytree(data / "orand-car-a", tmp_path / "cheques")
    assert len(contents_held_out(data / "orand-car-a")) == datasets.HELD_OUT_STRIPS
    corpus = gathered(data, kind="coco-strips", path=copy)
    assert corpus.pools[0].inks.labels.tolist() == [3, 7] * 6
    assert contents_held_out(tmp_path / "nowhere") == frozenset()


@pytest.mark.parametrize("below", [".", "images"])
def test_strips_with_typed_numbers_keep_those_that_are_judged_by_out(
    home: Path, tmp_path: Path, data: Path, below: str
) -> None:
    assert home.is_dir()
    out = sorted(datasets.held_out_strips(data / "orand-car-a"))[:4]
    others = datasets.strip_names(data / "orand-car-a")
    table = tmp_path / "truth.csv"
    table.write_text("\n".join(["file,digits", *(f"{name},37" for name in [*out, *others])]))
    corpus = gathered(data, kind="digit-strips", path=data / "orand-car-a" / below, table=table)
    labels = corpus.pools[0].inks.labels
    assert (labels != NONE).sum() == 2 * len(others)
    assert sum("by which every model is judged" in fault for fault in corpus.skipped) == len(out)
