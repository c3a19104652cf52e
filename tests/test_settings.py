"""Settings: where each value comes from, what is refused and in what words, and the default file."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.commands.config import default_file
from processor.errors import BadSettings
from processor.settings import FILE_NAME, Settings, Workers, find_file, load
from training.commands.options import data_of

EVERY_KEY = {
    f"{name}.{key}"
    for name, section in Settings.model_fields.items()
    for key in section.annotation.model_fields  # type: ignore[union-attr]
}


def write(folder: Path, text: str) -> Path:
    file = folder / FILE_NAME
    file.write_text(text, "utf-8")
    return file


def refusal(file: Path | None = None) -> str:
    with pytest.raises(BadSettings) as caught:
        load(file)
    return str(caught.value)


def test_flags_win_over_the_environment_over_the_file_over_defaults(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(home, "[limits]\nmax_pages = 1\nmax_megabytes = 2\nmax_megapixels = 3\n")
    monkeypatch.setenv("PROCESSOR_LIMITS__MAX_PAGES", "10")
    monkeypatch.setenv("PROCESSOR_LIMITS__MAX_MEGABYTES", "20")
    settings = load(flags={"limits.max_pages": 100})
    limits = settings.values.limits
    assert (limits.max_pages, limits.max_megabytes, limits.max_megapixels) == (100, 20, 3)
    assert settings.origins["limits.max_pages"] == "flag"
    assert settings.origins["limits.max_megabytes"] == "PROCESSOR_LIMITS__MAX_MEGABYTES"
    assert settings.origins["limits.max_megapixels"] == str(file)
    assert settings.origins["limits.seconds_per_scan"] == "default"
    assert set(settings.origins) == EVERY_KEY


def test_the_nearest_file_upward_is_used_and_its_folder_is_the_base(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = home / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    settings = load()
    assert settings.base == home.resolve()
    assert settings.inbox == home.resolve() / "inbox"
    assert settings.database_url == f"sqlite:///{home.resolve() / 'results' / 'results.db'}"
    write(home / "a", "[paths]\ninbox = '/elsewhere'\n")
    assert load().inbox == Path("/elsewhere")


@pytest.mark.usefixtures("home")
def test_a_named_file_wins_over_the_variable_over_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(_folder(tmp_path / "one"), "[review]\nport = 1111\n")
    two = write(_folder(tmp_path / "two"), "[review]\nport = 2222\n")
    assert load().values.review.port == 8765
    monkeypatch.setenv("PROCESSOR_SETTINGS", str(one))
    assert load().values.review.port == 1111
    assert load(two).values.review.port == 2222


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_no_file_anywhere_means_defaults(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / FILE_NAME).unlink()
    monkeypatch.chdir(_folder(tmp_path / "bare"))
    assert find_file(Path.cwd()) is None
    settings = load()
    assert settings.file is None
    assert settings.values == Settings()


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "nothing.toml does not exist" in refusal(tmp_path / "nothing.toml")


def test_an_unknown_key_is_refused_with_its_file_and_what_there_is(home: Path) -> None:
    file = write(home, "[limits]\nmax_page = 3\n")
    said = refusal()
    assert f"{file}: there is no setting limits.max_page" in said
    assert "max_pages" in said


def test_an_unknown_section_is_refused(home: Path) -> None:
    write(home, "[limit]\nmax_pages = 3\n")
    assert "there is no section [limit]" in refusal()
    assert "limits" in refusal()


def test_a_key_outside_every_section_is_refused(home: Path) -> None:
    write(home, "max_pages = 3\n")
    assert "`max_pages` stands outside every section" in refusal()


def test_broken_toml_is_refused_with_its_line(home: Path) -> None:
    write(home, "[limits]\nmax_pages = \n")
    assert "line 2" in refusal()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers.count", 0),
        ("workers.count", "many"),
        ("workers.engine", "threads"),
        ("rejection.max_error_rate", 0.9),
        ("limits.max_pages", -1),
        ("intake.rescan_seconds", 0),
        ("outputs.annotated", "gif"),
        ("recognition.device", "gpu"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name_and_value(name: str, value: object) -> None:
    with pytest.raises(BadSettings) as caught:
        load(flags={name: value})
    said = str(caught.value)
    assert name in said
    assert repr(value) in said
    assert "flag" in said


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("workers.count", 0, "it should be 1 or more, or it should be 'auto'"),
        ("workers.count", "x", "it should be a whole number, or it should be 'auto'"),
        ("paths.inbox", 3, "it should be a path"),
        ("intake.ignore", "x", "it should be a list"),
        ("intake.rescan_seconds", 0, "it should be above 0"),
        ("outputs.annotated", "gif", "it should be 'jpg', 'png' or 'none'"),
        ("recognition.device", "gpu", "it should be cpu, cuda, cuda:N or auto"),
        ("recognition.model", "", "it should not be empty"),
    ],
)
def test_what_would_be_right_is_said_in_plain_words(name: str, value: object, right: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load(flags={name: value})
    assert str(caught.value).startswith(f"flag: {name} = {value!r} is refused: {right}.")


def test_an_unknown_variable_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSOR_LIMITZ__MAX_PAGES", "3")
    assert "PROCESSOR_LIMITZ__MAX_PAGES names no section" in refusal()
    monkeypatch.delenv("PROCESSOR_LIMITZ__MAX_PAGES")
    monkeypatch.setenv("PROCESSOR_LIMITS__MAX_PAGEZ", "3")
    assert "PROCESSOR_LIMITS__MAX_PAGEZ: there is no setting limits.max_pagez" in refusal()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", ['["*.bmp", "draft-*"]', "*.bmp, draft-*"])
def test_lists_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PROCESSOR_INTAKE__IGNORE", text)
    assert load().values.intake.ignore == ("*.bmp", "draft-*")


def test_what_the_environment_says_wrongly_is_not_to_be_corrected_in_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(home, "[limits]\nmax_pages = 1\n")
    monkeypatch.setenv("PROCESSOR_WORKERS__COUNT", "two")
    with pytest.raises(BadSettings) as wrong:
        load()
    assert wrong.value.remedy == "Correct PROCESSOR_WORKERS__COUNT in the environment, or unset it."
    write(home, "[limits]\nmax_pages = 'many'\n")
    with pytest.raises(BadSettings) as wrong:
        load()
    assert str(file) in wrong.value.remedy


def test_one_underscore_after_the_section_is_refused_with_the_right_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROCESSOR_LIMITS_MAX_PAGES", "5")
    with pytest.raises(BadSettings, match="PROCESSOR_LIMITS__MAX_PAGES"):
        load()


def test_variables_of_other_programs_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSOR_ARCHITECTURE", "AMD64")
    assert load().values.limits.max_pages == 500


def test_a_relative_database_lies_beside_the_settings(home: Path) -> None:
    assert (
        load(flags={"database.url": "sqlite:///own.db"}).database_url
        == f"sqlite:///{home.resolve() / 'own.db'}"
    )
    assert load(flags={"database.url": "sqlite:////tmp/own.db"}).database_url == "sqlite:////tmp/own.db"
    assert load(flags={"database.url": "postgresql://host/db"}).database_url == "postgresql://host/db"


def test_the_data_sets_lie_beside_the_settings_unless_the_command_names_others(home: Path) -> None:
    (home / "settings.toml").write_text("[training]\ndata = 'sets'")
    loaded = load(home / "settings.toml")
    assert loaded.training_data == data_of(loaded, None) == home.resolve() / "sets"
    Path("mine").mkdir()
    assert data_of(loaded, Path("mine")) == Path("mine")


def test_workers_count_resolves_to_a_number() -> None:
    assert Workers(count=3).resolved_count() == 3
    assert Workers().resolved_count() >= 1


def test_the_archive_that_came_with_the_program_is_used_where_none_is_named(home: Path) -> None:
    assert (load().models_archive / "CURRENT").is_file()
    assert load(flags={"paths.models_archive": "mine"}).models_archive == home.resolve() / "mine"
    (home / "models_archive").mkdir()
    assert load().models_archive == home.resolve() / "models_archive"


@given(st.integers(1, 100), st.floats(50, 1200), st.floats(1e-4, 0.5))
def test_the_digest_follows_what_changes_readings_and_nothing_else(
    pages: int, dpi: float, rate: float
) -> None:
    settings = Settings.model_validate(
        {"intake": {"pdf_dpi": dpi}, "rejection": {"max_error_rate": rate}, "limits": {"max_pages": pages}}
    )
    same = Settings.model_validate({"intake": {"pdf_dpi": dpi}, "rejection": {"max_error_rate": rate}})
    assert settings.reading_digest() == same.reading_digest()
    assert re.fullmatch("[0-9a-f]{12}", settings.reading_digest())
    other = Settings.model_validate({"intake": {"pdf_dpi": dpi + 1 if dpi < 1000 else dpi - 1}})
    assert other.reading_digest() != settings.reading_digest()


@pytest.mark.usefixtures("home")
# The commented default file


def test_the_default_file_changes_nothing(home: Path) -> None:
    assert tomllib.loads((home / FILE_NAME).read_text()) == {name: {} for name in Settings.model_fields}
    assert load().values == Settings()


def test_every_key_uncommented_is_its_default(home: Path) -> None:
    text = re.sub(r"(?m)^#(\w+ = )", r"\1", default_file())
    file = write(home, text)
    settings = load()
    assert settings.values == Settings()
    assert {name for name, origin in settings.origins.items() if origin == str(file)} == EVERY_KEY


def test_every_key_stands_under_its_meaning() -> None:
    lines = default_file().splitlines()
    for section in Settings.model_fields.values():
        for key, field in section.annotation.model_fields.items():  # type: ignore[union-attr]
            place = next(i for i, line in enumerate(lines) if line.startswith(f"#{key} = "))
            assert lines[place - 1].startswith(f"# {field.description}")


def test_ranges_and_choices_are_told() -> None:
    text = default_file()
    assert "(auto, native, polling)" in text
    assert "(50 to 1200)" in text
    assert "(above 0, up to 2000)" in text
    assert "(0 or more)" in text
    assert "(1 to 1024 or auto)" in text


def test_the_file_in_the_checkout_is_what_config_init_writes() -> None:
    shipped = Path(__file__).resolve().parent.parent / FILE_NAME
    assert shipped.read_text("utf-8") == default_file()


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('[paths]\ninbox = "in\\u0000box"', "paths.inbox"),
        ('[database]\nurl = "sqlite:///a\\u0000.db"', "database.url"),
        ('[intake]\nignore = ["a", "b\\u0000"]', "intake.ignore"),
        ('[recognition]\nmodel = "\\u0000"', "recognition.model"),
    ],
)
def test_a_nul_in_a_name_is_refused_where_it_stands(home: Path, line: str, key: str) -> None:
    said = refusal(write(home, line))
    assert f"{key} = " in said
    assert "NUL" in said
    assert "\0" not in said
