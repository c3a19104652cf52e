"""`processor query` and `processor export`: rows that people ask for, and whole tables."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from processor.errors import Exit
from tests.conftest import Call


@pytest.mark.usefixtures("stored")
def test_a_query_prints_its_rows(call: Call) -> None:
    sql = "SELECT state, COUNT(*) AS n FROM scans GROUP BY state ORDER BY state"
    code, out, _ = call("query", sql)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["state", "n"],
        ["done", "2"],
        ["failed", "1"],
        ["queued", "1"],
    ]
    assert json.loads(call("query", sql, "--format", "json")[1])[0] == {"state": "done", "n": 2}


@pytest.mark.usefixtures("stored")
def test_missing_values_do_not_turn_whole_numbers_into_fractions(call: Call) -> None:
    rows = json.loads(call("query", "SELECT 7 AS n UNION ALL SELECT NULL ORDER BY n", "--format", "json")[1])
    assert rows == [{"n": None}, {"n": 7}]
    assert call("query", "SELECT 7 AS n UNION ALL SELECT NULL", "--format", "csv")[1] == "n\n7\n\n"


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM scans",
        "UPDATE numbers SET text = '1'",
        "DROP VIEW readings",
        "SELECT nothing",
        "nonsense",
    ],
)
def test_a_query_can_only_read(call: Call, sql: str) -> None:
    def told() -> dict[str, object]:
        said = json.loads(call("status", "--json")[1])
        # Others use the disk meanwhile.
        return {key: value for key, value in said.items() if key != "free_mb"}

    before = told()
    code, out, err = call("query", sql)
    assert code == Exit.BAD_COMMAND
    assert out == ""
    assert "Traceback" not in err
    assert told() == before


@pytest.mark.usefixtures("stored")
def test_two_columns_of_one_name_are_a_wrong_command(call: Call) -> None:
    code, _, err = call("query", "SELECT id, id FROM scans", "--format", "csv")
    assert code == Exit.BAD_COMMAND
    assert "AS" in err


@pytest.mark.parametrize(
    "table",
    [
        "readings",
        "digit_readings",
        "scans",
        "pages",
        "numbers",
        "digits",
        "corrections",
        "models",
        "refused_models",
        "two_readings",
    ],
)
def test_every_table_is_exported_whole(call: Call, stored: Path, table: str) -> None:
    counted = int(
        json.loads(call("query", f"SELECT COUNT(*) AS n FROM {table}", "--format", "json")[1])[0]["n"]
    )
    code, out, _ = call("export", table)
    assert code == 0
    assert len(list(csv.DictReader(io.StringIO(out)))) == counted
    assert len(json.loads(call("export", table, "--format", "json")[1])) == counted
    call("export", table, "-o", f"{table}.parquet")
    assert len(pd.read_parquet(stored / f"{table}.parquet")) == counted


@pytest.mark.usefixtures("stored")
def test_exported_moments_are_utc_in_words_everybody_reads(call: Call) -> None:
    row = json.loads(call("export", "scans", "--format", "json")[1])[0]
    assert row["finished_at"] == "2026-03-01T12:00:00Z"


@pytest.mark.usefixtures("stored")
def test_an_unknown_table_is_named_with_the_known_ones(call: Call) -> None:
    code, _, err = call("export", "secrets")
    assert code == Exit.BAD_COMMAND
    assert "digit_readings" in err
