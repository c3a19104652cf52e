"""The benchmark of speed: its pages are what they are called, and what it counts is what was spent."""

import hashlib
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import handwriting
from benchmarks.in_turns import compared, rate
from benchmarks.in_turns import main as in_turns
from benchmarks.layouts import A4
from benchmarks.pages import render_sheet
from benchmarks.rivals import Rival, rival
from benchmarks.stopwatch import COMMITTED, REST, WARM_UP, Timed, timed
from benchmarks.throughput import Bench, a_kind, main, ruled_to_clean
from benchmarks.whole_command import LOOK_SECONDS, Finished, peaks_of, run_once
from benchmarks.workload import DIGITS, Sample, lines_of_numbers, samples, small_page
from processor.engines.tasks import ScanTask
from processor.pages.scans import decode
from processor.records import ScanResult
from processor.settings import Limits, load
from processor.stages import stage
from tests.sample_readings import a_number, a_page, a_result

SOURCE = Path(__file__).parent / "data" / "mnist-sample.npz"
HANDS = handwriting.load(SOURCE)
DATA = "--data", str(SOURCE)
BURN = "import sys, time\nwhile time.process_time() < float(sys.argv[2]): pass"


@pytest.fixture(scope="module")
def drawn() -> dict[str, Sample]:
    return {sample.name: sample for sample in samples(HANDS, dpi=50)}


def opened(sample: Sample) -> Image.Image:
    return Image.open(io.BytesIO(sample.content))


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


# The pages


def test_every_page_is_drawn_in_every_format(drawn: dict[str, Sample]) -> None:
    contents = [
        f"{what}{ruled}" for what in ("empty", "50 digits", "310 digits") for ruled in ("", ", ruled")
    ]
    wanted = {f"{form}, {content}" for form in ("JPEG", "PNG", "TIFF") for content in contents}
    assert set(drawn) == wanted | {"colour JPEG, 310 digits", "12-megapixel photo, 50 digits, ruled"}


def test_formats_are_what_they_are_called(drawn: dict[str, Sample]) -> None:
    modes = {"JPEG": "L", "PNG": "L", "TIFF": "1", "colour JPEG": "RGB", "12-megapixel photo": "RGB"}
    for name, sample in drawn.items():
        called = name.split(",")[0]
        with opened(sample) as image:
            assert image.mode == modes[called]
            assert image.format == {"colour JPEG": "JPEG", "12-megapixel photo": "JPEG"}.get(called, called)


def test_the_photo_has_its_megapixels(drawn: dict[str, Sample]) -> None:
    """At a sixth of the resolution, a thirty-sixth of the pixels."""
    with opened(drawn["12-megapixel photo, 50 digits, ruled"]) as image:
        assert 36 * image.width * image.height == pytest.approx(12e6, rel=0.01)


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("ruled", [False, True])
def test_so_many_digits_stand_on_the_sheet_none_over_another(digits: int, ruled: bool) -> None:
    page = render_sheet(A4, lambda sheet: lines_of_numbers(sheet, digits, ruled), HANDS, 1, dpi=60)
    assert len(page.digits.replace(" ", "")) == digits
    boxes = [number.box for number in page.numbers]
    assert all(box.right < page.pixels.shape[1] and box.bottom < page.pixels.shape[0] for box in boxes)
    for number, box in enumerate(boxes):
        assert not any(
            box.x < other.right and other.x < box.right and box.y < other.bottom and other.y < box.bottom
            for other in boxes[number + 1 :]
        )


def test_lines_are_on_ruled_pages_only(drawn: dict[str, Sample]) -> None:
    for content, full in (("empty", False), ("empty, ruled", True)):
        with opened(drawn[f"PNG, {content}"]) as image:
            middle = np.asarray(image)[:, image.width // 2]
        assert (middle.min() < 150) == full
        assert (middle.min() > 220) != full


def test_a_ruled_page_is_the_clean_one_with_lines_on_it(drawn: dict[str, Sample]) -> None:
    clean, ruled = (
        np.asarray(opened(drawn[f"PNG, 310 digits{lines}"]), np.int16) for lines in ("", ", ruled")
    )
    differs = np.abs(clean - ruled) > 8
    assert 0.005 < differs.mean() < 0.15
    assert (ruled[differs] < clean[differs]).mean() > 0.9


def test_only_what_is_asked_for_is_drawn() -> None:
    found = [sample.name for sample in samples(HANDS, "TIFF, empty", dpi=50)]
    assert found == ["TIFF, empty", "TIFF, empty, ruled"]


@pytest.mark.parametrize("name", ["JPEG, 50 digits", "PNG, 50 digits", "TIFF, 50 digits"])
def test_copies_are_other_scans_of_the_same_page(name: str, drawn: dict[str, Sample], tmp_path: Path) -> None:
    contents = [drawn[name].copy(tmp_path, number).read_bytes() for number in range(2)]
    assert len({hashlib.sha256(content).hexdigest() for content in contents}) == 2
    first, second = (next(decode(content, name, Limits(), 300)).pixels for content in contents)
    assert np.array_equal(first, second)


# What is counted


def test_a_page_costs_its_stages_and_its_share_of_the_run(home: Path, tmp_path: Path) -> None:
    @stage("slow")
    def slow() -> None:
        busy(0.05)

    def read(task: ScanTask) -> ScanResult:
        slow()
        busy(0.02)
        return a_result(a_page(a_number(task.source.stem)))

    page = small_page(HANDS)
    (tmp_path / "pages").mkdir()
    for number in range(2 + WARM_UP):
        page.copy(tmp_path / "pages", number)
    found = timed(load(home / "settings.toml"), tmp_path / "pages", read)
    assert len(found) == 2
    for one in found:
        assert list(one.stages) == [REST, "slow", COMMITTED]
        assert one.stages["slow"] == pytest.approx(0.05, abs=0.02)
        assert one.stages[REST] == pytest.approx(0.02, abs=0.02)
        assert 0 < one.stages[COMMITTED] < 0.2
        assert one.whole == pytest.approx(sum(one.stages.values()))
        assert 0 < one.decoding < 0.05
        assert one.rival is None


def test_a_page_that_is_not_read_ends_the_measuring(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "pages" / "a.png")

    def read(task: ScanTask) -> ScanResult:
        raise ZeroDivisionError(task.file)

    with pytest.raises(SystemExit, match=r"a\.png was not read"):
        timed(load(home / "settings.toml"), tmp_path / "pages", read)


def test_every_stage_is_explained() -> None:
    root = Path(__file__).parent.parent
    code = "".join(file.read_text("utf-8") for file in sorted((root / "processor").rglob("*.py")))
    stages = set(re.findall(r'\b(?:stage|each)\("([^"]+)"', code)) | {REST, COMMITTED}
    (table,) = re.findall(
        r"^\| stage \|.*\n\|---.*\n((?:\|.*\n)+)", (root / "docs" / "performance.md").read_text("utf-8"), re.M
    )
    assert len(stages) > 15
    assert {row.split("|")[1].strip() for row in table.splitlines()} == stages


def a_timed(whole: float, decoding: float, other: float | None = None) -> Timed:
    return Timed(decoding=decoding, stages={"ink": whole / 4, REST: 3 * whole / 4}, rival=other)


def test_the_rows_of_a_kind_are_medians_and_the_ratio_is_of_pairs() -> None:
    found = [a_timed(0.2, 0.1), a_timed(0.4, 0.1), a_timed(4.0, 1.0)]
    rows = {row.measure: row for row in a_kind("JPEG, empty", found)}
    figures = {measure: row.figure for measure, row in rows.items()}
    assert figures == {
        "decoding alone, s": 0.1,
        "ink, s": 0.1,
        f"{REST}, s": pytest.approx(0.3),
        "whole, s": 0.4,
        "whole : decoding": 4.0,
    }
    assert rows["whole : decoding"].goal == "<= 1.6"


def test_another_reader_is_compared_pair_by_pair() -> None:
    found = [a_timed(0.2, 0.1, 2.0), a_timed(0.4, 0.1, 4.0), a_timed(1.0, 0.5, 30.0)]
    figures = {row.measure: row.figure for row in a_kind("", found, "tesseract")}
    assert figures["tesseract, s"] == 4.0
    assert figures["tesseract : decoding"] == pytest.approx(40)
    assert figures["tesseract : whole"] == pytest.approx(10)


def test_ruled_pages_are_compared_with_the_same_without_lines() -> None:
    wholes = {"JPEG, 310 digits": 1.0, "JPEG, 310 digits, ruled": 1.5, "PNG, empty, ruled": 9.0}
    (row,) = ruled_to_clean(wholes)
    assert (row.set, row.figure, row.goal) == ("JPEG, 310 digits, ruled", 1.5, "<= 1.15")


def test_the_cold_start_is_taken_off() -> None:
    bench = Bench(data=SOURCE)
    bench.__dict__["cold"] = [a_run(1, 3.0), a_run(1, 4.0), a_run(1, 9.0)]
    runs = [a_run(11, 24.0), a_run(11, 25.0), a_run(11, 5.0)]
    assert bench.a_page(runs, lambda run: run.seconds, 1) == 2.0
    assert bench.a_page(runs[:1], lambda run: run.seconds) == pytest.approx(20 / 11)


def a_run(pages: int, seconds: float) -> Finished:
    return Finished(pages=pages, seconds=seconds, cpu_seconds=2 * seconds, peaks_mb={})


# Two ways in turns


def test_what_a_run_begins_and_ends_with_is_in_no_rate() -> None:
    assert rate(a_run(2, 5.0), a_run(12, 25.0)) == 0.5


def test_a_kind_of_pages_that_is_not_drawn_is_refused() -> None:
    with pytest.raises(SystemExit, match="no page is called so"):
        in_turns(["postgresql", "--kind", "unheard-of", *DATA])


@pytest.mark.slow
@pytest.mark.usefixtures("server")  # It is skipped where there is none.
def test_a_server_is_compared_with_a_file() -> None:
    small = small_page(HANDS)
    rows = {row.measure: row for row in compared("postgresql", [small], 3, 1)}
    assert list(rows) == [f"{what}, pages a second" for what in ("sqlite", "postgresql")] + [
        "postgresql : sqlite"
    ]
    plain, other, ratio = (row.figure for row in rows.values())
    assert min(plain, other) > 0
    assert ratio == pytest.approx(other / plain)


# Other readers


def test_another_reader_costs_what_it_spends_beyond_its_start(tmp_path: Path) -> None:
    slow = Rival((sys.executable, "-c", BURN, "{page}", "0.3"))
    spent = slow.cpu_seconds(tmp_path)
    assert 0.3 <= spent < 1.5
    assert Rival(slow.command, starting=99.0).cpu_seconds(tmp_path) == 0.0


def test_another_reader_is_given_the_page(tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[1] + '.seen').touch()"
    Rival((sys.executable, "-c", code, "{page}")).cpu_seconds(tmp_path / "a.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png.seen"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("unheard-of", "tesseract"),
        ("unheard-of {page}", "no program unheard-of"),
        (f"{sys.executable} -c 'raise SystemExit(3)' {{page}}", "ended with 3"),
    ],
)
def test_a_reader_that_cannot_be_run_is_refused(asked: str, why: str) -> None:
    with pytest.raises(SystemExit, match=why):
        rival(asked)


# Processes


def test_the_peak_of_each_process_is_known_though_it_fell_again() -> None:
    hold = "x = bytearray(90_000_000); x = 0; print(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with peaks_of(process.pid) as peaks:
        process.stdout.readline()
        time.sleep(4 * LOOK_SECONDS)
        process.communicate("\n")
    assert list(peaks) == ["parent", "worker 1"]
    assert 3 < peaks["parent"] < 60
    assert 90 < peaks["worker 1"] < 160


def test_the_real_command_is_timed_and_weighed(tmp_path: Path) -> None:
    page = small_page(HANDS)
    for number in range(2):
        page.copy(tmp_path, number)
    run = run_once(tmp_path, workers=1)
    assert run.pages == 2
    assert run.seconds > 0.5
    assert run.cpu_seconds > 0.5
    assert {"parent", "worker 1"} <= set(run.peaks_mb)
    assert 100 < run.peaks_mb["worker 1"] < 1000


def test_one_run_prints_what_each_stage_costs(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--only", "pages", "--kind", "photo", "--repeats", "1", "--dpi", "60", "--json", *DATA]
    main([*asked, "--against", "true {page}"])
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == {"set", "measure", "figure", "goal"} for row in rows)
    assert {row["set"] for row in rows} == {"12-megapixel photo, 50 digits, ruled"}
    figures = {row["measure"]: row["figure"] for row in rows}
    whole, ratio = figures.pop("whole, s"), figures.pop("whole : decoding")
    assert ratio == pytest.approx(whole / figures.pop("decoding alone, s"))
    assert ratio > 1
    other = {measure: figures.pop(measure) for measure in list(figures) if measure.startswith("true {page}")}
    assert len(other) == 3
    named = {"decoded", "ink", "ruled lines", "first network", "second network", COMMITTED, REST}
    assert {f"{name}, s" for name in named} <= figures.keys()
    assert sum(figures.values()) == pytest.approx(whole)
    assert figures[f"{REST}, s"] < 0.3 * whole


@pytest.mark.parametrize(
    "asked", [["--kind", "papyrus", "--only", "pages"], ["--repeats", "0"], ["--pages", "150"], ["--dots"]]
)
def test_what_cannot_be_measured_is_refused(asked: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main([*asked, *DATA])
    assert refused.value.code
