"""The documentation says what the program does: its names are real; its commands, queries and links work."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from processor.cli import app as processor_app
from processor.commands.config import default_file
from processor.errors import Exit
from processor.intake.queue import claim, enqueue, fail, finish
from processor.records import Box, Cause, ScanState, Status, TwoReadings, Winner
from processor.results.database import open_database, open_read_only
from processor.results.queries import run_select
from processor.results.schema import VIEWS, metadata
from processor.results.tables import COLUMNS
from processor.settings import ENV_PREFIX, Settings, load
from tests.conftest import DATABASES, PROCESSOR
from tests.sample_readings import a_blob, a_number, a_page, a_result
from training.cli import app as training_app
from training.recipe import VALIDATION, Source, load_recipe
from training.sources import KINDS, SOURCES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WRITTEN = ("*.md", "docs/*.md", "deploy/*.md", "examples/*.md", "models_archive/**/*.md", "tests/data/*.md")
PAGES = sorted(page for pattern in WRITTEN for page in ROOT.glob(pattern))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Row = tuple[str, ...]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def sections(text: str, level: str) -> dict[str, str]:
    """The text below each heading of `level` (as `##`), up to the next heading of that level or above."""
    found: dict[str, str] = {}
    title: str | None = None
    for line in text.splitlines(keepends=True):
        heading = re.match(r"(#+) (.+)", line)
        if heading and len(heading[1]) <= len(level):
            title = heading[2].strip() if heading[1] == level else None
        elif title is not None:
            found[title] = found.get(title, "") + line
    return found


def rows(text: str) -> list[Row]:
    """The cells of every row of the Markdown tables in `text`, head lines and rules left out."""
    lines = text.splitlines()
    table = [line for i, line in enumerate(lines) if line.startswith("|") and not _is_head(lines, i)]
    cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in table]
    return [tuple(cell.strip().replace(r"\|", "|") for cell in row) for row in cells]


def _is_head(lines: list[str], i: int) -> bool:
    after = lines[i + 1] if i + 1 < len(lines) else ""
    return any(re.fullmatch(r"\|[\s|:-]+\|", line) for line in (lines[i], after))


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


# Commands


@dataclass(frozen=True)
class Documented:
    """A command of one of the two programs, as it can be called."""

    name: str
    command: Any

    def __str__(self) -> str:
        return self.name


def commands(name: str, command: Any) -> Iterator[Documented]:
    if hasattr(command, "commands"):
        for part, below in command.commands.items():
            yield from commands(f"{name} {part}", below)
    else:
        yield Documented(name, command)


PROGRAMS = {"processor": get_command(processor_app), "training": get_command(training_app)}
COMMANDS = [found for name, program in PROGRAMS.items() for found in commands(name, program)]
COMMON = "What every command takes"
COMMANDS_PAGE = sections(read("docs/commands.md"), "##")
COMMON_OPTIONS = {name.split()[0] for row in rows(COMMANDS_PAGE[COMMON]) for name in named(row[0])}


def names_of(parameter: Any) -> set[str]:
    """`--output` and `-o` of an option, `PATH` of an argument."""
    if parameter.opts[0].startswith("-"):
        return set(parameter.opts)
    return {(parameter.metavar or parameter.name).strip("[].")}


def default_of(parameter: Any) -> str | None:
    """The default as the documentation writes it; `None` where there is none."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if isinstance(parameter.default, bool):
        return "off"
    if parameter.default is None or parameter.required:
        return None
    return str(getattr(parameter.default, "value", parameter.default))


@pytest.mark.parametrize("documented", COMMANDS, ids=str)
def test_every_option_is_described_with_its_default(documented: Documented) -> None:
    described = {}
    for row in rows(COMMANDS_PAGE[documented.name]):
        for name in named(row[0]):
            described[name.split()[0]] = row
    for parameter in documented.command.params:
        names = names_of(parameter)
        if names <= COMMON_OPTIONS and not names & described.keys():
            continue
        for name in names:
            assert name in described, f"{documented}: {name} is not described"
            _, default, meaning = described.pop(name)
            assert default.strip("`") == (default_of(parameter) or ""), f"{documented} {name}"
            assert len(meaning) > 10
    assert not described, f"{documented} has no {', '.join(described)}"


@pytest.mark.parametrize("documented", COMMANDS, ids=str)
def test_every_command_takes_the_common_options_and_has_an_example(documented: Documented) -> None:
    own = {name for parameter in documented.command.params for name in parameter.opts}
    assert COMMON_OPTIONS - {"--help", "-h"} <= own
    examples = "".join(blocks(COMMANDS_PAGE[documented.name], "sh"))
    assert any(line.startswith(documented.name) for line in examples.splitlines())


def test_no_command_is_described_that_is_not_there() -> None:
    described = {title for title in COMMANDS_PAGE if title.startswith(tuple(PROGRAMS))}
    assert described == {documented.name for documented in COMMANDS}


def shell_lines(page: Path) -> list[str]:
    """The lines that call one of the two programs: in code blocks, and within the text."""
    text = page.read_text("utf-8")
    found = [line.removeprefix("$ ") for kind in ("sh", "console") for line in _lines(blocks(text, kind))]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found += [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose)]
    return [line for line in found if re.match(r"(processor|training) [a-z]", line)]


def _lines(texts: list[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_in_the_text_is_understood(page: Path) -> None:
    for line in shell_lines(page):
        words = shlex.split(line.partition(" > ")[0], comments=True)
        command = PROGRAMS[words.pop(0)]
        while hasattr(command, "commands") and words:
            assert words[0] in command.commands, f"{page.name}: there is no `{line}`"
            command = command.commands[words.pop(0)]
        needs = [p for p in command.params if p.required]
        if words or not needs:
            # A bare `processor read` in the text is the command's name; with words, they must be right.
            command.make_context(line, words)


def test_the_exit_codes_are_described() -> None:
    for page, title in (("README.md", "Exit codes"), ("docs/commands.md", "Exit codes")):
        codes = {int(row[0]) for row in rows(sections(read(page), "##")[title])}
        assert codes == set(Exit)


# Settings


def test_every_setting_is_described_with_default_range_and_variable() -> None:
    described = {named(row[0])[0]: row for row in rows(read("docs/settings.md"))}
    wanted = list(settings_of(default_file()))
    assert set(described) == {name for name, _, _ in wanted}
    for name, default, limits in wanted:
        _, shown_default, shown_limits, variable, meaning = described[name]
        assert shown_default == f"`{default}`", name
        assert limits is None or shown_limits == limits, name
        assert variable == f"`{ENV_PREFIX}{name.replace('.', '__').upper()}`"
        assert len(meaning) > 10


def settings_of(text: str) -> Iterator[tuple[str, str, str | None]]:
    """Name, default and range of each key in the default settings file."""
    section, limits = "", None
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif key := re.fullmatch(r"#(\w+) = (.+)", line):
            yield f"{section}.{key[1]}", key[2], limits
        elif line.startswith("# "):
            found = re.search(r"\(([^()]+)\)$", line)
            limits = found[1] if found else None


def test_the_settings_file_in_the_text_is_accepted(home: Path) -> None:
    for block in blocks(read("docs/settings.md"), "toml"):
        (home / "settings.toml").write_text(block)
        loaded = load(home / "settings.toml")
        assert loaded.values != Settings()


# The database


@pytest.mark.parametrize("table", [*VIEWS, *metadata.sorted_tables], ids=lambda table: str(table.name))
def test_every_column_is_described(table: Any) -> None:
    described = sections(read("docs/database.md"), "###")[table.name]
    assert [named(row[0])[0] for row in rows(described)] == list(table.columns.keys())
    assert all(row[1] for row in rows(described))


def test_no_table_is_described_that_is_not_there() -> None:
    described = set(sections(read("docs/database.md"), "###"))
    assert described == {table.name for table in (*VIEWS, *metadata.sorted_tables)}


def test_every_status_state_and_cause_is_described() -> None:
    page = sections(read("docs/database.md"), "##")
    assert {named(row[0])[0] for row in rows(page["Statuses"])} == set(Status)
    assert {named(row[0])[0] for row in rows(page["Reasons"])} == set(Cause)
    states = next(row[1] for row in rows(page["Tables"]) if row[0] == "`state`")
    assert set(named(states)) == set(ScanState)


def test_the_csv_columns_are_those_of_the_view_as_the_text_says() -> None:
    view = next(iter(VIEWS))
    assert view.name == "readings"
    assert {*COLUMNS, "scan_id"} - {"hash"} == set(view.columns.keys())
    described = sections(read("docs/database.md"), "##")["The CSV files"]
    assert [named(row[0])[0] for row in rows(described)] == list(COLUMNS[-2:])


@pytest.fixture(scope="module", params=DATABASES)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database in which every question of the documentation has an answer."""
    folder = tmp_path_factory.mktemp("stored")
    on_server = request.param == "postgresql"
    url = request.getfixturevalue("server").new() if on_server else f"sqlite:///{folder / 'results.db'}"
    database = open_database(url)
    for number, file in enumerate(("form.png", "broken.png")):
        enqueue(database, source=folder, file=file, sha256=f"{number}" * 64, bytes=9, now=NOW)
    enqueue(database, source=folder, file="copy.png", sha256="0" * 64, bytes=9, now=NOW)
    low_right = replace(a_number("30065956"), box=Box(2000, 3000, 300, 60))
    twice = TwoReadings(
        first="12", first_confidence=0.4, second="17", second_confidence=0.3, winner=Winner.FIRST
    )
    differs = replace(a_number("12", Status.REVIEW), twice=twice)
    page = a_page(low_right, differs, rejected=(a_blob(),))
    for _ in range(2):
        job = claim(database, NOW, 60)
        assert job is not None
        if job.file == "form.png":
            finish(database, job, a_result(page), NOW)
        else:
            fail(database, job, "BadScan", "broken.png is empty.", NOW)
    database.dispose()
    return url


BEFORE_THE_COLON = next(
    [name for cell in row[1:] for name in named(cell)]
    for row in rows(sections(read("docs/database.md"), "##")["On a PostgreSQL server"])
    if "before the colon" in row[0]
)


def documented_queries() -> list[str]:
    shown = [query for page in PAGES for query in blocks(page.read_text("utf-8"), "sql")]
    lines = (line for page in PAGES for line in shell_lines(page) if line.startswith("processor query"))
    return shown + [words[2] for line in lines if len(words := shlex.split(line)) > 2]


@pytest.mark.parametrize("query", documented_queries())
def test_every_query_in_the_text_gives_an_answer(stored: str, query: str) -> None:
    database = open_read_only(stored)
    if database.dialect.name == "postgresql":
        of_sqlite, of_postgresql = BEFORE_THE_COLON
        query = query.replace(of_sqlite, of_postgresql)
    try:
        columns, found = run_select(database, query)
    finally:
        database.dispose()
    assert columns
    # "Below 0.9" is an example of a condition, which the sample's readings of 0.9 just miss.
    assert found or "confidence < 0.9" in query


# What a new user does first


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder with small `examples/`: a form and a photo, each with four handwritten digits."""
    with np.load(ROOT / "tests" / "data" / "mnist-sample.npz") as sample:
        images, labels = sample["images"], sample["labels"]
    (tmp_path / "examples").mkdir()
    for name, digits in (("form.png", (3, 4, 5, 6)), ("photo.jpg", (7, 8, 9, 0))):
        pixels = np.full((160, 400), 255, np.uint8)
        for place, digit in enumerate(digits):
            image = Image.fromarray(images[labels == digit][0]).resize((56, 56), Image.Resampling.BICUBIC)
            pixels[50:106, 30 + 90 * place : 86 + 90 * place] -= np.asarray(image)
        Image.fromarray(pixels).save(tmp_path / "examples" / name)
    return tmp_path


def test_the_commands_of_the_readme_run_as_they_stand(newcomer: Path) -> None:
    lines = _lines(blocks(read("README.md"), "console"))
    assert len(lines) > 10
    assert all(line.startswith("$ ") for line in lines)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    # A second worker would spend seconds on loading what it finds no scan for.
    environment[f"{ENV_PREFIX}WORKERS__COUNT"] = "1"
    environment["PATH"] = f"{PROCESSOR.parent}{os.pathsep}{environment['PATH']}"
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line.removeprefix("$ ")],
            cwd=newcomer,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == Exit.DONE, f"{line}\n{done.stderr}"
    for made in ("results/results.db", "results/numbers.csv", "numbers.csv", "form.json"):
        assert (newcomer / made).is_file(), made
    assert len(list((newcomer / "results" / "annotated").iterdir())) == 2
    assert len(list((newcomer / "results" / "processed").iterdir())) == 1
    assert list((newcomer / "readout").glob("photo-*"))
    assert json.loads((newcomer / "form.json").read_text())


# The text as a whole


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.strip("<>").partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{page.name}: {target}"


def anchors(text: str) -> set[str]:
    """The names that headings are linked by."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def test_every_page_and_picture_is_linked_and_small() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    }
    assert set(DOCS.glob("*.md")) - {DOCS / "README.md"} <= linked
    pictures = list((DOCS / "images").iterdir())
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture in linked, picture.name
        assert picture.stat().st_size < 300_000, picture.name
        with Image.open(picture) as image:
            image.load()


def test_every_make_target_in_the_text_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in re.findall(r"(?:`|^)make ([\w-]+)", text, re.MULTILINE):
            assert name in targets, f"{page.name}: make {name}"


def test_every_message_for_a_bad_file_is_said_by_the_program() -> None:
    code = "".join(file.read_text("utf-8") for file in sorted((ROOT / "processor").rglob("*.py")))
    messages = rows(sections(read("docs/bad-input.md"), "##")["Files that fail"])
    assert len(messages) > 10
    for _, message, remedy in messages:
        assert named(message)[0] in code, message
        assert remedy


def test_every_source_of_training_is_described() -> None:
    page = sections(read("docs/training.md"), "##")["Sources and their licences"]
    described = {named(row[0])[0] for row in rows(page)}
    assert described >= set(SOURCES)
    assert {name for name in described if "/" not in name} == set(SOURCES)


def test_every_kind_and_key_of_a_source_of_ones_own_is_described() -> None:
    page = sections(read("docs/training.md"), "##")["Data of your own"]
    described = [(named(row[0])[0], row[1]) for row in rows(page)]
    assert [name for name, _ in described[: len(KINDS)]] == list(KINDS)
    defaults = {name: shown.strip("`") for name, shown in described[len(KINDS) :]}
    of_some_kinds = {"kind", "path", "table", "part"}
    assert defaults.keys() | of_some_kinds == Source.model_fields.keys()
    for key in ("untouched", "samples", "licence"):
        assert defaults[key] == f"{Source.model_fields[key].default:{'g' if key == 'untouched' else ''}}"
    assert float(defaults["validation"]) == VALIDATION


def test_the_recipe_in_the_text_is_accepted(tmp_path: Path) -> None:
    (passage,) = blocks(sections(read("docs/training.md"), "##")["Data of your own"], "toml")
    (tmp_path / "own.toml").write_text(passage)
    assert {source.kind for source in load_recipe(str(tmp_path / "own.toml")).source} <= KINDS.keys()


def test_every_part_of_the_program_is_in_its_map() -> None:
    page = read("docs/architecture.md")
    parts = [path for path in (ROOT / "processor").iterdir() if not path.name.startswith("_")]
    parts = [path for path in parts if path.suffix == ".py" or (path / "__init__.py").is_file()]
    assert len(parts) > 10
    for part in parts:
        assert part.name in page, part.name
    for file in re.findall(r"`((?:\w+/)+\w+\.py)`", page):
        assert (ROOT / "processor" / file).is_file(), file


def test_no_text_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.])/(?:work|root|Users|home/(?!me/)\w+)/|\w:\\Users\\")
    kinds = (".py", ".md", ".toml", ".txt", ".json", ".yml", ".csv", "")
    tops = [path for path in ROOT.iterdir() if path.is_file() or path.name in _OURS]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*"))]
    texts = [file for file in files if file.is_file() and file.suffix in kinds]
    assert len(texts) > 100
    for file in texts:
        found = place.search(file.read_text("utf-8", errors="replace"))
        assert found is None, f"{file}: {found}"


_OURS = {
    "benchmarks",
    "deploy",
    "docs",
    "examples",
    "models_archive",
    "processor",
    "tests",
    "training",
    ".ci",
}
