"""The seed's data set: from somebody's zip of pictures to the arrays that training reads."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests import bad_server
from training.downloads.catalogue import CATALOGUE, DataSet
from training.downloads.faults import NotFetched, WrongContent
from training.downloads.fetch import Fetcher, Published
from training.downloads.seed import DigitPictures, content_digest

PER_DIGIT = 3
LABELS = np.repeat(np.arange(10, dtype=np.uint8), PER_DIGIT)
NUMBERS = np.tile(np.arange(PER_DIGIT, dtype=np.int32), 10)
IMAGES = np.random.default_rng(3).integers(0, 256, (10 * PER_DIGIT, 28, 28), np.uint8)
SET = DigitPictures(content_digest(IMAGES, LABELS, NUMBERS), len(IMAGES))


def picture(ink: NDArray[np.uint8], mode: str = "RGBA") -> bytes:
    """A PNG whose ink is what is not transparent, as a browser's canvas saves it."""
    pixels = np.zeros((*ink.shape, 4), np.uint8)
    pixels[..., 3] = ink
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "png")
    return file.getvalue()


PICTURES = {
    (int(label), int(number)): picture(ink)
    for ink, label, number in zip(IMAGES, LABELS, NUMBERS, strict=True)
}


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def published(pattern: str = "dataset/{digit}/{digit}/{number}.png") -> list[tuple[str, bytes]]:
    return [(pattern.format(digit=d, number=n), content) for (d, n), content in PICTURES.items()]


def packed(**arrays: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


ZIP = zipped(published())
NPZ = packed(images=IMAGES, labels=LABELS, number=NUMBERS)


@pytest.mark.parametrize(
    "members",
    [
        published(),
        published("{digit}/{number}.png"),
        published("some where/below/{digit}/{number}.png"),
        published()[::-1],
        [
            *published(),
            ("__MACOSX/dataset/1/1/._0.png", b"note"),
            ("dataset/README.txt", b"text"),
            ("d/", b""),
        ],
        [*published(), *published("again/{digit}/{number}.png")],
        published("../../{digit}/{number}.png"),
        published("/{digit}/{number}.png"),
    ],
    ids=["published", "flat", "deep", "backwards", "with a Mac's notes", "twice", "climbing", "absolute"],
)
def test_every_layout_of_the_pictures_gives_the_same_arrays(members: list[tuple[str, bytes]]) -> None:
    assert SET.accept(zipped(members)) == NPZ


def test_the_arrays_are_what_training_reads(tmp_path: Path) -> None:
    (tmp_path / "digits.npz").write_bytes(SET.accept(ZIP))
    with np.load(tmp_path / "digits.npz") as data:
        assert np.array_equal(data["images"], IMAGES)
        assert np.array_equal(data["labels"], LABELS)
        assert np.array_equal(data["number"], NUMBERS)
        assert [data[name].dtype for name in ("images", "labels", "number")] == [np.uint8, np.uint8, np.int32]


def test_accepting_is_idempotent_and_undoes_gzip() -> None:
    assert SET.accept(NPZ) == NPZ
    assert SET.accept(gzip.compress(ZIP)) == NPZ
    assert SET.accept(gzip.compress(NPZ)) == NPZ


def changed(key: tuple[int, int], content: bytes) -> bytes:
    name = f"dataset/{key[0]}/{key[0]}/{key[1]}.png"
    return zipped((each, content if each == name else before) for each, before in published())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty and is no whole zip"),
        (b"<!DOCTYPE html><p>Sign in", "web page"),
        (ZIP[: len(ZIP) // 2], "no whole zip file"),
        (ZIP[len(ZIP) // 2 :], "no whole zip file|is damaged"),
        (zipped([]), "it has 0 pictures of digits; the data set has 30"),
        (zipped(published()[1:]), "it has 29 pictures of digits; the data set has 30"),
        (zipped([*published(), ("1/99.png", PICTURES[1, 0])]), "more pictures of digits than the 30"),
        (zipped([*published(), ("x/1/0.png", PICTURES[1, 1])]), "two different pictures 1/0.png"),
        (zipped(published("{digit}_{number}.png")), "it has 0 pictures"),
        (changed((4, 1), PICTURES[4, 0]), "its digits are others"),
        (changed((4, 1), picture(IMAGES[0], "L")), "its digits are others"),
        (changed((4, 1), picture(IMAGES[0][:27])), "dataset/4/4/1.png has 28 × 27 pixels"),
        (changed((4, 1), picture(np.zeros((9000, 9000), np.uint8))), "claims to unpack|9000 × 9000"),
        (changed((4, 1), PICTURES[4, 1][:60]), "dataset/4/4/1.png is damaged"),
        (changed((4, 1), b"GIF89a"), "dataset/4/4/1.png is damaged"),
        (changed((4, 1), bytes(1 << 20)), r"dataset/4/4/1.png claims to unpack to 1,048,576 bytes"),
        (zipped((f"{n}", b"") for n in range(200)), "many more files in it than the 30"),
    ],
)
def test_what_is_not_the_data_set_is_named(data: bytes, said: str) -> None:
    with pytest.raises(WrongContent, match=said):
        SET.accept(data)


def test_an_encrypted_zip_is_named() -> None:
    # The flag of the first member, in its own header and in the directory at the end.
    data = bytearray(zipped(published()[:1]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(WrongContent, match="encrypted"):
        SET.accept(bytes(data))


def test_a_member_that_unpacks_to_more_than_it_says_is_refused() -> None:
    data = bytearray(zipped([("1/0.png", zlib.compress(b"") + bytes(60_000_000))]))
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (500).to_bytes(4, "little")
    with pytest.raises(WrongContent):
        SET.accept(bytes(data))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed(images=IMAGES), "no whole zip file .*labels"),
        (packed(images=IMAGES, labels=LABELS, number=NUMBERS[::-1]), "its digits are others"),
        (packed(images=IMAGES[::-1], labels=LABELS[::-1], number=NUMBERS[::-1]), "its digits are others"),
        (packed(images=IMAGES[:5], labels=LABELS, number=NUMBERS), "pictures of digits"),
        (packed(images=IMAGES[:5], labels=LABELS[:5], number=NUMBERS[:5]), "it has 5 pictures"),
        (packed(images=IMAGES.reshape(30, 14, 56), labels=LABELS, number=NUMBERS), r"not \(30, 28, 28\)"),
        (packed(images=IMAGES.reshape(-1), labels=LABELS, number=NUMBERS), "is an array"),
        (packed(images=IMAGES / 255, labels=LABELS, number=NUMBERS), "is an array .* of float64"),
        (packed(images=np.array([{}], object), labels=LABELS, number=NUMBERS), "no whole zip file"),
        (zipped([("images.npy", b"\x93NUMPY\x01\x00v\x00{'descr'")]), "no whole zip file"),
    ],
)
def test_other_arrays_are_named(data: bytes, said: str) -> None:
    with pytest.raises(WrongContent, match=said):
        SET.accept(data)


def test_a_header_that_promises_more_than_memory_is_refused() -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999,28,28), }"
    lie = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(WrongContent):
        SET.accept(zipped([("images.npy", lie)]))


@settings(max_examples=150, deadline=None)
@given(
    data=st.sampled_from([ZIP, NPZ]),
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_a_damaged_file_is_refused_or_harmless(data: bytes, places: list[tuple[int, int]]) -> None:
    """A flipped bit may hit a date or a comment; whatever is accepted holds the very same digits."""
    damaged = bytearray(data)
    for place, change in places:
        damaged[place % len(damaged)] ^= change
    try:
        kept = SET.accept(bytes(damaged))
    except WrongContent:
        return
    with np.load(io.BytesIO(kept)) as arrays:
        assert np.array_equal(arrays["images"], IMAGES)


# --- fetched ------------------------------------------------------------------------------------------


def seed(*addresses: str) -> Published:
    return Published(
        "jc-progjava/digits.npz",
        SET,
        addresses,
        "By hand: save it as {folder}/jc-progjava/dataset.zip",
        mirrored=("jc-progjava/digits.npz", "jc-progjava/dataset.zip"),
        saved=("jc-progjava/dataset.zip",),
    )


@pytest.mark.parametrize("make", [lambda data: bad_server.ranged(data), lambda data: bad_server.packed(data)])
def test_a_fetched_zip_is_converted_and_not_kept(
    tmp_path: Path, make: Callable[[bytes], bad_server.Answer]
) -> None:
    with bad_server.serving() as server:
        address = server.give("/zip", make(ZIP))
        assert Fetcher(tmp_path).fetch(seed(address)).bytes == len(NPZ)
        assert Fetcher(tmp_path).fetch(seed(address)).state == "present"
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")] == ["jc-progjava/digits.npz"]
    assert (tmp_path / "jc-progjava" / "digits.npz").read_bytes() == NPZ


def test_a_mirror_has_the_arrays_or_the_zip(tmp_path: Path) -> None:
    with bad_server.serving() as server:
        server.give("/copy/jc-progjava/dataset.zip", bad_server.whole(ZIP))
        file = seed("https://nowhere.invalid/").from_mirror(f"{server.url}/copy")
        Fetcher(tmp_path / "a").fetch(file)
        server.give("/copy/jc-progjava/digits.npz", bad_server.whole(NPZ))
        Fetcher(tmp_path / "b").fetch(file)
        asked = [path for path, _ in server.asked]
    assert asked == [
        "/copy/jc-progjava/digits.npz",
        "/copy/jc-progjava/dataset.zip",
        "/copy/jc-progjava/digits.npz",
    ]


def test_a_zip_that_a_person_saved_is_converted_without_a_network(tmp_path: Path) -> None:
    saved = tmp_path / "jc-progjava" / "dataset.zip"
    saved.parent.mkdir()
    saved.write_bytes(ZIP)
    fetched = Fetcher(tmp_path).fetch(seed())
    assert fetched.address == str(saved)
    assert fetched.path.read_bytes() == NPZ
    assert saved.read_bytes() == ZIP


def test_a_wrong_zip_that_a_person_saved_is_named_and_the_addresses_are_asked(tmp_path: Path) -> None:
    saved = tmp_path / "jc-progjava" / "dataset.zip"
    saved.parent.mkdir()
    saved.write_bytes(b"<html>Sign in</html>")
    with bad_server.serving() as server:
        with pytest.raises(NotFetched, match=r"dataset\.zip is not it: it is a web page") as failed:
            Fetcher(tmp_path).fetch(seed(server.url + "/none"))
        assert "answers 404" in failed.value.message
        heard: list[str] = []
        address = server.give("/zip", bad_server.whole(ZIP))
        assert Fetcher(tmp_path, say=heard.append).fetch(seed(address)).address == address
    assert "is not it" in heard[0]


def test_the_catalogue_lays_the_seed_out_where_training_looks(tmp_path: Path) -> None:
    (file,) = CATALOGUE[DataSet.SEED]
    assert isinstance(file.content, DigitPictures)
    assert file.content.count == 107_730
    target = tmp_path / file.file
    target.parent.mkdir(parents=True)
    target.write_bytes(NPZ)
    with pytest.raises(NotFetched, match="it has 30 pictures of digits; the data set has 107,730"):
        Fetcher(tmp_path).fetch(file)
