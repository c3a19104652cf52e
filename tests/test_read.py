"""`processor read`, whatever it is given to read."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from processor.commands.console import Words
from processor.commands.read import read
from processor.errors import BadCommand, Exit
from processor.records import Cause
from processor.settings import load
from tests.conftest import Call

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def page(home: Path) -> Path:
    path = home / "page.png"
    Image.fromarray(np.full((120, 220), 255, np.uint8)).save(path)
    return path


def read_as_json(capsys: pytest.CaptureFixture[str], *images: Path) -> tuple[Exit, list[dict[str, Any]]]:
    code = read(load(), images, as_json=True, save=None, words=Words())
    scans: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["scans"]
    return code, scans


def test_what_is_no_file_is_refused_and_the_others_are_read(
    home: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody writes to the pipe, and the device would never end."""
    os.mkfifo(home / "pipe.png")
    link = home / "link.png"
    link.symlink_to(page)
    code, scans = read_as_json(capsys, home / "pipe.png", Path("/dev/zero"), link, page)
    assert code == Exit.SOME_FAILED
    pipe, device, linked, plain = scans
    assert "cannot be read: It is no file (a pipe, socket or device)." in pipe["error"]
    assert "/dev/zero cannot be read" in device["error"]
    assert (linked["error"], plain["error"]) == (None, None)
    assert len(linked["pages"]) == len(plain["pages"]) == 1


def test_a_fault_of_the_program_on_one_image_does_not_stop_the_others(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that fails as no decoder should stands in for what nobody foresaw."""
    open_image, calls = Image.open, iter([True])

    def fail_once(*arguments: Any, **options: Any) -> Any:
        if next(calls, False):
            raise ZeroDivisionError("of a decoder")
        return open_image(*arguments, **options)

    monkeypatch.setattr(Image, "open", fail_once)
    code, scans = read_as_json(capsys, page, page)
    assert code == Exit.SOME_FAILED
    first, second = scans
    assert "ZeroDivisionError" in first["error"]
    assert "report it" in first["remedy"]
    assert second["error"] is None


@pytest.mark.parametrize("save", ["inbox", "inbox/pictures", "link/pictures"])
def test_pictures_are_not_saved_where_they_would_be_read(home: Path, page: Path, save: str) -> None:
    (home / "link").symlink_to("inbox")
    with pytest.raises(BadCommand, match="lies in the inbox"):
        read(load(), [page], as_json=True, save=Path(save), words=Words())
    assert list((home / "inbox").iterdir()) == []


def test_it_is_told_why_a_number_is_in_review_and_of_no_other(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = home / "table.png"
    with Image.open(EXAMPLES / "climate.tif") as scan:
        scan.crop((180, 390, scan.width - 180, 840)).save(table)
    (told,) = read_as_json(capsys, table)[1]
    numbers = [number for page in told["pages"] for number in page["numbers"]]
    assert {number["status"] for number in numbers} == {"accepted", "review"}
    for number in numbers:
        assert (number["reason"] is None) == (number["status"] == "accepted")
        assert number["reason"] is None or number["reason"].split(":")[0] in set(Cause)
    read(load(), [table], as_json=False, save=None, words=Words())
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"  \d+\. ", line)]
    assert len(lines) == len(numbers)
    for line, number in zip(lines, numbers, strict=True):
        assert line.endswith(
            f"  review  {number['reason']}" if number["reason"] else f"{number['confidence']:.4f}"
        )


@pytest.fixture(scope="session")
def digits() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Handwritten digits, (N, 28, 28) uint8, ink high."""
    with np.load(Path(__file__).with_name("data") / "mnist-sample.npz") as sample:
        images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = sample["images"]
    return images


def test_read_prints_digits_scores_and_rejections(
    call: Call, home: Path, digits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    page = np.full((120, 220), 255, np.uint8)
    for place, image in enumerate(digits[:3]):
        page[40:68, 30 + 60 * place : 58 + 60 * place] -= image
    page[100:103, 10:210] = 0
    Image.fromarray(page).save(home / "a b.png")
    (home / "bad.jpg").write_text("no image")
    code, out, err = call("read", "a b.png", "bad.jpg", "--save", "pictures")
    assert code == Exit.SOME_FAILED
    assert "bad.jpg" in err
    assert "a b.png, page 1: 220 x 120 px" in out
    saved = sorted(path.name for path in (home / "pictures").iterdir())
    assert [re.sub("-[0-9a-f]{12}", "", name) for name in saved] == ["a b-p1.jpg", "a b-sheet.png"]
    assert not (home / "results" / "results.db").exists()
    code, out, err = call("read", "a b.png", "bad.jpg", "--json")
    document = json.loads(out)
    assert [scan["file"] for scan in document["scans"]] == ["a b.png", "bad.jpg"]
    assert document["scans"][1]["error"]
    (found,) = document["scans"][0]["pages"]
    readings = [reading for number in found["numbers"] for reading in number["readings"]]
    assert len(readings) == 3
    for reading in readings:
        scores = [score["confidence"] for score in reading["top"]]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert reading["top"][0]["digit"] == reading["digit"]
    assert all(blob["reason"] for blob in found["rejected"])


def test_read_saves_where_it_cannot(call: Call, home: Path) -> None:
    Image.fromarray(np.full((120, 220), 255, np.uint8)).save(home / "a.png")
    sha256 = hashlib.sha256((home / "a.png").read_bytes()).hexdigest()
    (home / "pictures" / f"a-{sha256[:12]}-p1.jpg").mkdir(parents=True)
    code, _, err = call("read", "a.png", "--save", "pictures")
    assert code == Exit.BAD_COMMAND
    assert "--save pictures: Is a directory" in err
    (home / "file").touch()
    assert "--save file: File exists" in call("read", "a.png", "--save", "file")[2]


def test_read_what_is_not_there(call: Call, home: Path) -> None:
    (home / "folder.png").mkdir()
    code, _, err = call("read", "nothing.png", "folder.png")
    assert code == Exit.SOME_FAILED
    assert "nothing.png cannot be read: No such file" in err
    assert "folder.png cannot be read: Is a directory" in err
