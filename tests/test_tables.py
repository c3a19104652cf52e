"""CSV, JSON and Parquet: the same bytes for the same readings, text as text, whole or not at all."""

import csv
import io
import json
import random
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from processor.errors import BadCommand, Transient
from processor.intake.queue import claim, enqueue, finish
from processor.records import Box, NumberReading, PageReading, Status
from processor.results.database import open_database, writing
from processor.results.queries import readings
from processor.results.schema import models, numbers, pages, scans
from processor.results.tables import COLUMNS, Format, export, rendered, scan_csv, write_all_numbers
from tests.sample_readings import a_number, a_page, a_result

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EARLIER = "file,page,position,text,digits,confidence,status,field,x,y,width,height,model"
HEAD = f"{EARLIER},reason,hash\n"
SHA256 = "0123456789abcdef" * 4


def store(engine: Engine, file: str, content: str, *read: PageReading) -> None:
    enqueue(engine, source=Path("/inbox"), file=file, sha256=content * 64, bytes=9, now=NOW)
    job = claim(engine, NOW, 60)
    assert job is not None
    finish(engine, job, a_result(*read), NOW)


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


class TestScanCsv:
    def test_is_a_head_line_and_a_line_a_number(self) -> None:
        doubted = replace(a_number("-1,5", Status.REVIEW, confidence=0.98765), reason="uncertain: a, b")
        first = a_page(a_number("007", field="year"), doubted)
        assert scan_csv("sub/a.png", SHA256, [first, a_page(a_number("3"), page=2)], "cnn-a") == (
            HEAD + "sub/a.png,1,1,007,007,0.9000,accepted,year,1,2,3,4,cnn-a,,0123456789ab\n"
            'sub/a.png,1,2,"-1,5",15,0.9877,review,,1,2,3,4,cnn-a,"uncertain: a, b",0123456789ab\n'
            "sub/a.png,2,1,3,3,0.9000,accepted,,1,2,3,4,cnn-a,,0123456789ab\n"
        )

    def test_a_number_that_was_corrected_has_no_reason_to_be_looked_at(self) -> None:
        mended = replace(a_number("7", Status.CORRECTED), reason="uncertain: it was")
        assert parsed(scan_csv("a.png", SHA256, [a_page(mended)], "m"))[0]["reason"] == ""

    def test_of_an_empty_scan_is_the_head_line(self) -> None:
        assert (
            scan_csv("a.png", SHA256, [], "cnn-a") == scan_csv("a.png", SHA256, [a_page()], "cnn-a") == HEAD
        )

    def test_a_name_that_is_no_utf8_can_be_written(self) -> None:
        text = scan_csv("caf\udce9.png", SHA256, [a_page(a_number())], "cnn-a")
        assert parsed(text)[0]["file"] == "caf\\udce9.png"
        text.encode()

    @pytest.mark.parametrize(
        "text",
        ["=1+2", "=cmd|' /C calc'!A0", "@SUM(A1)", "+49-30", "-", "-a", "\tx", "\r=1", "--1", "+1,", "-1.a"],
    )
    def test_what_a_spreadsheet_would_run_is_defused(self, text: str) -> None:
        row = parsed(scan_csv(text, SHA256, [a_page(a_number(text, field=text))], text))[0]
        assert {row[name] for name in ("file", "text", "field", "model")} == {"'" + text}

    @pytest.mark.parametrize("text", ["-1", "+1", "-1,5", "+1.234,56", "007", "12-05-2024", "a=b", "'", ""])
    def test_plain_numbers_and_harmless_text_stay(self, text: str) -> None:
        assert parsed(scan_csv("a.png", SHA256, [a_page(a_number(text))], "m"))[0]["text"] == text

    @given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=4), st.floats(0, 1))
    def test_every_text_comes_back(self, texts: list[str], confidence: float) -> None:
        found = [
            NumberReading(
                text=text,
                confidence=confidence,
                status=Status.ACCEPTED,
                box=Box(0, 0, 1, 1),
                digits=(),
                field=text,
            )
            for text in texts
        ]
        rows = parsed(scan_csv("a.png", SHA256, [a_page(*found)], "m"))
        assert len(rows) == len(texts)
        for row, text in zip(rows, texts, strict=True):
            assert row["text"] in {text, "'" + text}
            assert row["text"][:1] not in {"=", "@", "\t", "\r"}
            assert row["field"] == row["text"]
            assert abs(float(row["confidence"]) - confidence) <= 5e-5


class TestAllNumbers:
    def test_are_those_of_every_scan_by_file_page_and_position(self, engine: Engine, tmp_path: Path) -> None:
        read = {
            "b.png": [a_page(a_number("2"), a_number("1")), a_page(a_number("0"), page=2)],
            "=1.png": [a_page(replace(a_number("9", Status.REVIEW, field="total"), reason="=1"))],
            "a,\n.png": [a_page(a_number("-1,5"))],
            "empty.png": [a_page()],
        }
        for content, (file, scan) in enumerate(read.items()):
            store(engine, file, str(content), *scan)
        write_all_numbers(engine, tmp_path / "numbers.csv")
        contents = {file: str(content) * 64 for content, file in enumerate(read)}
        alone = [
            scan_csv(file, contents[file], read[file], "cnn-a").removeprefix(HEAD) for file in sorted(read)
        ]
        assert (tmp_path / "numbers.csv").read_bytes() == (HEAD + "".join(alone)).encode()

    def test_of_an_empty_database_are_the_head_line(self, engine: Engine, tmp_path: Path) -> None:
        write_all_numbers(engine, tmp_path / "new" / "numbers.csv")
        assert (tmp_path / "new" / "numbers.csv").read_text() == HEAD

    def test_do_not_depend_on_the_order_in_which_scans_were_read(self, tmp_path: Path) -> None:
        written = []
        for seed in (1, 2):
            engine = open_database(f"sqlite:///{tmp_path / f'{seed}.db'}")
            contents = list("abcdef")
            for content in contents:
                enqueue(
                    engine, source=Path("/i"), file=f"{content}.png", sha256=content * 64, bytes=1, now=NOW
                )
            jobs = [job for _ in contents if (job := claim(engine, NOW, 60))]
            random.Random(seed).shuffle(jobs)
            for job in jobs:
                finish(engine, job, a_result(a_page(a_number(str(ord(job.file[0]))))), NOW)
            write_all_numbers(engine, tmp_path / f"{seed}.csv")
            written.append((tmp_path / f"{seed}.csv").read_bytes())
            engine.dispose()
        assert written[0] == written[1]
        assert written[0].count(b"\n") == 7

    def test_two_scans_of_one_name_are_told_apart(self, engine: Engine, tmp_path: Path) -> None:
        store(engine, "a.png", "a", a_page(a_number("1")))
        store(engine, "a.png", "b", a_page(a_number("1")))
        write_all_numbers(engine, tmp_path / "numbers.csv")
        found = parsed((tmp_path / "numbers.csv").read_text())
        assert [(row["file"], row["hash"]) for row in found] == [("a.png", "a" * 12), ("a.png", "b" * 12)]

    def test_a_write_that_breaks_off_leaves_the_old_file(self, engine: Engine, tmp_path: Path) -> None:
        target = tmp_path / "numbers.csv"
        target.write_text("old")
        store(engine, "a.png", "a", a_page(a_number()))
        with writing(engine) as connection:
            connection.exec_driver_sql("DROP VIEW readings")
        with pytest.raises(Exception, match=r"no such table: readings|relation .readings. does not exist"):
            write_all_numbers(engine, target)
        assert target.read_text() == "old"
        assert not list(tmp_path.glob(".*"))

    def test_their_count_does_not_show_in_memory(self, engine: Engine, tmp_path: Path) -> None:
        _fill(engine, 2000)
        tracemalloc.start()
        write_all_numbers(engine, tmp_path / "numbers.csv")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        written = (tmp_path / "numbers.csv").read_bytes()
        assert written.count(b"\n") == 1 + 2000 * 10
        files = [row["file"] for row in parsed(written.decode())]
        assert files == sorted(files)
        # Held all at once, the rows would take many times the bytes of the file.
        assert peak < len(written) / 2


def _fill(engine: Engine, many: int) -> None:
    """Scans of ten numbers each, as many as there shall be in all."""
    place = {"source": "s", "bytes": 1, "state": "done", "queued_at": NOW, "model": "m"}
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    number = {"text": "012", "digits": "012", "confidence": 0.5, "status": "accepted", **box}
    page = {"page": 1, "width": 9, "height": 9, "skew_degrees": 0.0}
    with writing(engine) as connection:
        connection.execute(numbers.delete())
        for table in (pages, scans, models):
            connection.execute(table.delete())
        connection.execute(insert(models), {"name": "m", "first_used_at": NOW})
        ids = range(1, many + 1)
        connection.execute(
            insert(scans), [{**place, "id": i, "file": f"{i}.png", "sha256": f"{i}"} for i in ids]
        )
        connection.execute(insert(pages), [{**page, "id": i, "scan_id": i} for i in ids])
        rows = [{**number, "page_id": i, "position": n} for i in ids for n in range(1, 11)]
        connection.execute(insert(numbers), rows)


class TestExport:
    @pytest.fixture
    def frame(self, engine: Engine) -> pd.DataFrame:
        store(
            engine,
            "sub/ü.png",
            "a",
            a_page(a_number("007", field="year"), a_number("=1", confidence=0.98765)),
        )
        return readings(engine)

    def test_csv_is_what_the_scan_has_and_the_scan_beside_it(self, frame: pd.DataFrame) -> None:
        assert rendered(frame, "csv").decode() == (
            EARLIER + ",scan_id,reason\n"
            "sub/ü.png,1,1,007,007,0.9000,accepted,year,1,2,3,4,cnn-a,1,\n"
            "sub/ü.png,1,2,'=1,1,0.9877,accepted,,1,2,3,4,cnn-a,1,\n"
        )

    def test_json_is_a_list_of_rows(self, frame: pd.DataFrame) -> None:
        text = rendered(frame, "json").decode()
        first, second = json.loads(text)
        assert first == {
            **{"file": "sub/ü.png", "page": 1, "position": 1, "text": "007", "digits": "007"},
            **{"confidence": 0.9, "status": "accepted", "field": "year", "x": 1, "y": 2, "width": 3},
            **{"height": 4, "model": "cnn-a", "scan_id": 1, "reason": None},
        }
        assert (second["text"], second["field"], second["confidence"]) == ("=1", None, 0.98765)
        assert "sub/ü.png" in text

    def test_parquet_comes_back_as_it_was(self, frame: pd.DataFrame) -> None:
        again = pd.read_parquet(io.BytesIO(rendered(frame, "parquet")))
        pd.testing.assert_frame_equal(again, frame)
        assert again["digits"].tolist() == ["007", "1"]

    @pytest.mark.parametrize("format", ["csv", "json", "parquet"])
    def test_no_rows_are_a_file_too(self, frame: pd.DataFrame, format: Format, tmp_path: Path) -> None:
        export(frame.iloc[:0], format, tmp_path / "empty")
        data = (tmp_path / "empty").read_bytes()
        if format == "csv":
            assert data.decode() == EARLIER + ",scan_id,reason\n"
        elif format == "json":
            assert json.loads(data) == []
        else:
            pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(data)), frame.iloc[:0])

    @pytest.mark.parametrize("format", ["csv", "json", "parquet"])
    def test_the_same_rows_give_the_same_bytes(self, frame: pd.DataFrame, format: Format) -> None:
        assert rendered(frame, format) == rendered(frame.copy(), format)

    def test_replaces_a_file_whole(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        (tmp_path / "out.csv").write_text("x" * 10_000)
        export(frame, "csv", tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_bytes() == rendered(frame, "csv")
        assert not list(tmp_path.glob(".*"))

    def test_an_unknown_format_is_refused_before_anything_is_written(
        self, frame: pd.DataFrame, tmp_path: Path
    ) -> None:
        with pytest.raises(BadCommand, match="csv, json, parquet"):
            export(frame, "xlsx", tmp_path / "out")  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    def test_a_target_below_a_file_cannot_be_written(self, frame: pd.DataFrame, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(Transient, match="cannot be written"):
            export(frame, "csv", tmp_path / "file" / "out.csv")


def test_the_columns_are_those_people_script_against() -> None:
    assert ",".join(COLUMNS) + "\n" == HEAD
