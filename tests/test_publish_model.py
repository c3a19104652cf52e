"""Publishing: a model's folder is whole or not there, never changes, and says what it is."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from processor.errors import BadCommand, BadModel
from processor.prediction.archive import find_model, list_models, verify
from processor.prediction.classifier import Classifier
from processor.prediction.glyphs import SIZE
from processor.settings import load as load_settings
from tests.model_folders import add_run, edit_manifest, overwrite, some_manifest
from training.cards import card
from training.probes import probe_glyphs
from training.publish import MAX_PLOT_BYTES, MAX_PLOTS, find_run, own_archive, publish
from training.staging import LOCK, STALE_SECONDS, clear_unfinished, locked, remove_folder, staged

TRAINING = Path(sys.executable).with_name("training")

METRICS = {"mnist-test": {"count": 10_000, "accuracy": 0.9965}}
DATA = [{"source": "mnist-train", "count": 54_043, "digest": "c724dfbc2cab", "licence": "CC BY-SA 3.0"}]
RECIPE = {"name": "default", "schedule": {"epochs": 16}, "source": [{"name": "mnist", "share": 5.0}]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = add_run(
        tmp_path_factory.mktemp("runs") / "run", metrics=METRICS, data=DATA, recipe=RECIPE, parent="older"
    )
    Image.new("L", (40, 30)).save(folder / "curves.png")
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_published_model_never_changes(models: Path, run: Path) -> None:
    first = publish(run, models, "one")
    before = content(first.path)
    for name in ("one", "ONE"):
        with pytest.raises(BadCommand, match="already"):
            publish(run, models, name)
    assert content(first.path) == before
    assert sorted(path.name for path in models.iterdir()) == [LOCK, "one"]


def test_its_files_are_for_reading_only(models: Path, run: Path) -> None:
    for file in publish(run, models, "one").path.iterdir():
        assert not file.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH), file
    remove_folder(models / "one")
    assert not (models / "one").exists()


def test_a_published_model_holds_what_loads_it_its_card_and_its_plots(models: Path, run: Path) -> None:
    model = publish(run, models, "one")
    names = {"weights.safetensors", "probe.safetensors", "manifest.json", "README.md", "curves.png"}
    assert content(model.path).keys() == names
    assert model.name == "one"
    assert {**model.manifest, "name": "run", "created_at": ""} == {
        **find_run(run).manifest,
        "created_at": "",
    }
    assert Classifier.load(model.path).name == "one"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "CURRENT", "current", "x" * 300, "a b"])
def test_a_name_that_cannot_be_a_folders_is_refused(models: Path, run: Path, name: str) -> None:
    with pytest.raises(BadCommand):
        publish(run, models, name)
    assert not models.exists()


@pytest.mark.parametrize(
    "name", ["PROMOTIONS", "promotions", "SHIPPED", "README.md", "readme.MD", "frozen.npz", "frozen-mine.npz"]
)
def test_a_name_that_a_file_of_the_archive_has_is_refused(models: Path, run: Path, name: str) -> None:
    with pytest.raises(BadCommand, match="a file of the archive"):
        publish(run, models, name)
    assert not models.exists()


def test_a_name_that_is_a_file_already_is_refused(models: Path, run: Path) -> None:
    models.mkdir()
    (models / "notes.txt").write_text("mine")
    with pytest.raises(BadCommand, match=r"notes\.txt"):
        publish(run, models, "notes.txt")
    assert (models / "notes.txt").read_text() == "mine"
    assert list_models(models) == []


def test_plots_that_are_none_too_large_or_too_many_are_named_and_left_out(
    models: Path, tmp_path: Path
) -> None:
    run = add_run(tmp_path / "run")
    for number in range(MAX_PLOTS + 1):
        Image.new("L", (4, 3)).save(run / f"curve-{number:02}.png")
    (run / "a-text.png").write_text("no picture")
    (run / "b-link.png").symlink_to(run / "manifest.json")
    (run / "c-large.png").write_bytes(bytes(MAX_PLOT_BYTES + 1))
    left_out: list[str] = []
    folder = publish(run, models, "one", left_out.append).path
    assert len(list(folder.glob("*.png"))) == MAX_PLOTS
    assert len(left_out) == 4
    for name in ("a-text.png", "b-link.png", "c-large.png", f"curve-{MAX_PLOTS}.png"):
        assert any(name in text for text in left_out)


@pytest.mark.parametrize("file", ["weights.safetensors", "probe.safetensors"])
def test_a_damaged_run_is_not_published(models: Path, tmp_path: Path, file: str) -> None:
    run = add_run(tmp_path / "run")
    (run / file).write_bytes(b"gone")
    with pytest.raises(BadModel, match=file):
        publish(run, models, "one")
    assert not models.exists()


def test_a_run_that_does_not_prove_itself_is_not_published(models: Path, tmp_path: Path) -> None:
    run = add_run(tmp_path / "run")
    edit_manifest(run, lambda manifest: manifest["parameters"].update(hidden=9))
    with pytest.raises(BadModel, match="has shape"):
        publish(run, models, "one")
    assert not models.exists()


def test_a_run_is_published_from_where_it_lies_and_by_a_link(
    models: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "latest").symlink_to(run)
    assert find_run(tmp_path / "latest").name == "run"
    assert publish(tmp_path / "latest", models, "by-link").name == "by-link"
    monkeypatch.chdir(run)
    assert find_run(Path()).name == "run"
    assert content(publish(Path(), models, "from-within").path).keys() == content(models / "by-link").keys()


def test_a_folder_without_a_finished_run_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="training fit"):
        find_run(tmp_path)


def test_a_run_can_be_loaded_by_its_folder_before_it_is_published(run: Path) -> None:
    assert find_run(run).name == "run"
    assert Classifier.load(run).name == "run"


def test_the_probe_is_the_same_each_time_and_holds_ink() -> None:
    glyphs = probe_glyphs()
    assert glyphs.shape == (16, 2, SIZE, SIZE)
    assert glyphs.tobytes() == probe_glyphs().tobytes()
    assert (glyphs.reshape(16, -1).sum(axis=1) > 20).all()


def test_publishing_makes_an_archive_of_ones_own(home: Path) -> None:
    (home / "settings.toml").write_text("")
    shipped = load_settings(home / "settings.toml").models_archive
    own = own_archive(load_settings(home / "settings.toml"))
    assert own == home.resolve() / "models_archive" != shipped
    assert (own / "CURRENT").read_text() == (shipped / "CURRENT").read_text()
    assert find_model(own, "current").name == find_model(shipped, "current").name
    assert not [path for path in own.rglob("*") if path.name.startswith(".") or path.name == "PROMOTIONS"]
    assert own_archive(load_settings(home / "settings.toml")) == own
    assert sorted(path.name for path in home.iterdir()) == ["inbox", "models_archive", "settings.toml"]


# --- the card ------------------------------------------------------------------------------------------


def test_the_card_holds_figures_data_licences_recipe_and_plots(models: Path, run: Path) -> None:
    text = (publish(run, models, "one").path / "README.md").read_text()
    for line in (
        "# one",
        "| mnist-test | accuracy | 0.9965 |",
        "| mnist-train | 54043 | CC BY-SA 3.0 | c724dfbc2cab |",
        "| schedule.epochs | 16 |",
        "| source 1.share | 5 |",
        "| 0.001 | 0.95 |  |",
        "![curves](<curves.png>)",
    ):
        assert line in text.splitlines(), line
    assert "It went on from older." in text


def test_a_card_of_a_model_that_was_not_measured_says_so() -> None:
    text = card({**some_manifest(), "name": "bare"})
    assert "It was not measured." in text
    assert "It was trained from scratch." in text


def test_no_value_breaks_out_of_its_cell() -> None:
    odd = {"source": "a | b\n# heading", "count": 1, "licence": "<script>", "digest": "x"}
    text = card({**some_manifest(data=[odd]), "name": "odd"})
    assert r"| a \| b # heading | 1 | &lt;script> | x |" in text.splitlines()


# --- whole or not at all -------------------------------------------------------------------------------


def test_work_that_fails_leaves_nothing_behind(models: Path) -> None:
    def interrupted() -> None:
        with staged(models / "one") as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(models.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_wrong_command(tmp_path: Path, run: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(BadCommand, match="archive cannot be written"):
        publish(run, tmp_path / "archive", "one")


def test_what_dead_processes_left_is_cleared_and_what_is_young_or_a_persons_stays(models: Path) -> None:
    old = time.time() - STALE_SECONDS - 5
    left = [".one-0123abcd", ".two-89abcdef", ".0123456789abcdef.part"]
    kept = ["one", ".git", ".notes-of-mine", ".young-0123abcd"]
    for name in (*left, *kept):
        (models / name).mkdir(parents=True)
        overwrite(models / name / "weights.safetensors", b"half").chmod(0o444)
    (models / ".two-89abcdef" / "weights.safetensors").unlink()
    for name in (*left, *kept[:-1]):
        os.utime(models / name, (old, old))
    assert clear_unfinished(models) == sorted(left)
    assert sorted(path.name for path in models.iterdir()) == sorted(kept)


def test_a_command_waits_for_another_and_says_so_when_it_takes_too_long(models: Path) -> None:
    models.mkdir()
    with (
        FileLock(models / LOCK),
        pytest.raises(BadCommand, match="Another command"),
        locked(models, wait_seconds=0.05),
    ):
        pytest.fail("two at once")
    with locked(models, wait_seconds=0):
        pass


# --- killed at any moment ------------------------------------------------------------------------------


@pytest.fixture
def archive(home: Path) -> Iterator[Path]:
    """An archive that `training` run in the home folder uses."""
    (home / "models_archive").mkdir()
    yield home / "models_archive"
    # Whatever was killed when: nothing is there under a final name that does not load.
    for model in list_models(home / "models_archive"):
        assert not isinstance(model, BadModel), model


def start(*arguments: str | Path) -> "subprocess.Popen[bytes]":
    command = [str(TRAINING), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_two_publish_one_name_at_once_and_one_wins(archive: Path, run: Path) -> None:
    both = [start("publish", run, "one") for _ in range(2)]
    words = [process.communicate(timeout=120)[1].decode() for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], words
    assert any("already" in text for text in words)
    assert verify(archive / "one").name == "one"


def wait_for(process: "subprocess.Popen[bytes]", archive: Path, pattern: str) -> None:
    while process.poll() is None and not list(archive.glob(pattern)):
        time.sleep(0.002)


MOMENTS = [pytest.param(".one-*/probe.safetensors", id="half written")] + [
    pytest.param(pattern, marks=pytest.mark.slow) for pattern in (LOCK, ".one-*", "one")
]


@pytest.mark.parametrize("pattern", MOMENTS)
def test_a_publish_killed_at_its_work_leaves_a_whole_model_or_none(
    archive: Path, run: Path, pattern: str
) -> None:
    process = start("publish", run, "one")
    wait_for(process, archive, pattern)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if not (archive / "one").exists():
        publish(run, archive, "one")
    assert Classifier.load(archive / "one").name == "one"


@pytest.mark.slow
def test_publish_killed_at_twenty_moments_never_leaves_half_a_model(archive: Path, run: Path) -> None:
    unfinished = 0
    for moment in range(20):
        process = start("publish", run, f"killed-{moment}")
        # From the first unfinished file on, a millisecond later each time; the rest is the import of torch.
        wait_for(process, archive, f".killed-{moment}-*")
        time.sleep(0.001 * moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        unfinished += not (archive / f"killed-{moment}").exists()
        for model in list_models(archive):
            assert not isinstance(model, BadModel), model
            Classifier.load(model.path)
    assert unfinished > 0, "none was killed at its work: this proves nothing"
    clear_unfinished(archive, older_than_seconds=-1)
    assert not list(archive.glob(".killed-*"))
