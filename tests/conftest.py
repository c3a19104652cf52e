"""A product folder and a database of its own for each test, and the real command to run in the folder."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from benchmarks.postgres_server import NoServer, PostgresServer, running_server
from processor.cli import main
from processor.commands.config import default_file
from processor.results.database import open_database
from processor.settings import ENV_PREFIX
from tests.stored_scans import store_scans
from tests.text_house import House

DATABASES = ("sqlite", "postgresql")

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Called = tuple[int, str, str]
Call = Callable[..., Called]

PROCESSOR = Path(sys.executable).with_name("processor")


@pytest.fixture
def home(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory: a fresh settings file, an empty inbox, no setting from the environment.

    But for the place of the database, where that is on a server.
    """
    for variable in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(variable)
    folder = tmp_path / "home"
    (folder / "inbox").mkdir(parents=True)
    (folder / "settings.toml").write_text(default_file())
    monkeypatch.chdir(folder)
    if database_kind == "postgresql":
        monkeypatch.setenv(f"{ENV_PREFIX}DATABASE__URL", request.getfixturevalue("url"))
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started when a test first asks for it; the test is skipped where there is none."""
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install digit-inbox[postgres]")
    with ExitStack() as ends:
        try:
            running = ends.enter_context(running_server())
        except NoServer as missing:
            pytest.skip(str(missing))
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that are marked `databases` run on each of the two, but for those that are of SQLite alone."""
    marked = metafunc.definition.get_closest_marker
    if marked("databases") and not marked("sqlite") and "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", DATABASES, indirect=True)


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which of the two databases the test has."""
    return str(getattr(request, "param", DATABASES[0]))


@pytest.fixture
def url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The place of a database without a row: SQLite's is not there yet, the server's has its tables."""
    if database_kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("server")
        return server.emptied()
    return f"sqlite:///{tmp_path / 'results.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A new database there, with its tables."""
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def processor(home: Path) -> Command:
    """Runs the console command in the product folder, as a person would."""

    def run(*arguments: str | Path, **options: object) -> "subprocess.CompletedProcess[str]":
        command = [str(PROCESSOR), *map(str, arguments)]
        settings = {"cwd": home, "capture_output": True, "text": True, "timeout": 120, "check": False}
        return subprocess.run(command, **{**settings, **options})  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Runs `main` in this process: the exit code, stdout and stderr."""
    monkeypatch.chdir(home)

    def call(*arguments: str | Path) -> Called:
        monkeypatch.setattr(sys, "argv", ["processor", *map(str, arguments)])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        return int(code) if code is not None else 0, out.decode(), err.decode()

    return call


@pytest.fixture
def stored(home: Path) -> Path:
    """A product folder with a database in which two scans are done, one failed and one waits."""
    store_scans(home)
    return home


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    """A product folder whose scans are text files."""
    house = House(home)
    yield house
    house.database.dispose()
