"""The command line of `processor`: its help, what it refuses, and how the real command ends."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from processor import __version__
from processor.cli import app
from processor.errors import Exit
from tests.conftest import PROCESSOR, Call, Command

COMMANDS = [
    "run",
    "read",
    "status",
    "health",
    "results",
    "query",
    "export",
    "show",
    "reprocess",
    "models",
    "config",
]


def test_help_names_every_command(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", out)


@pytest.mark.parametrize("command", [*COMMANDS, "config show", "config init"])
def test_every_command_has_help_with_its_options(call: Call, command: str) -> None:
    code, out, err = call(*command.split(), "--help")
    assert code == 0
    assert err == ""
    if command != "config":
        assert "--settings" in out
        assert "--quiet" in out


def test_help_tells_the_defaults(call: Call) -> None:
    of_run = re.sub(r"[│\s]+", " ", call("run", "--help")[1])
    assert "Processes that read. [default: (workers.count of the settings)]" in of_run
    assert "[default: (the inbox)]" in of_run
    assert "readings" in call("export", "--help")[1]


@pytest.mark.parametrize("command", ["run", "config", "config init", "status"])
def test_a_flag_is_told_without_a_type(call: Call, command: str) -> None:
    out = call(*command.split(), "--help")[1]
    assert "<bool>" not in out
    assert "--help" in out
    assert "FILE" in out or command == "config"


@pytest.mark.parametrize(
    "command", ["run", "read", "query", "export", "show", "retry", "dismiss", "reprocess"]
)
def test_an_argument_and_a_number_are_told_without_types_of_python(call: Call, command: str) -> None:
    out = call(command, "--help")[1]
    assert not re.findall(r"<(?:list|str|int|float|path|Path)\b[^>]*>", out)
    if command == "show":
        assert "N [x>=1]" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["results", "--status", "foo"],
            "'--status': 'foo' is not one of 'accepted', 'review', 'corrected'.",
        ),
        (["run", "--workers", "x"], "'--workers': it should be a whole number"),
        (["run", "--workers", "0"], "'--workers': it should be 1 or more"),
    ],
)
def test_a_wrong_value_is_said_in_plain_words(call: Call, arguments: list[str], said: str) -> None:
    code, _, err = call(*arguments)
    assert code == Exit.BAD_COMMAND
    assert f"Invalid value for {said}" in re.sub(r"[│\s]+", " ", err)


def test_every_command_takes_settings_and_quiet() -> None:
    def leaves(group: object) -> list[object]:
        commands = getattr(group, "commands", None)
        return [leaf for c in commands.values() for leaf in leaves(c)] if commands else [group]

    from typer.main import get_command

    for command in leaves(get_command(app)):
        options = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
        assert {"--settings", "--quiet"} <= options


def test_the_version(call: Call) -> None:
    assert call("--version") == (0, f"processor {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--workers", "0"],
        ["run", "--workers", "many"],
        ["results", "--status", "perhaps"],
        ["results", "--format", "xml"],
        ["read"],
        ["show"],
        ["query"],
    ],
)
def test_a_wrong_command_line_is_exit_2(call: Call, arguments: list[str]) -> None:
    code, out, err = call(*arguments)
    assert code == Exit.BAD_COMMAND
    assert out == ""
    assert err != ""


def test_settings_may_stand_before_or_behind_the_command(call: Call, tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("[review]\nport = 1111\n")
    two.write_text("[review]\nport = 2222\n")

    def port(*arguments: str | Path) -> int:
        document = json.loads(call(*arguments)[1])
        return int(document["settings"]["review.port"]["value"])

    assert port("--settings", one, "config", "show", "--json") == 1111
    assert port("config", "show", "--settings", two, "--json") == 2222
    assert port("--settings", one, "config", "show", "--settings", two, "--json") == 2222


def test_errors_are_words_with_their_exit_code_and_no_traceback(call: Call, home: Path) -> None:
    (home / "settings.toml").write_text("[limits]\nmax_page = 1\n")
    code, out, err = call("status")
    assert code == Exit.BAD_SETTINGS
    assert out == ""
    assert "limits.max_page" in err
    assert "Traceback" not in err


def test_a_reader_that_leaves_early_is_no_error(stored: Path, processor: Command) -> None:
    command = f"{PROCESSOR} export digits | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=stored, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("id,")
    assert done.stderr == ""
    assert processor("status").returncode == 0


HEAVY = {
    *("torch", "cv2", "numpy", "pandas", "pyarrow", "PIL", "pypdfium2", "pebble", "watchdog", "ray"),
    *("alembic", "prometheus_client", "sqlalchemy.dialects.postgresql"),
}
"""What neither help nor a look at the database has a use for: each takes a tenth of a second or more."""


@pytest.mark.parametrize(
    ("command", "more"), [("--help", {"sqlalchemy", "pydantic"}), ("status", {"rich", "matplotlib"})]
)
def test_help_and_status_import_nothing_heavy(stored: Path, command: str, more: set[str]) -> None:
    script = (
        f"import sys; sys.argv = ['processor', {command!r}]\n"
        "from processor.cli import main\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=stored, capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.split())
    assert {"processor.cli", "typer"} <= imported
    assert imported & (HEAVY | more) == set()


@pytest.mark.usefixtures("stored")
def test_names_the_terminal_cannot_write_do_not_end_the_program(processor: Command) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = processor("query", "SELECT 'ä' AS name", env=environment)
    assert done.returncode == 0
    assert r"\xe4" in done.stdout
