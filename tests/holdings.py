"""Scans as a run leaves them: rows, published files and moved originals, made by the code of a run."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from processor.errors import BadScan
from processor.intake.queue import claim, enqueue, fail, finish
from processor.records import StagedFile
from processor.results.database import open_database, writing
from processor.results.findings import Holdings
from processor.results.ledger import PublishedFile
from processor.results.originals import kept_name, move_failed, move_processed, report_failure
from processor.results.publish import output_name, publish
from processor.results.tables import scan_csv, write_all_numbers
from processor.settings import load
from tests.sample_readings import a_blob, a_number, a_page, a_result
from tests.stand_ins import drop

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Office:
    """A product folder at work: `read` and `fail` are what a run does with a scan of the inbox."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inbox, self.results = home / "inbox", home / "results"
        self.inbox.mkdir(exist_ok=True)
        self.results.mkdir(exist_ok=True)
        self.url = load(home / "settings.toml").database_url
        self.database: Engine = open_database(self.url)
        self.holdings = Holdings(database=self.database, inbox=self.inbox, results=self.results)

    def show(self, file: str, content: str = "", folder: Path | None = None) -> str:
        """A scan in the inbox, or in another folder, that is queued now; its sha256."""
        data = (content or f"the content of {file}").encode()
        drop(folder or self.inbox, file, data)
        sha256 = hashlib.sha256(data).hexdigest()
        source = folder or self.inbox
        enqueue(self.database, source=source, file=file, sha256=sha256, bytes=len(data), now=NOW)
        return sha256

    def read(self, file: str, *texts: str, content: str = "", folder: Path | None = None) -> str:
        """A scan that was read, with the kept name of its outputs: published, stored, and moved."""
        sha256 = self.show(file, content, folder)
        job = claim(self.database, NOW, 60)
        assert job is not None
        assert job.sha256 == sha256
        name = output_name(file, sha256)
        page = a_page(*(a_number(text) for text in texts or ("12", "7")), rejected=(a_blob(), a_blob()))
        picture = self.results / "annotated" / f"{name}-p1.jpg"
        table = scan_csv(file, sha256, [page], "cnn-a").encode()
        files = {picture: f"a picture of {file}".encode(), self.results / "csv" / f"{name}.csv": table}
        published = [self._publish(target, data) for target, data in files.items()]
        result = a_result(page, annotated=(picture,))
        finish(self.database, job, result, NOW, published=published)
        if folder is None:
            move_processed(self.inbox / file, file, sha256, self.results)
        write_all_numbers(self.database, self.results / "numbers.csv")
        return name

    def _publish(self, target: Path, data: bytes) -> PublishedFile:
        staged = drop(self.home / "staged", target.name, data)
        publish(StagedFile(staged=staged, target=target))
        file = target.relative_to(self.results).as_posix()
        return PublishedFile(file=file, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    def fail(self, file: str, content: str = "", folder: Path | None = None) -> str:
        """A scan that failed, with its kept name: reported, stored, and moved."""
        sha256 = self.show(file, content, folder)
        job = claim(self.database, NOW, 60)
        assert job is not None
        error = BadScan(f"{file} is bad.", "Scan it again.")
        report_failure((folder or self.inbox) / file, file, sha256, error, NOW, self.results)
        fail(self.database, job, "BadScan", str(error), NOW)
        if folder is None:
            move_failed(self.inbox / file, file, sha256, self.results)
        return kept_name(file, sha256)

    def run(self, sql: str) -> None:
        with writing(self.database) as connection:
            # Without values, a % is a % to every driver.
            connection.execution_options(no_parameters=True).exec_driver_sql(sql)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with writing(self.database) as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]
