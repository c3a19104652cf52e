"""Folders that go away between two steps, as a share does that is unmounted: nothing goes to what is left."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processor.custody import Custody
from processor.engines.tasks import Outcome, ScanTask
from processor.engines.worker import load_pipeline
from processor.errors import Away, BadModel, BadScan, DigitInboxError, Transient
from processor.filing import Ended, Filing
from processor.intake.sweep import sweep
from processor.records import ScanState
from processor.results.database import open_database, reading
from processor.results.schema import scans
from processor.settings import Limits, load
from processor.surroundings import Surroundings
from tests.stand_ins import Memory, drop


class Folders:
    """An inbox and results, each of which can be replaced by an empty folder, and put back."""

    def __init__(self, home: Path) -> None:
        self.inbox, self.results = home / "inbox", home / "results"
        self.staging = self.results / ".staging" / "run"
        self.inbox.mkdir()
        self.staging.mkdir(parents=True)
        self.database = open_database(f"sqlite:///{self.results / 'results.db'}", busy_seconds=1)

    def custody(self) -> Custody:
        return Custody(
            self.database,
            inbox=self.inbox,
            results=self.results,
            staging=self.staging,
            limits=Limits(),
            listener=Memory(),
        )


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    folders = Folders(tmp_path)
    yield folders
    folders.database.dispose()


def unmounted(folder: Path) -> Callable[[], None]:
    """Leaves what lies below a share: an empty folder; gives what mounts the share again."""
    share = folder.with_name(f"{folder.name} share")
    folder.rename(share)
    folder.mkdir()

    def mounted_again() -> None:
        folder.rmdir()
        share.rename(folder)

    return mounted_again


@pytest.mark.parametrize("error", [None, BadScan("It is bad.")])
def test_an_original_never_goes_below_a_share_that_was_just_unmounted(
    folders: Folders, error: DigitInboxError | None
) -> None:
    """Its records are committed: were it moved now, it would lie hidden once the share is back."""
    said: list[str] = []
    check = Surroundings(folders.database, staging=folders.staging).check
    filing = Filing(folders.inbox, folders.results, check=check, warn=said.append)
    original = drop(folders.inbox, "a.png", "1")
    sha256 = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    back = unmounted(folders.results)
    filing.file(Ended(root=folders.inbox, path=original, file="a.png", sha256=sha256, error=error))
    assert list(folders.results.iterdir()) == []
    assert original.read_text() == "1"
    assert "is away" in said[0]
    back()
    filing.catch_up(at_once=True)
    assert (filing.owed, original.exists()) == (0, False)
    kept = folders.results / ("failed" if error else "processed")
    assert [file.read_text() for file in kept.glob("*.png")] == ["1"]
    assert len(list(kept.glob("*.json"))) == (1 if error else 0)


def test_a_scan_of_an_inbox_that_went_away_has_not_failed(folders: Folders) -> None:
    custody = folders.custody()
    drop(folders.inbox, "a.png", "1")
    for found in sweep(folders.inbox, root=folders.inbox, warn=pytest.fail):
        custody.take(found, datetime.now(UTC))
    folders.inbox.rename(folders.inbox.with_name("away"))
    assert custody.next_task({folders.inbox}) is None
    with reading(folders.database) as connection:
        (row,) = connection.execute(scans.select()).all()
    assert (row.state, row.faults) == (ScanState.QUEUED, 1)
    assert "inbox is away" in row.message
    assert row.not_before is not None


def test_a_scan_that_was_taken_out_of_an_inbox_that_is_there_has_failed(folders: Folders) -> None:
    custody = folders.custody()
    drop(folders.inbox, "a.png", "1")
    for found in sweep(folders.inbox, root=folders.inbox, warn=pytest.fail):
        custody.take(found, datetime.now(UTC))
    (folders.inbox / "a.png").unlink()
    assert custody.next_task({folders.inbox}) is None
    assert custody.tally.summary().failed == 1


def test_nothing_is_committed_while_the_results_are_away(folders: Folders) -> None:
    custody = folders.custody()
    drop(folders.inbox, "a.png", "1")
    for found in sweep(folders.inbox, root=folders.inbox, warn=pytest.fail):
        custody.take(found, datetime.now(UTC))
    task = custody.next_task({folders.inbox})
    assert isinstance(task, ScanTask)
    back = unmounted(folders.results)
    with pytest.raises(Away, match="is away"):
        custody.commit(Outcome(task, BadScan("It is bad.")))
    assert list(folders.results.iterdir()) == []
    back()
    custody.commit(Outcome(task, BadScan("It is bad.")))
    assert custody.tally.summary().failed == 1


def test_a_model_whose_copy_went_away_with_the_results_is_no_bad_model(
    folders: Folders, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies lie in the results: a run that ended there would not go on by itself once they are back."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    read = load_pipeline(load(None, {}))
    task = ScanTask(
        id=1,
        source=folders.inbox / "a.png",
        file="a.png",
        sha256="1",
        staging=folders.staging,
        model=folders.staging / "models" / "one",
    )
    with pytest.raises(BadModel, match="cannot be read"):
        read(task)
    folders.results.rename(home / "away")
    with pytest.raises(Transient, match="is away"):
        read(task)
