"""What is said when a worker did not live to answer, and who is to blame: the same for every engine."""

from pathlib import Path

from processor.engines.tasks import ScanTask
from processor.errors import BadModel, BadScan, DigitInboxError, Transient, WorkerKilled
from processor.settings import LoadedSettings

Asked = ScanTask | Path
"""What a worker was asked for: to read a scan, or to load the model in a folder."""

FEWER = "If the memory is short, use fewer workers."


def too_slow(asked: Asked, settings: LoadedSettings) -> DigitInboxError:
    """It was ended after `limits.seconds_per_scan`."""
    seconds = settings.values.limits.seconds_per_scan
    if isinstance(asked, Path):
        return BadModel(
            f"The model {asked.name} was not loaded within {seconds:g} s.",
            "Raise limits.seconds_per_scan, or promote a smaller model.",
        )
    return BadScan(
        f"{asked.file} was not read within {seconds:g} s.",
        "Raise limits.seconds_per_scan, or split the document.",
    )


def too_big(task: ScanTask, settings: LoadedSettings) -> BadScan:
    """It ended itself over `limits.worker_memory_mb`."""
    megabytes = settings.values.limits.worker_memory_mb
    return BadScan(
        f"{task.file} needs more than {megabytes:g} MB of memory to be read.",
        "Raise limits.worker_memory_mb, or scan it at a lower resolution.",
    )


def killed(asked: Asked, reason: object) -> Transient:
    """Something killed it while it read; a scan counts how often."""
    if isinstance(asked, Path):
        return Transient(f"The worker that loaded the model {asked.name} was killed ({reason}).", FEWER)
    return WorkerKilled(f"The worker that read {asked.file} was killed ({reason}).", FEWER)


def without_worker(asked: Asked, reason: object) -> Transient:
    """It only waited: neither the scan nor the model is to blame."""
    what = (
        f"The model {asked.name} was not loaded" if isinstance(asked, Path) else f"{asked.file} was not read"
    )
    return Transient(f"{what}, for want of a worker ({reason}).", "It is tried again.")


def out_of_reach(asked: Asked, reason: object) -> Transient:
    """Its node died, or the network in between; nothing says that the scan or the model did it."""
    what = asked.file if isinstance(asked, ScanTask) else f"the model {asked.name}"
    return Transient(f"The node that had {what} is out of reach ({reason}).", "It is tried elsewhere.")
