"""The second reader: the same strip gets the same reading in any company, and a damaged file is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from processor.errors import BadModel
from processor.prediction.ctc import ALPHABET
from processor.prediction.manifests import MANIFEST
from processor.prediction.strip_networks import PITCH, StripNetwork, build
from processor.prediction.strip_reader import (
    BUCKET,
    COLUMNS,
    STRIPS,
    StripReader,
    bucket,
    network_of,
    padded,
    to_bytes,
    together,
)
from processor.prediction.strips import HEIGHT, PLANES, WIDEST, Strip
from tests.model_folders import add_published
from training.publish import entry

SMALL = {"widths": [8, 8, 16, 16]}
NOWHERE = Path("strips.safetensors")


def network() -> StripNetwork:
    """A small network whose batch norms have seen data."""
    torch.manual_seed(4)
    made = build("strip-ctc", SMALL)
    for _ in range(3):
        made(torch.rand(4, PLANES, HEIGHT, 96))
    return made.eval()


def strips(count: int, seed: int = 0) -> list[Strip]:
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 260, count)
    return [
        Strip(rng.integers(0, 256, (PLANES, HEIGHT, int(width)), np.uint8), 10.0, 0.5) for width in widths
    ]


@pytest.fixture(scope="module")
def content() -> bytes:
    return to_bytes(network(), 1.3)


def test_a_strip_reads_the_same_in_any_company(content: bytes) -> None:
    reader = StripReader.from_bytes(content, NOWHERE)
    many = strips(4 * COLUMNS // BUCKET)
    forwards = reader.read(many)
    backwards = reader.read(many[::-1])[::-1]
    for strip, one, other in zip(many, forwards, backwards, strict=True):
        alone = reader.read([strip])[0]
        assert alone.columns.tobytes() == one.columns.tobytes() == other.columns.tobytes()
        assert (alone.text, alone.log_probability) == (one.text, one.log_probability)


def test_a_pass_is_as_many_strips_as_fit_and_the_widest_alone() -> None:
    for width in range(BUCKET, 2 * WIDEST, BUCKET):
        assert together(width) == 1 or together(width) * width <= COLUMNS
        assert (together(width) + 1) * width > COLUMNS
    assert together(BUCKET) > together(2 * BUCKET) > together(4 * BUCKET) > together(bucket(WIDEST)) == 1


def test_no_strips_give_no_readings(content: bytes) -> None:
    assert StripReader.from_bytes(content, NOWHERE).read([]) == []


def test_a_reading_is_whole(content: bytes) -> None:
    for strip, reading in zip(
        strips(12), StripReader.from_bytes(content, NOWHERE).read(strips(12)), strict=True
    ):
        assert reading.columns.shape == (-(-strip.width // PITCH), 11)
        assert len(reading.digits) == len(reading.confidences) == len(reading.places)
        assert "".join(c for c in reading.text if c.isdigit()) == reading.digits
        assert 0 <= reading.confidence <= 1
        assert reading.score(reading.digits) == pytest.approx(reading.log_probability, abs=1e-6)
        assert all(reading.score(d) <= 0 for d, _ in reading.others)
        for x0, x1 in reading.places:
            assert strip.left <= x0 < x1 <= strip.page_x(strip.width + PITCH)


def test_a_temperature_makes_it_less_sure_of_the_same_columns() -> None:
    cold, warm = (StripReader(network(), t).columns([s.pixels for s in strips(3)]) for t in (1.0, 3.0))
    for sharp, soft in zip(cold, warm, strict=True):
        np.testing.assert_array_equal(sharp.argmax(axis=1), soft.argmax(axis=1))
        assert soft.max(axis=1).mean() < sharp.max(axis=1).mean()


def test_folding_the_batch_norms_changes_no_score() -> None:
    pixels = [strip.pixels for strip in strips(1)]
    width = bucket(pixels[0].shape[2])
    with torch.inference_mode():
        plain = network()(padded(pixels, width)).log_softmax(dim=2)[0].numpy()
    read = StripReader(network()).columns(pixels)[0]
    np.testing.assert_allclose(read, plain[: len(read)], atol=1e-3)


@pytest.mark.parametrize(
    "shape", [(1, HEIGHT, 20), (PLANES, HEIGHT + 1, 20), (HEIGHT, 20), (PLANES, HEIGHT, 99)]
)
def test_what_is_no_strip_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a strip has shape"):
        padded([np.zeros(shape, np.uint8)], 96)


def test_a_published_model_reads_strips(tmp_path: Path, content: bytes) -> None:
    folder = with_strips(tmp_path, content)
    mine, theirs = StripReader.load(folder), StripReader.from_bytes(content, NOWHERE)
    assert [r.text for r in mine.read(strips(4))] == [r.text for r in theirs.read(strips(4))]


def test_a_model_that_reads_digits_only_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="it reads digits, not strips"):
        StripReader.load(add_published(tmp_path, "old"))


def test_a_changed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = with_strips(tmp_path, content)
    (folder / STRIPS).chmod(0o600)
    (folder / STRIPS).write_bytes(content[:-4] + b"\0\0\0\1")
    with pytest.raises(BadModel, match=r"strips\.safetensors has sha256"):
        StripReader.load(folder)


def with_strips(models: Path, content: bytes) -> Path:
    folder = add_published(models, "new")
    folder.chmod(0o700)
    (folder / STRIPS).write_bytes(content)
    file = folder / MANIFEST
    file.chmod(0o600)
    manifest = json.loads(file.read_text())
    manifest["weights"].append(entry(STRIPS, content))
    file.write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("parameters", "temperature", "message"),
    [
        ({"widths": [8, 8, 16, 32]}, 1.0, "does not fit its architecture"),
        ({"widths": [8, 8]}, 1.0, "refuses the parameters"),
        ({"depth": 3}, 1.0, "refuses the parameters"),
        (SMALL, 1e6, "made for other strips"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    parameters: dict[str, object], temperature: float, message: str
) -> None:
    made = network()
    made.built_from = parameters
    with pytest.raises(BadModel, match=message):
        StripReader.from_bytes(to_bytes(made, temperature), NOWHERE)


@pytest.mark.parametrize("damage", [b"", b"\0" * 8, b"no safetensors at all", b"\xff" * 64])
def test_a_file_without_a_head_is_refused(damage: bytes) -> None:
    with pytest.raises(BadModel, match="has no head of a strips' reader"):
        StripReader.from_bytes(damage, NOWHERE)


def test_a_file_cut_short_is_refused(content: bytes) -> None:
    with pytest.raises(BadModel, match="does not fit"):
        StripReader.from_bytes(content[:-100], NOWHERE)


def test_another_alphabet_is_refused(content: bytes) -> None:
    head = f'"alphabet\\\\": \\\\"{ALPHABET}'.encode().decode("unicode_escape").encode()
    assert head in content
    with pytest.raises(BadModel, match="made for other strips"):
        StripReader.from_bytes(content.replace(head, head[:-1] + b"+"), NOWHERE)


def test_weights_that_are_no_numbers_are_refused() -> None:
    broken = network()
    with torch.no_grad():
        broken.head.weight[0, 0] = float("nan")
    with pytest.raises(BadModel, match="no numbers"):
        StripReader.from_bytes(to_bytes(broken, 1.0), NOWHERE)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(BadModel, match="'transformer' of the strips' reader is unknown"):
        build("transformer", {})


def test_what_was_written_can_be_trained_on(content: bytes) -> None:
    again = network_of(content, NOWHERE)
    assert again.training
    assert again.built_from["widths"] == SMALL["widths"]
    assert all(
        torch.equal(again.state_dict()[name], tensor) for name, tensor in network().state_dict().items()
    )
