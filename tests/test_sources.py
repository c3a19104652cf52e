"""Sources: data sets by name, data of one's own by kind and path, splits by group, and what is refused."""

import csv
import gzip
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array
from numpy.typing import NDArray
from PIL import Image

from processor.errors import BadCommand, BadScan, BadSettings
from processor.pages.cleaning import to_gray
from processor.pages.pixels import to_pixels
from processor.prediction.glyphs import normalise
from processor.results.database import open_database
from processor.settings import load
from tests.sample_sources import (
    idx_bytes,
    sample_digits,
    write_digit_folders,
    write_idx,
    write_mnist,
    write_omniglot,
    write_strips,
)
from training import datasets
from training.inks import NONE, Inks, collect, own_of, per_digit, split_by_cluster, split_by_group
from training.licences import LICENCES
from training.recipe import Kind, Recipe, Source, load_recipe, shipped_recipes
from training.sources import KINDS, SOURCES, Corpus, gather, read_source
from training.sources.builtin import Shelf
from training.sources.files import LONGEST, ink_of, read_ink
from training.testsets import digit_sets, non_digit_sets


@pytest.fixture(scope="module")
def digits() -> Inks:
    return sample_digits()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def data(tmp_path: Path, digits: Inks) -> Path:
    """A data folder with the sample as MNIST's training and test part."""
    write_mnist(tmp_path / "data" / "mnist", digits)
    return tmp_path / "data"


def a_recipe(*sources: dict[str, Any]) -> Recipe:
    named = [{"share": 1, **source} for source in sources]
    return Recipe.model_validate({"name": "any", "source": named})


def corpus_of(kind: str, path: Path, each: int = -1, **keys: Any) -> Corpus:
    """What a recipe with this one source comes to, with at most `each` samples of each digit."""
    return gather(a_recipe({"kind": kind, "path": path, **keys}), path.parent, each)


def refusal(kind: str, path: Path, **keys: Any) -> str:
    with pytest.raises(BadCommand) as caught:
        corpus_of(kind, path, **keys)
    assert str(path) in caught.value.message
    assert caught.value.remedy
    return caught.value.message


# --- the recipe ----------------------------------------------------------------------------------------


def test_every_kind_that_a_recipe_may_name_can_be_read() -> None:
    assert KINDS.keys() == set(get_args(Kind))


def test_every_source_of_a_shipped_recipe_is_there() -> None:
    for name in shipped_recipes():
        for source in load_recipe(name).source:
            assert source.name in SOURCES or source.kind in KINDS


def test_paths_start_from_the_recipes_file_and_name_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    file = tmp_path / "recipes" / "own.toml"
    file.write_text(
        "[[source]]\nkind = 'npz'\npath = '../mine/a.npz'\nshare = 1\n"
        "[[source]]\nkind = 'digit-strips'\nname = 'forms'\npath = 'strips'\ntable = 't.csv'\nshare = 1\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("recipes/own.toml", str(file)):
        first, second = load_recipe(name).source
        assert (first.name, first.path) == ("../mine/a.npz", tmp_path / "mine" / "a.npz")
        assert (second.name, second.path) == ("forms", tmp_path / "recipes" / "strips")
        assert second.table == tmp_path / "recipes" / "t.csv"
    kept = load_recipe(str(file)).model_dump(mode="json")
    assert Recipe.model_validate(kept) == load_recipe(str(file))


@pytest.mark.parametrize(
    ("passage", "named"),
    [
        ("kind = 'npz'", "needs a path"),
        ("name = 'mnist'\npath = 'mine'", "no kind"),
        ("kind = 'nps'\npath = 'a'", "digit-folders"),
        ("name = ''\nkind = 'npz'\npath = 'a'", "name"),
        ("name = 'mnist'\nvalidation = 1.0", "validation"),
        ("name = 'mnist'\nsamples = -2", "samples"),
        ("path = 3\nkind = 'npz'", "path"),
        ("", "name"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_its_key(tmp_path: Path, passage: str, named: str) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(f"[[source]]\n{passage}\nshare = 1")
    with pytest.raises(BadSettings, match=named):
        load_recipe(str(file))


def test_an_unknown_source_is_refused_with_the_known_ones_and_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"'emnist'.*jc-progjava.*digit-folders"):
        gather(a_recipe({"name": "emnist"}), tmp_path)


def test_data_of_ones_own_cannot_take_the_name_of_a_published_set(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="'mnist'"):
        gather(a_recipe({"name": "mnist", "kind": "npz", "path": tmp_path}), tmp_path)


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="'letters' twice"):
        gather(a_recipe({"kind": "letters"}, {"kind": "letters", "samples": 5}), tmp_path)


def test_what_was_drawn_cannot_be_validated_on(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"validation = 0\.3"):
        gather(a_recipe({"name": "printed-digits", "validation": 0.3}), tmp_path)


# --- published data sets -------------------------------------------------------------------------------


def test_mnist_comes_with_its_writers(data: Path, digits: Inks) -> None:
    found = datasets.mnist(data / "mnist", "train")
    np.testing.assert_array_equal(found.images[3], digits.images[3])
    np.testing.assert_array_equal(found.labels, digits.labels)
    np.testing.assert_array_equal(found.groups, digits.groups)


def test_mnist_without_its_writers_names_the_file_that_is_missing(data: Path) -> None:
    (data / "mnist" / "writers" / "qmnist-train-labels-idx2-int.gz").unlink()
    with pytest.raises(BadCommand, match="qmnist-train-labels"):
        gather(a_recipe({"name": "mnist"}), data)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "no idx file"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "header says 5"),
        (b"\0\0\x08\x03\0\0\0\x05\0\0", "header says 5"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "header says 4294967295"),
        (b"\0\0\x08\xff" + b"\xff" * 12, "no idx file"),
        (b"PK\3\4aaaaaa", "no idx file"),
    ],
)
def test_a_file_that_is_no_idx_is_refused_by_name(tmp_path: Path, content: bytes, named: str) -> None:
    file = tmp_path / "images-idx1-ubyte"
    file.write_bytes(content)
    with pytest.raises(BadCommand, match=named):
        datasets.read_idx(file)
    zipped = file.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(content))
    with pytest.raises(BadCommand, match=named):
        datasets.read_idx(zipped)
    with pytest.raises(BadCommand, match=r"absent\.gz"):
        datasets.read_idx(tmp_path / "absent.gz")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_an_idx_file_that_was_cut_or_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    whole = gzip.compress(idx_bytes(np.arange(48, dtype=np.uint8).reshape(3, 4, 4)))
    start = draw.draw(st.integers(0, len(whole)))
    change = draw.draw(st.binary(max_size=4))
    file = tmp_path_factory.mktemp("idx") / "a.gz"
    file.write_bytes(whole[:start] + change + whole[start + draw.draw(st.integers(0, 9)) :])
    values = read_or_refused(lambda: datasets.read_idx(file), str(file))
    assert values is None or values.size <= 48


def read_or_refused(read: Callable[[], Any], name: str) -> Any:
    """What `read` gives, `None` where it refuses, which it must do by `name`."""
    try:
        return read()
    except BadCommand as error:
        message = error.message
    assert name in message
    return None


def test_the_strips_held_out_are_always_the_same_and_never_trained_on(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(30):
        (tmp_path / "images" / f"{number}.jpg").touch()
    out = datasets.held_out_strips(tmp_path, count=8)
    assert len(out) == 8
    for name in sorted(out)[:4]:
        (tmp_path / "images" / name).unlink()
    assert datasets.held_out_strips(tmp_path, count=4) == frozenset(sorted(out)[4:])


def test_cheque_sources_take_no_strip_that_is_held_out(tmp_path: Path, digits: Inks) -> None:
    write_strips(tmp_path / "orand-car-a", digits, datasets.HELD_OUT_STRIPS + 20)
    corpus = gather(a_recipe({"name": "cheque-digits"}, {"name": "cheque-proposals"}), tmp_path)
    by_box, proposed = corpus.pools
    assert by_box.inks.labels.tolist() == [3, 7] * 18
    assert corpus.validation[0].labels.tolist() == [3, 7] * 2
    for image, label in zip(by_box.inks.images, by_box.inks.labels, strict=True):
        original = digits.images[int(np.flatnonzero(digits.labels == label)[0])]
        assert likeness(normalise(own_of(image)), normalise(original)) > 0.85
    assert {3, 7} <= set(proposed.inks.labels)
    (held_out,) = digit_sets(tmp_path)
    assert len(held_out.inks) == 2 * datasets.HELD_OUT_STRIPS

    # The same folder under a kind and a path of one's own does not let them in either.
    own = {"kind": "coco-strips", "path": tmp_path / "orand-car-a", "validation": 0}
    assert len(gather(a_recipe(own), tmp_path).pools[0].inks) == 2 * 20


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The best correlation of two glyphs, one of them shifted by at most a pixel."""
    shifts = [np.roll(one, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return float(max(np.corrcoef(shifted.ravel(), other.ravel())[0, 1] for shifted in shifts))


def test_latin_letters_are_measured_on_and_never_trained_on(tmp_path: Path) -> None:
    write_omniglot(tmp_path / "non-digits" / "omniglot.zip")
    (pool,) = gather(a_recipe({"name": "omniglot"}), tmp_path).pools
    assert len(pool.inks) == 2
    assert {int(image.max()) for image in pool.inks.images} == {255}
    assert all((image > 0).mean() < 0.2 for image in pool.inks.images)
    sets = {test.name: len(test.inks) for test in non_digit_sets(tmp_path)}
    assert sets["latin-letters"] == 2


def test_damaged_files_of_a_published_set_are_named(tmp_path: Path, digits: Inks) -> None:
    letters = tmp_path / "non-digits" / "omniglot.zip"
    write_omniglot(letters)
    for content in (b"", letters.read_bytes()[:-200], letters.read_bytes()[:60] + b"x" * 400):
        letters.write_bytes(content)
        with pytest.raises(BadCommand, match=r"omniglot\.zip is damaged"):
            gather(a_recipe({"name": "omniglot"}), tmp_path)
    write_strips(tmp_path / "orand-car-a", digits, datasets.HELD_OUT_STRIPS + 3)
    for file in (tmp_path / "orand-car-a" / "images").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(BadCommand, match=r"images/\d+\.png is damaged"):
        gather(a_recipe({"name": "cheque-digits"}), tmp_path)


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadCommand, match="train-images"):
        gather(load_recipe("default"), tmp_path)


def test_every_source_has_its_licence(data: Path) -> None:
    made = {"mnist": "mnist-train", "mnist-proposals": "proposals"}
    assert {made.get(name, name) for name in SOURCES} <= LICENCES.keys()
    (pool,) = gather(a_recipe({"name": "mnist"}), data).pools
    assert pool.licence.startswith("MNIST")


def test_the_seeds_data_set_is_limited_by_the_recipe_alone(tmp_path: Path, digits: Inks) -> None:
    (tmp_path / "jc-progjava").mkdir()
    write_npz(tmp_path / "jc-progjava" / "digits.npz", digits, writers=False)
    usual = gather(a_recipe({"name": "jc-progjava", "samples": 4, "validation": 0}), tmp_path)
    assert np.bincount(usual.pools[0].inks.labels).tolist() == [4] * 10
    assert usual.validation == ()
    shipped = {source.name: source for source in load_recipe("default").source}["jc-progjava"]
    assert (shipped.samples, shipped.validation) == (2000, 0)
    validated = gather(a_recipe({"name": "jc-progjava"}), tmp_path)
    assert len(validated.validation[0]) + len(validated.pools[0].inks) == 100


def seed_set(folder: Path, numbers: list[int], per_digit: int = 8) -> Path:
    """JC-ProgJava's layout: copies of each digit with the numbers of their files."""
    file = folder / "jc-progjava" / "digits.npz"
    file.parent.mkdir()
    labels = np.repeat(np.arange(10), per_digit)
    images = np.random.default_rng(0).integers(0, 60, (len(labels), 28, 28), np.uint8)
    np.savez(file, images=images, labels=labels, number=np.array(numbers))
    return file


def test_the_seeds_data_set_keeps_one_original_of_each_digit_out(tmp_path: Path) -> None:
    seed_set(tmp_path, [0, 2024, 2025, 4940, 4941, 7856, 7857, 10772] * 10)
    corpus = gather(a_recipe({"name": "jc-progjava"}), tmp_path)
    trained, (kept,) = corpus.pools[0].inks, corpus.validation
    assert np.bincount(kept.labels).tolist() == [2] * 10
    assert len(np.unique(kept.groups)) == 10
    assert not set(trained.groups) & set(kept.groups)


def test_file_numbers_that_do_not_fit_the_labels_are_refused(tmp_path: Path) -> None:
    seed_set(tmp_path, [1, 2, 3])
    with pytest.raises(BadCommand, match=r"80 labels, but file numbers int64 of shape \(3,\).*"):
        gather(a_recipe({"name": "jc-progjava"}), tmp_path)


def test_what_is_made_of_mnist_keeps_the_same_writers_out(data: Path) -> None:
    family = a_recipe({"name": "mnist", "validation": 0.3}, {"name": "mnist-proposals"})
    trained, kept = Shelf(data, family).mnist
    assert (len(trained), len(kept)) == (70, 30)
    assert not set(trained.groups) & set(kept.groups)
    alone = gather(a_recipe({"name": "mnist", "validation": 0}), data)
    assert (len(alone.pools[0].inks), alone.validation) == (100, ())


# --- splits and limits ---------------------------------------------------------------------------------


def test_no_writer_stands_on_both_sides_of_a_split(digits: Inks, rng: np.random.Generator) -> None:
    trained, kept = split_by_group(digits, 0.3, rng)
    assert len(trained) + len(kept) == len(digits)
    assert len(kept) == 30
    assert not set(trained.groups) & set(kept.groups)


@given(
    st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=12), min_size=1, max_size=4),
    st.floats(0.05, 0.4),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_a_split_by_clusters_leaves_every_label_its_largest_and_keeps_about_the_share(
    sizes: list[list[int]], share: float, seed: int
) -> None:
    labels = [label for label, found in enumerate(sizes) for size in found for _ in range(size)]
    groups = [
        (label, i) for label, found in enumerate(sizes) for i, size in enumerate(found) for _ in range(size)
    ]
    numbers = np.unique(np.array([10_000 * label + i for label, i in groups]), return_inverse=True)[1]
    inks = collect("any", [np.zeros((1, 1), np.uint8)] * len(labels), labels, numbers.tolist())
    trained, kept = split_by_cluster(inks, share, np.random.default_rng(seed))
    assert len(trained) + len(kept) == len(inks)
    assert not set(trained.groups) & set(kept.groups)
    for label, found in enumerate(sizes):
        out, total = int((kept.labels == label).sum()), sum(found)
        assert (out == 0) == (len(found) == 1)
        assert int((trained.labels == label).sum()) >= max(found)
        if max(found) < 0.1 * share * total:
            assert 0.5 * share <= out / total <= 1.5 * share


@given(st.integers(0, 12))
def test_so_many_of_each_digit_are_taken_where_there_are_so_many(count: int) -> None:
    labels = [digit for digit in range(10) for _ in range(digit)]
    inks = collect("any", [np.zeros((1, 1), np.uint8)] * len(labels), labels, labels)
    found = per_digit(inks, count, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(found.labels, minlength=10), np.minimum(np.arange(10), count))
    assert len(per_digit(inks, -1, np.random.default_rng(0))) == len(labels)


def test_the_samples_that_are_taken_follow_the_seed(tmp_path: Path, digits: Inks) -> None:
    file = write_npz(tmp_path / "a.npz", digits)
    recipe = a_recipe({"kind": "npz", "path": file})
    again = recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update={"seed": 2})})
    digests = [gather(r, tmp_path, 3).pools[0].inks.digest() for r in (recipe, recipe, again)]
    assert digests[0] == digests[1] != digests[2]


def test_the_smaller_of_both_limits_counts_and_non_digits_have_only_their_own(
    tmp_path: Path, digits: Inks
) -> None:
    file = write_npz(tmp_path / "a.npz", digits)
    for own, asked, taken in ((-1, -1, 10), (4, -1, 4), (-1, 3, 3), (4, 3, 3), (3, 4, 3)):
        corpus = corpus_of("npz", file, asked, samples=own, validation=0)
        assert np.bincount(corpus.pools[0].inks.labels).tolist() == [taken] * 10
    write_images(tmp_path / "marks", digits.images[:9])
    assert len(corpus_of("non-digits", tmp_path / "marks", 3, validation=0).pools[0].inks) == 9
    assert len(corpus_of("non-digits", tmp_path / "marks", samples=4, validation=0).pools[0].inks) == 4


def test_drawn_digits_are_limited_too(tmp_path: Path) -> None:
    (printed,) = gather(a_recipe({"name": "printed-digits"}), tmp_path, 3).pools
    assert np.bincount(printed.inks.labels).tolist() == [3] * 10


def test_copies_of_one_original_stand_on_one_side(tmp_path: Path, digits: Inks) -> None:
    copies = [np.roll(image, (y, x), (0, 1)) for image in digits.images for x in (-1, 0, 1) for y in (0, 1)]
    labels = np.repeat(digits.labels, 6)
    np.savez(tmp_path / "copies.npz", images=np.stack(copies), labels=labels)
    corpus = corpus_of("npz", tmp_path / "copies.npz")
    (trained,), (kept,) = corpus.pools, corpus.validation
    assert len(kept) >= 60
    seen = {form(image) for image in trained.inks.images}
    assert not seen & {form(image) for image in kept.images}
    assert not set(trained.inks.groups) & set(kept.groups)


def form(image: NDArray[np.uint8]) -> bytes:
    """The ink without its place."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].tobytes()


def test_too_few_writers_to_keep_one_out_are_all_trained_on_with_a_word(tmp_path: Path, digits: Inks) -> None:
    one = Inks("one", digits.images, digits.labels, np.zeros(100, np.int64))
    corpus = corpus_of("npz", write_npz(tmp_path / "a.npz", one), name="my-hand")
    assert len(corpus.pools[0].inks) == 100
    assert corpus.validation == ()
    (notice,) = corpus.notices
    assert "my-hand is of 1 group" in notice


def test_a_recipe_that_keeps_no_digit_out_cannot_be_fitted(tmp_path: Path, digits: Inks) -> None:
    file = write_npz(tmp_path / "a.npz", digits)
    corpus_of("npz", file).require_validation()
    write_images(tmp_path / "marks", digits.images[:20])
    for corpus in (corpus_of("npz", file, validation=0), corpus_of("non-digits", tmp_path / "marks")):
        with pytest.raises(BadCommand, match="calibrated"):
            corpus.require_validation()


def test_remarks_name_what_was_skipped_but_not_without_end(tmp_path: Path, digits: Inks) -> None:
    write_images(tmp_path / "marks", [*digits.images[:50], *[np.zeros((9, 9), np.uint8)] * 30])
    remarks = corpus_of("non-digits", tmp_path / "marks").remarks()
    assert remarks[0] == "Skipped 30 that could not be read:"
    assert remarks[1].endswith("marks: 50.png holds no ink")
    assert remarks[-1] == "… and 10 more."
    assert len(remarks) == 22
    assert corpus_of("npz", write_npz(tmp_path / "a.npz", digits)).remarks() == []


def test_a_source_that_gives_nothing_is_refused(data: Path) -> None:
    with pytest.raises(BadCommand, match="mnist gives no sample"):
        gather(a_recipe({"name": "mnist"}), data, 0)


def test_a_digest_tells_one_changed_pixel(digits: Inks) -> None:
    changed = [image.copy() for image in digits.images]
    changed[5][14, 14] ^= 1
    other = Inks(digits.source, changed, digits.labels, digits.groups)
    assert digits.digest() == digits.take(range(len(digits))).digest() != other.digest()


# --- the ink of one image ------------------------------------------------------------------------------

INKS = any_array(np.uint8, st.tuples(st.integers(3, 12), st.integers(3, 12))).map(lambda a: framed(a))


def framed(core: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`core` within a margin of paper that outweighs it, at least one pixel of it full ink."""
    ink = np.pad(core, 2)
    ink[3, 3] = 255
    return ink


def opaque(ink: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(255 - ink).convert("RGBA")


def black_on_nothing(ink: NDArray[np.uint8]) -> Image.Image:
    image = Image.new("RGBA", ink.shape[::-1])
    image.putalpha(Image.fromarray(ink))
    return image


def white_on_nothing(ink: NDArray[np.uint8]) -> Image.Image:
    image = Image.new("LA", ink.shape[::-1], (255, 0))
    image.putalpha(Image.fromarray(ink))
    return image


def deep(ink: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray((255 - ink).astype(np.uint16) * 257)


CONTAINERS: dict[str, Callable[[NDArray[np.uint8]], Image.Image]] = {
    "dark on light": lambda ink: Image.fromarray(255 - ink),
    "light on dark": Image.fromarray,
    "RGB": lambda ink: Image.fromarray(255 - ink).convert("RGB"),
    "opaque RGBA": opaque,
    "black, ink in the alpha channel": black_on_nothing,
    "white, ink in the alpha channel": white_on_nothing,
    "16 bit": deep,
    "palette": lambda ink: Image.fromarray(255 - ink).convert("P"),
}


@pytest.mark.parametrize("container", CONTAINERS)
@given(ink=INKS)
@settings(max_examples=40, deadline=None)
def test_the_ink_is_the_same_in_whatever_container(container: str, ink: NDArray[np.uint8]) -> None:
    image = CONTAINERS[container](ink)
    np.testing.assert_array_equal(ink_of(to_gray(to_pixels(image))), ink)


@given(INKS, st.integers(0, 100), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_colour_of_the_paper_does_not_matter(ink: NDArray[np.uint8], paper: int, dark: bool) -> None:
    faint = (ink * 0.6).astype(np.uint8)
    gray = 255 - paper - faint if dark else paper + faint
    np.testing.assert_array_equal(ink_of(gray.astype(np.uint8)), faint)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".gif", ".jpg"])
def test_every_image_format_is_read_from_its_file(tmp_path: Path, digits: Inks, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    # WebP takes the one, JPEG the other; the rest know neither.
    Image.fromarray(255 - digits.images[0]).save(file, lossless=True, quality=95)
    assert np.abs(read_ink(file).astype(int) - digits.images[0]).max() <= (40 if suffix == ".jpg" else 0)


def test_a_photograph_of_one_digit_is_shrunk(tmp_path: Path, digits: Inks) -> None:
    large = np.kron(digits.images[0], np.ones((30, 30), np.uint8))
    Image.fromarray(255 - large).save(tmp_path / "a.png")
    ink = read_ink(tmp_path / "a.png")
    assert ink.shape == (LONGEST, LONGEST)
    assert likeness(normalise(ink), normalise(digits.images[0])) > 0.95


def test_an_image_of_too_many_pixels_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    Image.new("1", (9000, 9000)).save(file)
    assert file.stat().st_size < 100_000
    with pytest.raises(BadScan, match="megapixels"):
        read_ink(file)


def test_a_blank_image_holds_no_ink(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 200).save(tmp_path / "a.png")
    with pytest.raises(BadScan, match="no ink"):
        read_ink(tmp_path / "a.png")


# --- folders by digit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True])
def test_folders_by_digit_are_read_plain_and_as_the_seed_has_them(
    tmp_path: Path, digits: Inks, nested: bool
) -> None:
    write_digit_folders(tmp_path / "mine", digits, nested=nested)
    (tmp_path / "mine" / "3" / ".hidden.png").write_text("no image")
    (tmp_path / "mine" / "3" / "Thumbs.db").write_text("no image")
    corpus = corpus_of("digit-folders", tmp_path / "mine", validation=0, licence="my own hand")
    (pool,) = corpus.pools
    order = np.argsort(digits.labels, kind="stable")
    assert (pool.inks.labels == np.sort(digits.labels)).all()
    for image, index in zip(pool.inks.images, order, strict=True):
        np.testing.assert_array_equal(image, digits.images[index])
    assert (pool.licence, corpus.skipped, corpus.notices) == ("my own hand", (), ())


def test_a_source_without_a_licence_says_so(tmp_path: Path, digits: Inks) -> None:
    write_digit_folders(tmp_path / "mine", digits)
    (pool,) = corpus_of("digit-folders", tmp_path / "mine").pools
    assert pool.licence == "not stated"
    assert pool.inks.source == str(tmp_path / "mine")


def test_one_unreadable_image_is_named_skipped_and_counted(tmp_path: Path, digits: Inks) -> None:
    write_digit_folders(tmp_path / "mine", digits)
    (tmp_path / "mine" / "3" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nshort")
    (tmp_path / "mine" / "4" / "1.png").write_text("a letter")
    corpus = corpus_of("digit-folders", tmp_path / "mine", name="mine", validation=0)
    assert len(corpus.pools[0].inks) == 98
    assert len(corpus.pools[0].skipped) == 2
    first, second = corpus.skipped
    assert first.startswith("mine: 3/0.png is damaged")
    assert second.startswith("mine: 4/1.png is not an image")


def test_a_folder_that_is_mostly_unreadable_is_refused_with_the_first_faults(
    tmp_path: Path, digits: Inks
) -> None:
    write_digit_folders(tmp_path / "mine", digits)
    broken = sorted((tmp_path / "mine").glob("[0-5]/*.png"))[:51]
    for file in broken:
        file.write_bytes(b"")
    found = refusal("digit-folders", tmp_path / "mine")
    assert "51 of 100 samples cannot be read: 0/0.png is empty" in found
    assert len(found) < 400


def test_missing_and_foreign_folders_are_told(tmp_path: Path, digits: Inks) -> None:
    write_digit_folders(tmp_path / "mine", digits)
    for file in (tmp_path / "mine" / "7").iterdir():
        file.unlink()
    (tmp_path / "mine" / "7").rename(tmp_path / "mine" / "letters")
    corpus = corpus_of("digit-folders", tmp_path / "mine", validation=0)
    missing, foreign = corpus.notices
    assert "no folder 7" in missing
    assert "letters" in foreign
    assert 7 not in corpus.pools[0].inks.labels


def test_a_folder_of_other_things_is_refused_with_what_it_has(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal("digit-folders", tmp_path / "gone")
    mine = tmp_path / "mine"
    mine.mkdir()
    assert "no folders; expected the folders 0 to 9" in refusal("digit-folders", mine)
    for name in ("a", "b"):
        (mine / name).mkdir()
    assert "has the folders a, b; expected the folders 0 to 9" in refusal("digit-folders", mine)
    (mine / "0").mkdir()
    assert "no image in its folders 0" in refusal("digit-folders", mine)
    (tmp_path / "file").touch()
    assert "is a file; expected a folder" in refusal("digit-folders", tmp_path / "file")


# --- tables of images ----------------------------------------------------------------------------------


def write_images(folder: Path, images: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")


@pytest.mark.parametrize(
    "head",
    [
        "",
        "image,label\n",
        "file_name,label\n",
        "filename;label\n",
        "path\tdigit\n",
        "Image , Label\n",
        ",image,label\n",
    ],
)
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_table_of_images_is_read_with_any_usual_head(
    tmp_path: Path, digits: Inks, head: str, bom: str
) -> None:
    write_images(tmp_path / "img", digits.images[:20])
    delimiter = next((sign for sign in ";\t" if sign in head), ",")
    first = ["0"] if head.startswith(",") else []
    rows = [delimiter.join([*first, f"img/{i}.png", str(digits.labels[i])]) for i in range(20)]
    (tmp_path / "a.csv").write_text(bom + head + "\r\n".join(rows) + "\n\n", "utf-8", newline="")
    (pool,) = corpus_of("image-list", tmp_path / "a.csv", validation=0).pools
    np.testing.assert_array_equal(pool.inks.labels, digits.labels[:20])
    np.testing.assert_array_equal(pool.inks.images[7], digits.images[7])


def test_faulty_rows_of_a_table_are_named_and_skipped(tmp_path: Path, digits: Inks) -> None:
    write_images(tmp_path, digits.images[:9])
    rows = [(f"{i}.png", digits.labels[i]) for i in range(9)]
    rows += [("gone.png", 3), ("0.png", 12), ("", 4), ("1.png", ""), (r"..\out.png", 1), ("8.png", "none")]
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "label"), *rows])
    corpus = corpus_of("image-list", tmp_path / "a.csv", name="mine", validation=0)
    assert corpus.pools[0].inks.labels.tolist() == [*digits.labels[:9], NONE]
    assert len(corpus.skipped) == 5
    assert "mine: a.csv, row 12: the label '12'; expected 0 to 9 or none" in corpus.skipped
    assert "mine: gone.png cannot be read: No such file or directory" in corpus.skipped


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "is empty"),
        (b"image,label\n", "lists no image"),
        (b"a,b\n1,2\n", "expected the columns image,label"),
        (b"image,label\na.png,12\n", "the label '12'"),
        (b"image,label\na.png,3\n", "a.png cannot be read"),
        (b"\xff\xfe\0a", "no UTF-8"),
        (b'image,label\n"a.png,3\n', "no CSV"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    with pytest.raises(BadCommand, match=named):
        corpus_of("image-list", file)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read" in refusal("image-list", tmp_path / "gone.csv")


# --- trees of non-digits -------------------------------------------------------------------------------


def test_a_tree_of_non_digits_is_read_whole(tmp_path: Path, digits: Inks) -> None:
    write_images(tmp_path / "marks" / "ticks", digits.images[:10])
    write_images(tmp_path / "marks" / "more" / "stamps", digits.images[10:20])
    corpus = corpus_of("non-digits", tmp_path / "marks")
    assert (len(corpus.pools[0].inks), len(corpus.validation[0])) == (18, 2)
    assert set(corpus.pools[0].inks.labels) | set(corpus.validation[0].labels) == {NONE}
    (tmp_path / "empty").mkdir()
    assert "has no image" in refusal("non-digits", tmp_path / "empty")
    assert "cannot be listed" in refusal("non-digits", tmp_path / "gone")


# --- npz -----------------------------------------------------------------------------------------------


def write_npz(file: Path, digits: Inks, *, writers: bool = True, **more: Any) -> Path:
    named = {"writers": digits.groups} if writers else {}
    arrays = {"images": np.stack(list(digits.images)), "labels": digits.labels, **named, **more}
    np.savez_compressed(file, **arrays)
    return file


def test_an_npz_gives_its_images_labels_and_writers(tmp_path: Path, digits: Inks) -> None:
    names = np.array([f"writer {group % 20:02}" for group in digits.groups])
    file = write_npz(tmp_path / "a.npz", digits, writers=False, groups=names)
    corpus = corpus_of("npz", file)
    (pool,), (kept,) = corpus.pools, corpus.validation
    assert len(pool.inks) + len(kept) == 100
    assert not set(pool.inks.groups) & set(kept.groups)
    assert len(set(pool.inks.groups)) + len(set(kept.groups)) == len(set(names.tolist()))
    whole = read_source(a_recipe({"kind": "npz", "path": file}).source[0], tmp_path).inks
    np.testing.assert_array_equal(whole.images[9], digits.images[9])


def test_an_npz_of_dark_ink_on_white_is_turned(tmp_path: Path, digits: Inks) -> None:
    light = Inks("light", [255 - image for image in digits.images], digits.labels, digits.groups)
    (pool,) = corpus_of("npz", write_npz(tmp_path / "a.npz", light), validation=0).pools
    np.testing.assert_array_equal(pool.inks.images[4], digits.images[4])


def test_the_number_of_a_file_is_not_taken_for_its_writer(tmp_path: Path, digits: Inks) -> None:
    """The seed's set numbers its copies: a split by that number would leak."""
    twice = [image for image in digits.images for _ in range(2)]
    inks = Inks("twice", twice, np.repeat(digits.labels, 2), np.arange(200))
    file = write_npz(tmp_path / "a.npz", inks, writers=False, number=np.arange(200))
    corpus = corpus_of("npz", file)
    kept = {image.tobytes() for image in corpus.validation[0].images}
    assert kept
    assert not kept & {image.tobytes() for image in corpus.pools[0].inks.images}


IMAGES, LABELS = np.zeros((4, 5, 5), np.uint8), np.arange(4)


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"images": IMAGES}, "holds images; there is no array 'labels'"),
        ({"other": IMAGES}, "holds none of the arrays images, labels; there is no array 'images'"),
        ({"images": IMAGES.astype(float), "labels": LABELS}, "4×5×5 float64; expected N×h×w uint8"),
        ({"images": IMAGES[0], "labels": LABELS}, "5×5 uint8"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "0×5×5"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "expected 4 whole numbers"),
        ({"images": IMAGES, "labels": LABELS / 2}, "labels are float64"),
        ({"images": IMAGES, "labels": LABELS + 9}, "2 labels are no digit, as 11"),
        ({"images": IMAGES, "labels": LABELS, "groups": LABELS[:2]}, "groups of shape"),
        ({"images": np.array([{}, None]), "labels": LABELS}, "pickled objects"),
        ({"images": IMAGES, "labels": np.array([3, "x", 2, 1], object)}, "pickled objects"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused_with_what_it_holds(
    tmp_path: Path, arrays: dict[str, Any], named: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert named in refusal("npz", tmp_path / "a.npz")


def test_an_npz_that_claims_more_than_it_holds_is_not_unpacked(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (999999999999, 28, 28), }\n"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("images.npy", "labels.npy"):
            archive.writestr(name, b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    assert "said to be 999999999999×28×28" in refusal("npz", tmp_path / "a.npz")


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_damaged_npz_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("npz")
    np.savez_compressed(folder / "whole.npz", images=IMAGES + 3, labels=LABELS, groups=LABELS)
    content = bytearray((folder / "whole.npz").read_bytes())
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, len(content) - 1))] ^= draw.draw(st.integers(1, 255))
    (folder / "a.npz").write_bytes(content[: draw.draw(st.integers(0, len(content)))])
    source = Source(name="a", kind="npz", path=folder / "a.npz", share=1)
    found = read_or_refused(lambda: read_source(source, folder), "a.npz")
    assert found is None or len(found.inks) <= 4


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), b"no archive", None])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.npz").write_bytes(content)
    assert refusal("npz", tmp_path / "a.npz")


# --- idx -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_idx_pair_is_read_with_its_writers_where_they_are(data: Path, digits: Inks, part: str) -> None:
    source = Source(name="mine", kind="idx", path=data / "mnist", part=part, share=1)
    found = read_source(source, data)
    assert found.grouped
    np.testing.assert_array_equal(found.inks.groups, digits.groups)
    np.testing.assert_array_equal(found.inks.images[5], digits.images[5])


def test_an_idx_pair_may_be_unzipped_and_without_writers(tmp_path: Path, digits: Inks) -> None:
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(np.stack(list(digits.images))))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(digits.labels.astype(np.uint8)))
    corpus = corpus_of("idx", tmp_path)
    assert len(corpus.pools[0].inks) + len(corpus.validation[0]) == 100
    assert "no t10k-images-idx3-ubyte.gz, zipped or not" in refusal("idx", tmp_path, part="test")


def test_an_idx_pair_of_two_lengths_is_refused(data: Path) -> None:
    write_idx(data / "mnist" / "train-labels-idx1-ubyte.gz", np.zeros(7, np.uint8))
    assert "expected 100 whole numbers" in refusal("idx", data / "mnist")


# --- strips with boxes ---------------------------------------------------------------------------------


def test_strips_of_ones_own_are_cut_by_their_boxes_and_split_by_strip(tmp_path: Path, digits: Inks) -> None:
    write_strips(tmp_path / "strips", digits, 20)
    (tmp_path / "strips" / "images" / "4.png").unlink()
    corpus = corpus_of("coco-strips", tmp_path / "strips", name="mine", validation=0.2)
    (pool,), (kept,) = corpus.pools, corpus.validation
    assert len(pool.inks) + len(kept) == 2 * 19
    assert len(kept) == 2 * 4
    assert not set(pool.inks.groups) & set(kept.groups)
    assert set(pool.inks.labels) == {3, 7}
    (fault,) = corpus.skipped
    assert fault.startswith("mine: images/4.png cannot be read")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"categories": None}, "no such table"),
        ({"categories": [{"id": 1, "name": "tick"}]}, "marks no digit"),
        ({"annotations": []}, "marks no digit"),
        ({"images": []}, "has no 0"),
        ({"annotations": [{"image_id": 0, "category_id": 3, "bbox": [1, 2, 3]}]}, "no such table"),
        ({"annotations": [{"image_id": 0, "category_id": 3, "bbox": [1, 2, 3, float("inf")]}]}, "no such"),
        ({"annotations": [{"image_id": 0}]}, "has no 'category_id'"),
    ],
)
def test_boxes_that_are_not_cocos_are_refused(
    tmp_path: Path, digits: Inks, change: dict[str, Any], named: str
) -> None:
    folder = tmp_path / "strips"
    write_strips(folder, digits, 2)
    content = json.loads((folder / "annotations.json").read_text())
    (folder / "annotations.json").write_text(json.dumps({**content, **change}))
    assert named in refusal("coco-strips", folder)


@pytest.mark.parametrize(
    "box",
    [[5, 5, -4, 20], [5, 5, 0, 20], [5, 5, 10, -1], [5000, 5, 10, 20], [5, 5000, 10, 20], [-50, 5, 20, 20]],
)
def test_boxes_that_hold_nothing_of_their_strip_are_named_and_skipped(
    tmp_path: Path, digits: Inks, box: list[int]
) -> None:
    folder = tmp_path / "strips"
    write_strips(folder, digits, 6)
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"][0]["bbox"] = box
    (folder / "annotations.json").write_text(json.dumps(content))
    corpus = corpus_of("coco-strips", folder, name="mine", validation=0)
    assert len(corpus.pools[0].inks) == 2 * 6 - 1
    (fault,) = corpus.skipped
    assert f"the box {', '.join(map(str, box))} of a" in fault
    for annotation in content["annotations"]:
        annotation["bbox"] = box
    (folder / "annotations.json").write_text(json.dumps(content))
    assert "12 of 12 samples cannot be read" in refusal("coco-strips", folder)


@pytest.mark.parametrize(
    "name", ["../a.png", "/a.png", "in/../../a.png", "..\\a.png", "C:\\a.png", "", "a\0.png", "\ud800"]
)
def test_strips_are_read_from_their_folder_alone(tmp_path: Path, digits: Inks, name: str) -> None:
    folder = tmp_path / "strips"
    write_strips(folder, digits, 2)
    shutil.copy(next((folder / "images").iterdir()), folder / "a.png")
    content = json.loads((folder / "annotations.json").read_text())
    content["images"][0]["file_name"] = name
    (folder / "annotations.json").write_text(json.dumps(content))
    assert "no such table" in refusal("coco-strips", folder)


def test_a_name_with_a_null_byte_in_a_table_is_skipped_by_its_row(tmp_path: Path, digits: Inks) -> None:
    write_images(tmp_path, list(digits.images[:4]))
    names = sorted(file.name for file in tmp_path.glob("*.png"))
    rows = "\n".join(f"{name},3" for name in names)
    (tmp_path / "table.csv").write_text(f"image,label\n{rows}\na\0b.png,3\n")
    corpus = corpus_of("image-list", tmp_path / "table.csv", name="mine", validation=0)
    assert len(corpus.pools[0].inks) == 4
    assert corpus.skipped == (r"mine: table.csv, row 6: 'a\x00b.png' is the name of no file",)
    with pytest.raises(BadScan, match="cannot be read"):
        read_ink(tmp_path / "a\0b.png")


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', "[" * 100_000])
def test_annotations_that_are_no_table_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "annotations.json").write_text(content)
    assert "expected COCO's images, categories" in refusal("coco-strips", tmp_path)


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    assert "annotations.json cannot be read" in refusal("coco-strips", tmp_path)
    assert "cannot be listed" in refusal("coco-strips", tmp_path / "gone")


# --- sources out of the project's own work -------------------------------------------------------------


def write_truth(folder: Path, digits: Inks, count: int) -> None:
    """Strips of a 3 and a 7 with the table of their numbers; the boxes are of no use to them."""
    write_strips(folder, digits, count)
    for file in (folder / "images").iterdir():
        file.rename(folder / file.name)
    rows = [f"{number}.png,37" for number in range(count)]
    (folder / "truth.csv").write_text("\n".join(["file,digits", *rows, "gone.png,12"]))


def test_digits_are_aligned_to_typed_numbers_by_the_model_in_use(home: Path, digits: Inks) -> None:
    write_truth(home / "strips", digits, 6)
    recipe = a_recipe({"kind": "digit-strips", "path": home / "strips", "name": "forms", "validation": 0.5})
    corpus = gather(recipe, home, settings=load())
    (pool,), (kept,) = corpus.pools, corpus.validation
    assert (pool.inks.labels != NONE).sum() == (kept.labels != NONE).sum() == 6
    assert set(pool.inks.labels) >= {3, 7}
    assert pool.inks.source == "forms"
    assert any("gone.png" in fault for fault in corpus.skipped)
    with pytest.raises(BadCommand, match="settings of a project"):
        gather(recipe, home)


def test_corrections_may_be_named_before_there_are_any(home: Path, data: Path) -> None:
    corrections = {"kind": "corrections", "share": 3}
    corpus = gather(a_recipe({"name": "mnist"}, corrections), data, settings=load())
    assert [pool.inks.source for pool in corpus.pools] == ["mnist-train"]
    assert corpus.notices == ("corrections: there are none yet; the source is left out.",)
    (home / "results").mkdir()
    open_database(load().database_url).dispose()
    assert len(gather(a_recipe({"name": "mnist"}, corrections), data, settings=load()).pools) == 1
    with pytest.raises(BadCommand, match="corrections gives no sample"):
        gather(a_recipe(corrections), data, settings=load())


# --- non-digits that are made ----------------------------------------------------------------------------


def test_letters_are_drawn_in_the_fonts_of_a_folder(tmp_path: Path) -> None:
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    for name in ("DejaVuSans.ttf", "DejaVuSerif.ttf", "STIXGeneral.ttf", "cmr10.ttf", "DejaVuSansMono.ttf"):
        shutil.copy(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, fonts)
    (fonts / "broken.ttf").write_bytes(b"no font")
    corpus = corpus_of("letters", fonts, samples=40, validation=0.2)
    (pool,), (kept,) = corpus.pools, corpus.validation
    assert len(pool.inks) + len(kept) == 40
    assert set(pool.inks.labels) | set(kept.labels) == {NONE}
    assert not set(pool.inks.groups) & set(kept.groups)
    assert "broken.ttf" in corpus.skipped[0]
    again = corpus_of("letters", fonts, samples=40, validation=0.2)
    assert again.pools[0].inks.digest() == pool.inks.digest()
    assert "cannot be listed" in refusal("letters", tmp_path / "gone")


def test_rulings_are_drawn_or_cut_out_of_pages(tmp_path: Path) -> None:
    drawn = gather(a_recipe({"kind": "rulings", "samples": 30, "validation": 0}), tmp_path).pools[0].inks
    assert (len(drawn), set(drawn.labels)) == (30, {NONE})
    page = np.full((700, 500), 250, np.uint8)
    page[80:660:60, 30:470] = 30
    page[80:661, 30:470:110] = 30
    write_images(tmp_path / "forms", [page])
    (tmp_path / "forms" / "gone.png").write_bytes(b"")
    corpus = corpus_of("rulings", tmp_path / "forms", samples=30, validation=0)
    assert set(corpus.pools[0].inks.labels) == {NONE}
    assert corpus.pools[0].inks.digest() != drawn.digest()
    assert "gone.png is empty" in corpus.skipped[0]
    assert "cannot be listed" in refusal("rulings", tmp_path / "gone")
    (tmp_path / "none").mkdir()
    assert "expected a folder of page images" in refusal("rulings", tmp_path / "none")
