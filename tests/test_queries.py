"""Questions to the database: counts that agree, tables by filter, one scan in full, SQL that only reads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from processor.errors import BadCommand, BadDatabase, Exit
from processor.intake.queue import claim, enqueue, fail, finish
from processor.records import ScanResult, Status
from processor.results.database import open_read_only, writing
from processor.results.queries import Summary, readings, run_select, scan_report, summary
from processor.results.schema import scans
from tests.sample_readings import a_blob, a_number, a_page, a_result

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INBOX = Path("/inbox")


def show(engine: Engine, file: str, content: str, source: Path = INBOX) -> None:
    enqueue(engine, source=source, file=file, sha256=content * 64, bytes=9, now=NOW)


def store(
    engine: Engine,
    file: str,
    content: str,
    result: ScanResult,
    *,
    source: Path = INBOX,
    at: datetime = NOW,
) -> None:
    show(engine, file, content, source)
    job = claim(engine, at, 60, sources=[source])
    assert job is not None
    finish(engine, job, result, at)


class TestSummary:
    def test_of_an_empty_database_is_nothing(self, engine: Engine) -> None:
        counts = summary(engine)
        assert {getattr(counts, name) for name in Summary.__slots__} == {0}

    def test_counts_every_outcome_once(self, engine: Engine) -> None:
        page = a_page(a_number("12"), a_number("345", Status.REVIEW), rejected=(a_blob(), a_blob()))
        store(engine, "done.png", "a", a_result(page, a_page(page=2)))
        show(engine, "bad.png", "b")
        bad = claim(engine, NOW, 60)
        assert bad is not None
        fail(engine, bad, "BadScan", "empty", NOW)
        show(engine, "copy.png", "a")
        show(engine, "running.png", "c")
        claim(engine, NOW, 60)
        show(engine, "waiting.png", "d")
        assert summary(engine) == Summary(
            **{"seen": 5, "done": 1, "failed": 1, "duplicate": 1, "ignored": 0, "pending": 2},
            **{"pages": 2, "numbers": 2, "digits": 5, "review": 3, "rejected": 2, "accepted": 1},
            expected_wrong=0.1,
        )

    def test_tells_the_share_accepted_and_the_error_expected_in_it(self, engine: Engine) -> None:
        sure, less, doubtful = a_number("1", confidence=0.99), a_number("2", confidence=0.97), Status.REVIEW
        store(engine, "a.png", "a", a_result(a_page(sure, less, a_number("3", doubtful, confidence=0.3))))
        assert summary(engine).trust() == {"accepted_share": 0.6667, "expected_error": 0.02}

    def test_of_nothing_expects_no_error(self, engine: Engine) -> None:
        assert summary(engine).trust() == {"accepted_share": 0.0, "expected_error": 0.0}

    def test_a_state_that_nobody_counts_is_a_fault(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        with writing(engine) as connection:
            connection.execute(update(scans).values(state="vanished"))
        with pytest.raises(BadDatabase, match="1 scans seen, but 0 done") as caught:
            summary(engine)
        assert caught.value.exit_code == Exit.BAD_DATABASE


class TestReadings:
    @pytest.fixture
    def filled(self, engine: Engine) -> Engine:
        store(engine, "sub/b.png", "a", a_result(a_page(a_number("007"), a_number("-1,5", Status.REVIEW))))
        store(
            engine,
            "a.png",
            "b",
            a_result(a_page(a_number("2", field="year")), a_page(a_number("3"), page=2)),
            at=NOW + timedelta(hours=1),
        )
        store(engine, "A[1].PNG", "c", a_result(a_page()))
        return engine

    def test_come_by_file_page_and_position(self, filled: Engine) -> None:
        found = readings(filled)
        columns = "file page position text digits confidence status field x y width height model scan_id"
        assert list(found.columns) == [*columns.split(), "reason"]
        assert list(
            found[["file", "page", "position", "text", "digits"]].itertuples(index=False, name=None)
        ) == [
            ("a.png", 1, 1, "2", "2"),
            ("a.png", 2, 1, "3", "3"),
            ("sub/b.png", 1, 1, "007", "007"),
            ("sub/b.png", 1, 2, "-1,5", "15"),
        ]

    def test_types_do_not_depend_on_what_was_found(self, filled: Engine) -> None:
        some, none = readings(filled), readings(filled, file_glob="nothing")
        assert len(none) == 0
        assert list(none.dtypes) == list(some.dtypes)
        assert some["field"].isna().tolist() == [False, True, True, True]

    @pytest.mark.parametrize(
        ("glob", "texts"),
        [
            ("*", ["2", "3", "007", "-1,5"]),
            ("*.png", ["2", "3", "007", "-1,5"]),
            ("b.png", ["007", "-1,5"]),
            ("sub/*", ["007", "-1,5"]),
            ("[ab].png", ["2", "3", "007", "-1,5"]),
            ("?.png", ["2", "3", "007", "-1,5"]),
            ("a*", ["2", "3"]),
            ("a.png\n", []),
            ("A*", []),
            ("B.png", []),
            ("ub/b.png", []),
            (".png", []),
        ],
    )
    def test_by_path_or_name(self, filled: Engine, glob: str, texts: list[str]) -> None:
        assert readings(filled, file_glob=glob)["text"].tolist() == texts

    def test_by_status(self, filled: Engine) -> None:
        assert readings(filled, status="review")["text"].tolist() == ["-1,5"]
        assert readings(filled, status="accepted", file_glob="sub/*")["text"].tolist() == ["007"]
        assert readings(filled, status="corrected").empty

    @pytest.mark.parametrize("status", ["", "Review", "rejected", "done"])
    def test_a_status_that_no_number_has_is_refused(self, filled: Engine, status: str) -> None:
        with pytest.raises(BadCommand, match="accepted, review, corrected"):
            readings(filled, status=status)

    def test_since_a_moment(self, filled: Engine) -> None:
        assert len(readings(filled, since=NOW)) == 4
        assert readings(filled, since=NOW + timedelta(seconds=1))["text"].tolist() == ["2", "3"]
        assert readings(filled, since=NOW + timedelta(hours=2)).empty

    def test_two_contents_of_one_place_do_not_mix(self, engine: Engine) -> None:
        for content, text in (("a", "1"), ("b", "2")):
            store(engine, "x.png", content, a_result(a_page(a_number(text)), a_page(a_number(text), page=2)))
        assert readings(engine)["text"].tolist() == ["1", "1", "2", "2"]


class TestSelect:
    @pytest.fixture
    def only(self, engine: Engine, url: str) -> Iterator[Engine]:
        store(engine, "a.png", "a", a_result(a_page(a_number("007"))))
        only = open_read_only(url)
        yield only
        only.dispose()

    def test_gives_columns_and_rows(self, only: Engine) -> None:
        assert run_select(only, "SELECT digits, page AS p FROM readings") == (["digits", "p"], [("007", 1)])
        assert run_select(only, "SELECT file FROM scans WHERE state = 'failed'") == (["file"], [])

    @pytest.mark.parametrize(
        "sql",
        [
            "-- mine\nSELECT 1;",
            "WITH n(i) AS (VALUES (1)) SELECT i FROM n",
            "SELECT COUNT(*) FROM digit_readings WHERE digit = '7'",
            "SELECT 1 WHERE 'a%' LIKE 'a\\%' ESCAPE '\\' AND ':x' <> '?'",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 1) SELECT i FROM n",
        ],
    )
    def test_takes_what_sql_people_write(self, only: Engine, sql: str) -> None:
        assert run_select(only, sql)[1] == [(1,)]

    @pytest.mark.sqlite
    def test_shows_the_shape_of_the_tables(self, only: Engine) -> None:
        columns, rows = run_select(only, "PRAGMA table_info(numbers)")
        assert "digits" in [row[columns.index("name")] for row in rows]
        assert ("readings",) in run_select(only, "SELECT name FROM sqlite_master WHERE type = 'view'")[1]
        assert run_select(only, "EXPLAIN QUERY PLAN SELECT * FROM readings")[1]

    @pytest.mark.sqlite
    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM scans",
            "WITH n AS (SELECT 1) DELETE FROM scans",
            "INSERT INTO models VALUES ('x', 'y', 'z', 'now') RETURNING name",
            "DROP TABLE scans",
            "ATTACH 'other.db' AS other",
            "PRAGMA query_only = OFF",
            "PRAGMA user_version = 5",
        ],
    )
    def test_a_write_is_refused_with_a_clear_word(self, only: Engine, sql: str) -> None:
        with pytest.raises(BadCommand, match="may only read") as caught:
            run_select(only, sql)
        assert caught.value.exit_code == Exit.BAD_COMMAND
        assert summary(only).done == 1

    @pytest.mark.sqlite
    @pytest.mark.parametrize(
        ("sql", "says"),
        [
            ("SELEC 1", 'near "SELEC"'),
            ("SELECT colour FROM scans", "no such column: colour"),
            ("SELECT * FROM scan", "no such table: scan"),
            ("SELECT 1; DELETE FROM scans", "one statement at a time"),
            ("", "no rows"),
            ("-- nothing", "no rows"),
            ("COMMIT", "no rows"),
            ("VACUUM", "VACUUM"),
        ],
    )
    def test_what_is_no_query_is_refused(self, only: Engine, sql: str, says: str) -> None:
        with pytest.raises(BadCommand, match=says):
            run_select(only, sql)
        assert run_select(only, "SELECT 1")[1] == [(1,)]


class TestScanReport:
    def test_holds_all_that_was_read(self, engine: Engine) -> None:
        page = a_page(
            a_number("12", Status.REVIEW), a_number("3"), rejected=(a_blob("speck"), a_blob("mark"))
        )
        store(engine, "sub/a.png", "a", a_result(page, a_page(page=2)))
        report = scan_report(engine, "sub/a.png")
        assert (report.scan["state"], report.scan["model"], report.scan["finished_at"]) == (
            "done",
            "cnn-a",
            NOW,
        )
        first, second = report.pages
        assert [(n.number["text"], [d["digit"] for d in n.digits]) for n in first.numbers] == [
            ("12", ["1", "2"]),
            ("3", ["3"]),
        ]
        digit = first.numbers[0].digits[1]
        assert (digit["digit"], digit["second"], digit["third"]) == ("2", "7", "none")
        assert [blob["reason"] for blob in first.rejected] == ["speck", "mark"]
        assert (second.page["page"], second.numbers, second.rejected) == (2, (), ())

    def test_of_a_failure_says_why(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        job = claim(engine, NOW, 60)
        assert job is not None
        fail(engine, job, "BadScan", "a.png is empty.", NOW)
        report = scan_report(engine, "a.png")
        assert (report.scan["error"], report.scan["message"], report.pages) == (
            "BadScan",
            "a.png is empty.",
            (),
        )

    @pytest.mark.parametrize("named", ["sub/a.png", "a.png", "/inbox/sub/a.png"])
    def test_is_found_by_path_or_bare_name(self, engine: Engine, named: str) -> None:
        show(engine, "sub/a.png", "a")
        show(engine, "ba.png", "b")
        assert scan_report(engine, named).scan["file"] == "sub/a.png"

    def test_is_found_by_its_path_on_the_disk(
        self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        show(engine, "a.png", "a", tmp_path / "one")
        show(engine, "a.png", "b", tmp_path / "two")
        monkeypatch.chdir(tmp_path)
        assert scan_report(engine, "two/a.png").scan["sha256"] == "b" * 64

    def test_a_path_below_the_source_wins_over_a_bare_name(self, engine: Engine) -> None:
        show(engine, "sub/a.png", "a")
        show(engine, "a.png", "b")
        assert scan_report(engine, "a.png").scan["sha256"] == "b" * 64

    def test_of_a_replaced_file_is_the_newest(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        show(engine, "a.png", "b")
        assert scan_report(engine, "a.png").scan["sha256"] == "b" * 64

    def test_a_copy_of_the_same_name_gives_way_to_what_was_read(self, engine: Engine) -> None:
        store(engine, "one/a.png", "a", a_result(a_page(a_number("12"))))
        show(engine, "two/a.png", "a")
        assert scan_report(engine, "a.png").scan["file"] == "one/a.png"
        assert scan_report(engine, "two/a.png").scan["state"] == "duplicate"

    def test_a_name_in_two_folders_is_asked_back(self, engine: Engine) -> None:
        show(engine, "x/a.png", "a")
        show(engine, "y/a.png", "b")
        with pytest.raises(BadCommand, match=r"2 scans.*/inbox/x/a\.png, /inbox/y/a\.png") as caught:
            scan_report(engine, "a.png")
        assert caught.value.exit_code == Exit.BAD_COMMAND

    def test_of_many_candidates_some_are_named(self, engine: Engine) -> None:
        for number in range(12):
            enqueue(engine, source=INBOX, file=f"{number:02}/a.png", sha256=f"{number:064}", bytes=1, now=NOW)
        with pytest.raises(BadCommand, match=r"09/a\.png and 2 more"):
            scan_report(engine, "a.png")

    @pytest.mark.parametrize("named", ["A.PNG", "form_1.pgn", "form%1.png", "orm-1.png"])
    def test_what_was_never_seen_gets_a_suggestion(self, engine: Engine, named: str) -> None:
        show(engine, "form-1.png", "a")
        with pytest.raises(BadCommand, match=r"was seen\. There is form-1\.png"):
            scan_report(engine, named)

    def test_an_empty_database_says_so(self, engine: Engine) -> None:
        with pytest.raises(BadCommand, match="Nothing was read yet"):
            scan_report(engine, "a.png")
