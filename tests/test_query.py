"""`processor query` and `processor export`: rows that people ask for, and whole tables."""

import csv
import io
import json
import sqlite3
from contextlib import closing
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
def test_json_is_asked_for_as_everywhere(call: Call) -> None:
    for command in (["query", "SELECT id FROM scans"], ["export", "scans"], ["results"]):
        code, out, _ = call(*command, "--json")
        assert (code, out) == (0, call(*command, "--format", "json")[1])
        assert call(*command, "--json", "--format", "json") == (0, out, "")
        code, out, err = call(*command, "--json", "--format", "csv")
        assert (code, out) == (Exit.BAD_COMMAND, "")
        assert "--format csv" in err


@pytest.mark.usefixtures("stored")
def test_a_refusal_ends_with_one_full_stop(call: Call) -> None:
    """SQLite ends this one with a full stop of its own."""
    _, _, err = call("query", "SELECT 1; SELECT 2")
    assert "You can only execute one statement at a time.\n" in err


def test_a_table_without_rows_keeps_its_types(call: Call, stored: Path) -> None:
    filled = {"corrections": "INSERT INTO corrections (at) VALUES ('2026-03-01 12:00:00.000000')"}
    for table in ("corrections", "scans"):
        call("export", table, "-o", f"{table}.parquet")
        whole = pd.read_parquet(stored / f"{table}.parquet")
        with closing(sqlite3.connect(stored / "results" / "results.db")) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(filled.get(table, "DELETE FROM scans"))
        call("export", table, "-o", f"{table}.parquet")
        assert pd.read_parquet(stored / f"{table}.parquet").dtypes.to_dict() == whole.dtypes.to_dict()
    types = whole.dtypes.astype(str)  # of `scans`
    assert types[["id", "seconds", "file"]].tolist() == ["Int64", "Float64", "string"]
    assert types["finished_at"] == "datetime64[us, UTC]"


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


def test_what_is_json_in_the_database_is_json_in_a_cell(call: Call, stored: Path) -> None:
    with closing(sqlite3.connect(stored / "results" / "results.db")) as connection, connection:
        connection.execute('UPDATE models SET manifest = \'{"name": "cnn-ä", "sizes": [1]}\'')
    (row,) = csv.DictReader(io.StringIO(call("export", "models")[1]))
    assert json.loads(row["manifest"]) == {"name": "cnn-ä", "sizes": [1]}
    call("export", "models", "-o", "models.parquet")
    assert pd.read_parquet(stored / "models.parquet")["manifest"].tolist() == [row["manifest"]]
    (row,) = json.loads(call("export", "models", "--json")[1])
    assert row["manifest"]["sizes"] == [1]


@pytest.mark.usefixtures("stored")
def test_exported_moments_are_utc_in_words_everybody_reads(call: Call) -> None:
    row = json.loads(call("export", "scans", "--format", "json")[1])[0]
    assert row["finished_at"] == "2026-03-01T12:00:00Z"


@pytest.mark.usefixtures("stored")
def test_an_unknown_table_is_named_with_the_known_ones(call: Call) -> None:
    code, _, err = call("export", "secrets")
    assert code == Exit.BAD_COMMAND
    assert "digit_readings" in err
