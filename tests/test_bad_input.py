"""Bad input, through the real command: a bad file is put aside with its reason, the others are read."""

import io
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from numpy.typing import NDArray
from PIL import Image

from processor.errors import Exit
from processor.settings import shipped_archive
from tests.conftest import PROCESSOR, Command

Counts = dict[str, Any]


@pytest.fixture(scope="session")
def page() -> NDArray[np.uint8]:
    """A small page, (160, 400) uint8, with the handwritten digits 3 to 6."""
    with np.load(Path(__file__).with_name("data") / "mnist-sample.npz") as sample:
        images, labels = sample["images"], sample["labels"]
    pixels = np.full((160, 400), 255, np.uint8)
    for place, digit in enumerate((3, 4, 5, 6)):
        image = Image.fromarray(images[labels == digit][0]).resize((56, 56), Image.Resampling.BICUBIC)
        pixels[50:106, 30 + 90 * place : 86 + 90 * place] -= np.asarray(image)
    return pixels


def encoded(pixels: NDArray[np.uint8], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def png_bomb(side: int) -> bytes:
    """A valid white PNG of `side` × `side` pixels in some hundred kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    row = b"\0" + b"\xff" * side
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated_gif(page: NDArray[np.uint8]) -> bytes:
    frames = [Image.fromarray(255 - page), Image.fromarray(page)]
    return encoded(page, "GIF", save_all=True, append_images=frames)


def tiff_with_a_broken_page(page: NDArray[np.uint8]) -> bytes:
    """Three pages; the strip of the second one is overwritten with what no decoder takes."""
    pages = [Image.fromarray(page), Image.fromarray(255 - page)]
    data = encoded(page, "TIFF", save_all=True, append_images=pages, compression="tiff_adobe_deflate")
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        (offset, *_), (length, *_) = image.tag_v2[273], image.tag_v2[279]  # type: ignore[attr-defined]
    return bytes(data[:offset] + b"\xff" * length + data[offset + length :])


def encrypted_pdf(page: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    with pikepdf.open(io.BytesIO(encoded(page, "PDF"))) as document:
        document.save(buffer, encryption=pikepdf.Encryption(owner="owner", user="user"))
    return buffer.getvalue()


def counts_of(done: "subprocess.CompletedProcess[str]") -> Counts:
    counts: Counts = json.loads(done.stdout)
    parts = ("done", "failed", "duplicate", "ignored", "pending")
    assert counts["seen"] == sum(counts[part] for part in parts)
    assert "Traceback" not in done.stderr
    return counts


def reports(home: Path) -> dict[str, dict[str, str]]:
    """The reports in `results/failed`, by the file they speak of."""
    found = [json.loads(path.read_text("utf-8")) for path in (home / "results" / "failed").glob("*.json")]
    return {report["file"]: report for report in found}


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(home / "results" / "results.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


BAD = {
    "empty.png": "is empty",
    "text.jpg": "is not an image or PDF",
    "cut.jpg": "damaged or cut short",
    "cut.png": "damaged or cut short",
    "bomb.png": "more pixels than the limit of 200 megapixels",
    "dance.gif": "is animated",
    "broken.tif": "page 2",
    "secret.pdf": "encrypted",
    "dangling.png": "is a link to",
    "sub/same.png": "is not an image or PDF",
}


@pytest.fixture(scope="module")
def crowd(
    tmp_path_factory: pytest.TempPathFactory, page: NDArray[np.uint8]
) -> Iterator[tuple[Path, Counts, str]]:
    """One inbox with everything in it, good and bad, read once by the real command."""
    home = tmp_path_factory.mktemp("crowd")
    inbox = home / "inbox"
    good_png, good_jpg = encoded(page, "PNG"), encoded(page, "JPEG")
    files = {
        "empty.png": b"",
        "text.jpg": b"This is a text, whatever its name says.",
        "cut.jpg": good_jpg[: len(good_jpg) // 2],
        "cut.png": good_png[: len(good_png) // 2],
        "bomb.png": png_bomb(30_000),
        "dance.gif": animated_gif(page),
        "broken.tif": tiff_with_a_broken_page(page),
        "secret.pdf": encrypted_pdf(page),
        "sub/same.png": b"no image",
        "same.png": good_png,
        "with blank.jpg": good_jpg,
        "new\nline [red].png": encoded(page[:, ::-1], "PNG"),
        "Zähler ١٢.png": encoded(page[::-1], "PNG"),
        "white.png": encoded(np.full_like(page, 255), "PNG"),
        "x.png/inside.png": encoded(page[:100], "PNG"),
        "copies/same.png": good_png,
        "unfinished.png.part": good_png,
        ".hidden.png": good_png,
        "notes.txt": b"not a scan",
    }
    for name, content in files.items():
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_bytes(content)
    (inbox / "dangling.png").symlink_to("nowhere")
    (inbox / "link.png").symlink_to("same.png")
    os.mkfifo(inbox / "pipe.png")
    (home / "settings.toml").write_text("")
    done = subprocess.run(
        [PROCESSOR, "run", "--once", "--json"],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == Exit.SOME_FAILED
    yield home, counts_of(done), done.stderr
    shutil.rmtree(home)


def test_every_scan_is_accounted_for(crowd: tuple[Path, Counts, str]) -> None:
    _, counts, _ = crowd
    good = 6
    assert counts["seen"] == len(BAD) + good + 1
    assert (counts["failed"], counts["done"], counts["duplicate"]) == (len(BAD), good, 1)
    assert (counts["ignored"], counts["pending"]) == (0, 0)


@pytest.mark.parametrize("file", BAD)
def test_a_bad_file_is_put_aside_with_its_reason(crowd: tuple[Path, Counts, str], file: str) -> None:
    home, _, err = crowd
    report = reports(home)[file]
    assert BAD[file] in report["message"]
    assert report["message"].startswith(file)
    assert report["error"] == "BadScan"
    assert report["remedy"]
    assert BAD[file] in err
    assert rows(home, f"SELECT state FROM scans WHERE file = '{file}'") == [("failed",)]
    kept = list((home / "results" / "failed").glob(f"{Path(file).stem}-*{Path(file).suffix}"))
    assert len(kept) == (0 if file == "dangling.png" else 1)


@pytest.mark.parametrize(
    "file", ["with blank.jpg", "new\nline [red].png", "Zähler ١٢.png", "x.png/inside.png", "white.png"]
)
def test_names_of_all_kinds_are_read(crowd: tuple[Path, Counts, str], file: str) -> None:
    home, _, _ = crowd
    found = rows(home, "SELECT file, state FROM scans")
    assert (file, "done") in found
    annotated = rows(
        home, f"SELECT annotated FROM pages JOIN scans ON scan_id = scans.id WHERE file = '{file}'"
    )
    assert len(annotated) == 1
    with Image.open(home / "results" / annotated[0][0]) as image:
        image.load()


def test_one_name_in_two_folders_are_two_scans(crowd: tuple[Path, Counts, str]) -> None:
    home, _, _ = crowd
    found = dict(rows(home, "SELECT file, state FROM scans WHERE file LIKE '%same.png'"))
    # Which of the two equal ones is the first depends on the order of the folders; the third is another scan.
    assert sorted(found.values()) == ["done", "duplicate", "failed"]
    assert found["sub/same.png"] == "failed"


def test_a_page_without_numbers_is_a_result(crowd: tuple[Path, Counts, str]) -> None:
    home, _, _ = crowd
    assert rows(home, "SELECT COUNT(*) FROM readings WHERE file = 'white.png'") == [(0,)]
    assert rows(
        home, "SELECT COUNT(*) FROM pages JOIN scans ON scan_id = scans.id WHERE file = 'white.png'"
    ) == [(1,)]
    assert rows(home, "SELECT COUNT(*) > 0 FROM readings WHERE file = 'with blank.jpg'") == [(1,)]


def test_the_inbox_is_empty_but_for_what_is_no_scan(crowd: tuple[Path, Counts, str]) -> None:
    home, _, err = crowd
    left = sorted(path.name for path in (home / "inbox").rglob("*") if not path.is_dir())
    assert left == [".hidden.png", "link.png", "notes.txt", "pipe.png", "unfinished.png.part"]
    assert "pipe.png is no file" in err
    assert "link.png is a link" in err


def test_no_unfinished_output_is_left(crowd: tuple[Path, Counts, str]) -> None:
    home, _, _ = crowd
    assert list((home / "results" / ".staging").iterdir()) == []
    assert not list((home / "results").rglob("*.part"))


def test_names_reach_the_terminal_without_control_characters(crowd: tuple[Path, Counts, str]) -> None:
    home, _, _ = crowd
    done = subprocess.run([PROCESSOR, "results"], cwd=home, capture_output=True, text=True, check=True)
    assert r"new\nline [red].png" in done.stdout


def test_the_counts_of_the_database_agree(crowd: tuple[Path, Counts, str]) -> None:
    home, counts, _ = crowd
    done = subprocess.run(
        [PROCESSOR, "status", "--json"], cwd=home, capture_output=True, text=True, check=True
    )
    status = counts_of(done)
    for name in (
        "seen",
        "done",
        "failed",
        "duplicate",
        "pages",
        "numbers",
        "digits",
        "review",
        "rejected",
        "model",
    ):
        assert status[name] == counts[name]


# Runs of their own


def test_an_empty_inbox_is_done(home: Path, processor: Command) -> None:
    done = processor("run", "--once", "--json")
    assert done.returncode == Exit.DONE
    counts = counts_of(done)
    assert (counts["seen"], counts["pages"], counts["pages_per_second"]) == (0, 0, 0)
    assert done.stderr == ""
    assert (home / "results" / "numbers.csv").read_text().startswith("file,page,")


def without_root(command: list[str]) -> list[str]:
    """The command for a user whom file permissions hold; root is made to obey them where that can be done."""
    if os.getuid() != 0:
        return command
    dropped = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--inh-caps={dropped}", f"--bounding-set={dropped}"]
    if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], check=False).returncode != 0:
        pytest.skip("root reads every file, and setpriv cannot take that right away here")
    return [*drop, *command]


def test_a_scan_without_permission_fails_and_the_others_are_read(home: Path, page: NDArray[np.uint8]) -> None:
    for name in ("a.png", "b.png"):
        (home / "inbox" / name).write_bytes(
            encoded(page, "PNG", dpi=(300, 300) if name == "a.png" else (200, 200))
        )
    (home / "inbox" / "a.png").chmod(0)
    (home / "inbox" / "closed").mkdir(mode=0)
    command = without_root([str(PROCESSOR), "run", "--once", "--json"])
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)
    (home / "inbox" / "closed").chmod(0o700)
    assert done.returncode == Exit.SOME_FAILED
    counts = counts_of(done)
    assert (counts["done"], counts["failed"]) == (1, 1)
    report = reports(home)["a.png"]
    assert "Permission denied" in report["message"]
    assert "readable" in report["remedy"]
    assert "closed cannot be listed" in done.stderr


def test_results_that_cannot_be_written_are_refused_at_the_start(home: Path, page: NDArray[np.uint8]) -> None:
    (home / "inbox" / "a.png").write_bytes(encoded(page, "PNG"))
    (home / "results").mkdir(mode=0o500)
    command = without_root([str(PROCESSOR), "run", "--once"])
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == Exit.BAD_SETTINGS
    assert "paths.results" in done.stderr
    assert "not writable" in done.stderr
    assert (home / "inbox" / "a.png").exists()


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ("[limits]\nmax_page = 3\n", Exit.BAD_SETTINGS, "there is no setting limits.max_page"),
        ("[limits]\nmin_free_mb = 1e12\n", Exit.BAD_SETTINGS, "limits.min_free_mb asks for"),
        ("[paths]\ninbox = 'results/inbox'\n", Exit.BAD_SETTINGS, "lie one inside the other"),
        ("[paths]\nresults = 'inbox/results'\n", Exit.BAD_SETTINGS, "lie one inside the other"),
        ("[database]\nurl = 'sqlite:///inbox/own/r.db'\n", Exit.BAD_SETTINGS, "lies in the inbox"),
        ("[paths]\nresults = 'settings.toml'\n", Exit.BAD_SETTINGS, "paths.results"),
        ("[paths]\ninbox = 'settings.toml'\n", Exit.BAD_SETTINGS, "paths.inbox"),
        ("[recognition]\nmodel = 'nothing'\n", Exit.NO_MODEL, "There is no model 'nothing'"),
        ("[paths]\nmodels_archive = 'nowhere'\n", Exit.NO_MODEL, "nowhere"),
        ("[database]\nurl = 'sqlite:///nowhere/results.db'\n", Exit.BAD_DATABASE, "nowhere"),
        ("[database]\nurl = 'sqlite:///settings.toml'\n", Exit.BAD_DATABASE, "settings.toml"),
    ],
)
def test_what_would_stop_a_scan_later_is_refused_at_the_start(
    home: Path, processor: Command, settings: str, code: Exit, words: str
) -> None:
    (home / "settings.toml").write_text(settings)
    (home / "inbox" / "a.png").write_bytes(b"untouched")
    done = processor("run", "--once", "--json")
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert (home / "inbox" / "a.png").read_bytes() == b"untouched"


def test_weights_that_were_changed_are_refused_at_the_start(home: Path, processor: Command) -> None:
    shipped = shipped_archive()
    assert shipped is not None
    name = (shipped / "CURRENT").read_text().strip()
    shutil.copytree(shipped / name, home / "models_archive" / name)
    (home / "models_archive" / "CURRENT").write_text(name)
    weights = next((home / "models_archive" / name).glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o600)
    weights.write_bytes(content)
    done = processor("run", "--once")
    assert done.returncode == Exit.NO_MODEL
    assert "sha256" in done.stderr
    assert weights.name in done.stderr


def test_a_path_that_does_not_exist_is_a_wrong_command(processor: Command) -> None:
    done = processor("run", "--once", "nowhere")
    assert done.returncode == Exit.BAD_COMMAND
    assert "nowhere does not exist" in done.stderr


# The daemon and its signals


@pytest.fixture
def daemon(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """`processor run` over the inbox, in a process group of its own, as in a terminal."""
    (home / "settings.toml").write_text("[intake]\nsettle_seconds = 0.1\nrescan_seconds = 0.5\n")
    process = subprocess.Popen(
        [PROCESSOR, "run", "--json"],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for_states(home: Path, wanted: dict[str, int]) -> None:
    deadline = time.monotonic() + 60
    states: dict[str, int] = {}
    while states != wanted:
        assert time.monotonic() < deadline, f"{states} instead of {wanted}"
        time.sleep(0.1)
        try:
            states = dict(rows(home, "SELECT state, COUNT(*) FROM scans GROUP BY state"))
        except sqlite3.OperationalError:
            continue


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_daemon_reads_what_arrives_and_ends_well(
    home: Path, page: NDArray[np.uint8], daemon: "subprocess.Popen[str]", number: int
) -> None:
    (home / "inbox" / "a.png").write_bytes(encoded(page, "PNG"))
    wait_for_states(home, {"done": 1})
    (home / "inbox" / "b.png").write_bytes(b"no image")
    wait_for_states(home, {"done": 1, "failed": 1})
    # As a terminal and a service manager do: to every process of the group.
    os.killpg(daemon.pid, number)
    out, err = daemon.communicate(timeout=60)
    assert daemon.returncode == Exit.DONE
    counts = json.loads(out)
    assert (counts["seen"], counts["done"], counts["failed"]) == (2, 1, 1)
    assert "Traceback" not in err
    assert not list((home / "inbox").iterdir())
    assert (home / "results" / "numbers.csv").read_text().count("\n") > 1


@pytest.fixture
def interrupted(home: Path, page: NDArray[np.uint8]) -> Iterator["subprocess.Popen[str]"]:
    """`processor run --once` in the middle of a long document."""
    pages = [Image.fromarray(np.tile(np.roll(page, n, axis=1), (4, 4))) for n in range(20)]
    pages[0].save(home / "inbox" / "long.tif", save_all=True, append_images=pages[1:])
    command = [str(PROCESSOR), "run", "--once"]
    process = subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        wait_for_states(home, {"running": 1})
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_the_second_interrupt_ends_at_once_and_the_next_run_goes_on(
    home: Path, processor: Command, interrupted: "subprocess.Popen[str]"
) -> None:
    os.killpg(interrupted.pid, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(interrupted.pid, signal.SIGINT)
    _, err = interrupted.communicate(timeout=20)
    assert interrupted.returncode == Exit.INTERRUPTED
    assert "given back" in err
    assert "Traceback" not in err
    assert rows(home, "SELECT state FROM scans") == [("queued",)]
    assert (home / "inbox" / "long.tif").exists()
    counts = counts_of(processor("run", "--once", "--json"))
    assert (counts["done"], counts["pages"]) == (1, 20)


def test_after_a_kill_the_next_run_goes_on(
    home: Path, processor: Command, interrupted: "subprocess.Popen[str]"
) -> None:
    interrupted.kill()
    interrupted.wait(timeout=20)
    assert rows(home, "SELECT state FROM scans") == [("running",)]
    counts = counts_of(processor("run", "--once", "--json"))
    assert (counts["seen"], counts["done"], counts["pages"]) == (1, 1, 20)
