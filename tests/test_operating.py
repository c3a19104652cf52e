"""What docs/operating.md says of states, messages, events, metrics and findings is what the program has."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processor.commands.health import judge
from processor.log_lines import LogFormat
from processor.logs import KEPT_FILES, MAX_BYTES
from processor.metrics import Metrics
from processor.pulse import BEAT_SECONDS, SILENT_SECONDS, DaemonState
from processor.results.database import BUSY_SECONDS, open_database
from processor.results.findings import Kind
from tests.test_docs import ROOT, named, read, rows, sections

PAGE = sections(read("docs/operating.md"), "##")
CODE = "".join(file.read_text("utf-8") for file in sorted((ROOT / "processor").rglob("*.py")))


def first_cells(title: str) -> set[str]:
    return {name for row in rows(PAGE[title]) for name in named(row[0])}


def test_every_state_of_a_run_is_explained() -> None:
    assert {state.value for state in DaemonState} <= first_cells("What status tells")


@pytest.mark.parametrize("name", ["hangs", "ended without a word"])
def test_what_status_says_of_the_dead_is_explained(name: str) -> None:
    assert name in first_cells("What status tells")
    assert name in CODE


def test_every_line_of_status_is_explained() -> None:
    labels = set(
        re.findall(r'yield "([a-z ]+)",', (ROOT / "processor/commands/status.py").read_text("utf-8"))
    )
    assert len(labels) > 8
    assert labels <= first_cells("What status tells")


def test_the_limits_of_health_are_told() -> None:
    text = PAGE["Health"]
    for figure in (BEAT_SECONDS, SILENT_SECONDS, BUSY_SECONDS):
        assert f"{figure:g} seconds" in text
    assert not judge([], datetime.now(UTC)).healthy


def test_every_event_is_one_that_is_logged() -> None:
    for event in first_cells("Logs"):
        if event.startswith("scan."):
            assert 'f"scan.{state}"' in CODE
        elif event.startswith("refused."):
            assert 'f"refused.{type(error).__name__}"' in CODE
        else:
            assert f'"{event}"' in CODE, event
    logged = set(re.findall(r'"event": "([a-z._]+)"', CODE)) | set(re.findall(r', "(run\.[a-z]+)"\)', CODE))
    assert len(logged) > 5
    assert logged <= first_cells("Logs")


def test_the_options_of_the_log_are_told() -> None:
    assert all(f"`--log-format {form.value}`" in PAGE["Logs"] for form in LogFormat)
    assert (f"{MAX_BYTES / 1e6:g} MB" in PAGE["Logs"], KEPT_FILES) == (True, 5)


def test_every_metric_is_described_and_no_other(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'results.db'}")
    metrics = Metrics(database, tmp_path)
    metrics.observe(DaemonState.WATCHING, {"watch": [{"path": "/in", "mode": "native"}]}, datetime.now(UTC))
    families = {f"{f.name}_info" if f.type == "info" else f.name for f in metrics.collect()}
    database.dispose()
    assert first_cells("Metrics") == families


def test_every_message_is_said_by_the_program() -> None:
    messages = first_cells("What it says, and what to do")
    assert len(messages) > 10
    for message in messages:
        assert message in CODE, message


def test_every_finding_of_verify_is_described() -> None:
    assert first_cells("What verify finds") == {kind.value for kind in Kind}
