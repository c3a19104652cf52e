"""Sentences on the screen: wrapped, in columns of their own, and with nothing broken that people copy."""

import pytest

from processor.characters import visible
from processor.commands.printing import print_entries

PATH = "/srv/scans/" + "a-very-long-folder/" * 5 + "form.png"


def printed(
    capsys: pytest.CaptureFixture[str], *entries: tuple[tuple[object, ...], tuple[object, ...]]
) -> str:
    print_entries(entries)
    return capsys.readouterr().out


def test_marks_stand_in_columns_and_texts_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, (("ok", "model"), ("It is there.", "")), (("fault", "clock"), ("Late.", "Set it.")))
    assert out == "ok     model  It is there.\nfault  clock  Late.\n              Set it.\n"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_what_is_long_is_wrapped_to_the_screen(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "The scan was read and its original is gone. " * 8
    lines = printed(capsys, ((1, "failed"), (text,)), ((12, "x"), ("short",))).splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) == 2 + len(text) // (columns - 12)
    assert all(line.startswith(" " * 12) for line in lines[1:-1])
    assert " ".join(line[12:] for line in lines[:-1]) == text.strip()


@pytest.mark.parametrize("columns", ["1", "80"])
def test_a_path_is_never_broken(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert PATH in printed(capsys, (("fault",), (f"{PATH} cannot be read.",)))


def test_a_name_cannot_speak_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, (("a",), ("b\x1b[31m\n",))) == r"a  b\x1b[31m\n" + "\n"


def test_no_entry_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("form 1ä.png", "form 1ä.png"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("b\udcff", r"b\udcff"),
        ("gnp\u202eevil", r"gnp\u202eevil"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
