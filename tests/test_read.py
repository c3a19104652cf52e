"""`processor read`, whatever it is given to read."""

import json
import os
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
